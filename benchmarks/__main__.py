"""Run the benchmarks named, or all of them in turn. Each prints its own table.

python -m benchmarks                 all
python -m benchmarks engine cli      these
python -m benchmarks home --long     one, with options of its own
"""

from __future__ import annotations

import importlib
import sys

from benchmarks.machine import describe, end_as_by_ctrl_c

ALL = ("engine", "iteration", "cli", "gateway", "serving", "home", "prometheus", "planning")


def main() -> int:
    names = [word for word in sys.argv[1:] if word in ALL]
    options = [word for word in sys.argv[1:] if word not in ALL]
    if options and (len(names) != 1 or not options[0].startswith("-")):
        print(f"benchmarks: there is no '{options[0]}'; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    end_as_by_ctrl_c()
    print(describe(), flush=True)
    try:
        for name in names or ALL:
            print(f"\n== {name}", flush=True)
            importlib.import_module(f"benchmarks.{name}").main(options)
    except KeyboardInterrupt:
        print("\nbenchmarks: stopped; everything is cleaned up", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

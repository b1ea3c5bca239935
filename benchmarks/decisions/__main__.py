"""Judge every rule on the same experiments, and print, or write into the papers, what comes out."""

from __future__ import annotations

import argparse
import json
import math
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.decisions import picture, report, run
from benchmarks.decisions.scenarios import chosen
from benchmarks.decisions.targets import broken
from benchmarks.machine import describe, end_as_by_ctrl_c

SHORT, LONG = 200, 2000
SEED = 20_261_124
EXTRAS = ("loop", "intervals", "S10", "SRM", "speed")


def main(words: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(words)
    replications = given.replications or (SHORT if given.short else LONG)
    names = [name for name in given.scenario.split(",") if name] if given.scenario else []
    try:
        cases = chosen(n for n in names if n not in EXTRAS) if not names or set(names) - set(EXTRAS) else ()
    except KeyError as error:
        print(
            f"decisions: there is no scenario {error}; there are A/A, S1, S1b, S1lo, S1c, S2, S2n, S3 to S9, "
            f"and {', '.join(EXTRAS)}",
            file=sys.stderr,
        )
        return 2
    print(describe(), file=sys.stderr, flush=True)
    jobs = run.tasks(cases, replications, given.seed, short=given.short) + run.extras(
        names, replications, given.seed, given.short
    )
    try:
        results = run.run(jobs, given.seed, replications, given.processes, speeds=not names or "speed" in names)
    except KeyboardInterrupt:
        print("\ndecisions: stopped", file=sys.stderr)
        return 130
    if given.before:
        results = _loaded(given.before).with_more(results)
    if given.keep:
        Path(given.keep).write_bytes(pickle.dumps(results))
    found = report.tables(results)
    if given.output == "json":
        print(json.dumps(finite(report.plain(results)), indent=2, allow_nan=False))
    else:
        print("\n".join(table.aligned() for table in found))
    if given.write:
        report.PAGE.write_text(report.written(report.PAGE.read_text(), found))
        drawn = picture.drawn(results.measures)
        if drawn is not None:
            picture.FILE.write_text(drawn)
        print(f"decisions: wrote docs/guarantees.md after {results.seconds:.0f} s", file=sys.stderr)
    failures = broken(results.measures)
    for failure in failures:
        print(f"decisions: a promise is broken: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions", description=__doc__)
    parser.add_argument("--short", action="store_true", help=f"{SHORT} replications, the engine's default mode only")
    parser.add_argument("--scenario", metavar="NAME,…", default="", help="these only: S1, S4, …, " + ", ".join(EXTRAS))
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--replications", type=int, metavar="N", help=f"of each case; {LONG} without --short")
    parser.add_argument("--processes", type=int, metavar="P", help="all cores without")
    parser.add_argument("--write", action="store_true", help="write the tables into docs/guarantees.md")
    parser.add_argument("--keep", metavar="FILE", help="keep what was measured, for another run's --before")
    parser.add_argument("--before", metavar="FILE", help="add what this run measures to what an earlier one has kept")
    parser.add_argument("-o", dest="output", choices=("text", "json"), default="text")
    return parser


def _loaded(file: str) -> run.Results:
    """What an earlier run of ours has kept; its own file, so it is trusted."""
    found = pickle.loads(Path(file).read_bytes())
    assert isinstance(found, run.Results)
    return found


def finite(value: object) -> object:
    """Plain JSON: what never comes is null."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


if __name__ == "__main__":
    end_as_by_ctrl_c()
    sys.exit(main())

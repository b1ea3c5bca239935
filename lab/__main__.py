"""A cluster to play in, until Ctrl-C.

python -m lab           what `make lab` does
python -m lab build     only build what is missing, and show where it is
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from types import FrameType

from lab import build, namespace
from lab.errors import CannotHaveLab
from lab.lab import ANSWER, EXAMPLE, Lab
from lab.part import Part
from serin.errors import SerinError

_LOOK_EVERY = 1.0
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Start a lab, say how to use it, and end it by Ctrl-C, SIGTERM or SIGHUP."""
    parser = argparse.ArgumentParser(prog="python -m lab", description="A cluster to play in, until Ctrl-C.")
    parser.add_argument("what", nargs="?", choices=("run", "build"), default="run")
    parser.add_argument("--name", default="lab", help="several labs run side by side under different names")
    parser.add_argument("--scrape-interval", type=float, default=5.0, metavar="SECONDS")
    given = parser.parse_args()
    for number in _ENDING:
        signal.signal(number, _as_by_ctrl_c)
    try:
        if given.what == "build":
            _build()
        else:
            _run(given.name, given.scrape_interval)
    except SerinError as error:
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _say("ended; nothing is left")
    return 0


def _build() -> None:
    if because := namespace.missing():  # no need to build for minutes what cannot be started
        raise CannotHaveLab(because)
    for made in (build.control_plane(_say), build.mesh(_say)):
        for name in made.__slots__:
            print(f"{name:12} {getattr(made, name)}")
    print(f"{'helm':12} {build.helm(_say)}")


def _run(name: str, scrape_interval: float) -> None:
    began = time.monotonic()
    with Lab(name, scrape_interval=scrape_interval, say=_say) as lab:
        print(f"\nThe lab is up after {time.monotonic() - began:.0f} s.\n\n{_welcome(lab)}", flush=True)
        try:
            _watch(lab)
        finally:  # an impatient second Ctrl-C would leave half of it
            for number in _ENDING:
                signal.signal(number, signal.SIG_IGN)


def _watch(lab: Lab) -> None:
    """Say it when a part ends by itself; the rest goes on, for whoever wants to look."""
    ended: set[Part] = set()
    while True:
        time.sleep(_LOOK_EVERY)
        for part in lab.parts.values():
            if not part.running and part not in ended:
                ended.add(part)
                _say(f"{part.name} has ended; see {part.log}")


def _welcome(lab: Lab) -> str:
    example = os.path.relpath(EXAMPLE)
    return f"""\
In another terminal:

  export KUBECONFIG={lab.kubeconfig}
  export PATH={lab.bin}:$PATH        # kubectl and istioctl of the lab's versions

  gateway      {lab.gateway}         a request names its service by the Host header
  Prometheus   {lab.prometheus}
  API server   {lab.api}
  logs         {lab.folder}/*.log, and of Pods: kubectl logs

To try, with the model of the article (train its versions once: python {example}/train.py):

  kubectl apply -f {example}/modelv1.yaml -f {example}/externalize.yaml
  kubectl wait --for=condition=Available deployment/fashionmnist-v1
  curl -H 'Host: fashionmnist.com' {lab.gateway}/v1/models/fashionmnist
  curl -g '{lab.prometheus}/api/v1/query?query=istio_requests_total'

Other images here: {ANSWER} answers everything, lab/pause is ready and does nothing.
Ctrl-C ends the lab and leaves nothing behind.
"""


def _say(line: str) -> None:
    print(f"lab: {line}", file=sys.stderr, flush=True)


def _as_by_ctrl_c(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

"""The kinds of Istio and of the Gateway API, made known to the API server.

Posted side by side, since the API server takes a third of a second for each: kubectl, which sends one after the other,
takes most of a lab's start.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lab.errors import PartFailed
from lab.identities import Identities

_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_AT_ONCE = 8
_PATIENCE = 60.0
_PAUSE = 0.1


def create(definitions: Path, given: Identities) -> None:
    """Create the definitions (a JSON list) and return when their kinds are served. Raises PartFailed."""
    client = given.client()
    wanted: list[dict[str, Any]] = json.loads(definitions.read_text())

    def post(definition: dict[str, Any]) -> None:
        answer = client.post(_PATH, json=definition)
        if answer.status_code not in (201, 409):
            name = definition["metadata"]["name"]
            raise PartFailed(f"the lab's API server refuses {name}: {answer.text[:500]}")

    with client:
        with ThreadPoolExecutor(_AT_ONCE) as posting:
            list(posting.map(post, wanted))
        deadline = time.monotonic() + _PATIENCE
        while not all(map(_established, client.get(_PATH).json()["items"])):
            if time.monotonic() > deadline:
                raise PartFailed(f"the lab's API server does not serve Istio's kinds after {_PATIENCE:g} s")
            time.sleep(_PAUSE)


def _established(definition: dict[str, Any]) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)

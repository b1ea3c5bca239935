"""Two controllers, each a process of its own: one acts; when it dies or hangs the other does, and never both."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from lab import Lab

from tests.cluster.release import Controller, Place, Traffic, controllers, eventually, experiment, install, model

WRITES = ("create", "update", "patch", "delete")


@pytest.fixture
def place(lab: Lab, namespace: str) -> Place:
    install(lab)
    lab.kubectl_run("delete", "lease", "--all", "-n", "iter8")
    found = Place(lab, namespace)
    found.production()
    found.apply(*model("v2"))
    found.kubectl("wait", "--for=condition=Available", "deployment/fashionmnist-v2", "--timeout=30s")
    return found


def leads(controller: Controller) -> bool:
    return controller.said('"leading"')


def writes(lab: Lab, since: float) -> dict[str, list[float]]:
    """Credential -> when it has written to experiments and rules, by the API server's own notes."""
    found: dict[str, list[float]] = {}
    for line in lab.audit_log.read_text(errors="replace").splitlines():
        entry: dict[str, Any] = json.loads(line)
        resource = (entry.get("objectRef") or {}).get("resource")
        if entry["verb"] not in WRITES or resource not in ("experiments", "virtualservices"):
            continue
        extra = entry["user"].get("extra") or {}
        credential = str(extra.get("authentication.kubernetes.io/credential-id"))
        at = time.strptime(entry["requestReceivedTimestamp"][:19], "%Y-%m-%dT%H:%M:%S")
        fraction = float(f"0{entry['requestReceivedTimestamp'][19:-1]}")
        when = _epoch(at) + fraction
        if when >= since and "serin-controller" in entry["user"]["username"]:
            found.setdefault(credential, []).append(when)
    return found


def _epoch(at: time.struct_time) -> float:
    import calendar

    return float(calendar.timegm(at))


def test_the_other_goes_on_when_the_leader_is_killed_and_when_it_hangs(lab: Lab, place: Place, tmp_path: Path) -> None:
    began = time.time()
    with controllers(lab, tmp_path, 3) as three, Traffic(place) as traffic:
        place.apply(experiment(place.host, interval="2s", iterations=500))
        eventually("the candidate has traffic", lambda: place.weights().get("iter8-candidate-0", 0) > 0)
        assert sum(map(leads, three)) == 1
        (first,) = filter(leads, three)
        standing_by = [each for each in three if each is not first]
        first.kill()
        killed = time.time()
        eventually("another leads", lambda: any(map(leads, standing_by)), 30.0)
        assert time.time() - killed >= 10.0  # the lease of a dead leader runs out; it is not taken
        (second,) = filter(leads, standing_by)
        (third,) = [each for each in standing_by if each is not second]
        before = _iteration(place)
        eventually("iterations go on", lambda: _iteration(place) > before)

        os.kill(second.process.pid, signal.SIGSTOP)
        eventually("the third leads", lambda: leads(third), 30.0)
        before = _iteration(place)
        eventually("iterations go on", lambda: _iteration(place) > before)
        os.kill(second.process.pid, signal.SIGCONT)
        assert second.process.wait(30) == 1  # it has lost the lease, and ends
        assert second.said("is lost")
        third.end()
    assert traffic.lost == []
    by_credential = sorted(writes(lab, began).values())
    assert len(by_credential) == 3
    for earlier, later in itertools.pairwise(by_credential):
        assert max(earlier) < min(later)  # nobody has written after another had begun to


def test_a_leader_that_is_told_to_end_hands_over_at_once(lab: Lab, place: Place, tmp_path: Path) -> None:
    with controllers(lab, tmp_path, 2) as both:
        (first,) = filter(leads, both)
        (second,) = [each for each in both if each is not first]
        place.apply(experiment(place.host, interval="2s", iterations=500))
        eventually("it runs", lambda: place.message().startswith("IterationUpdate"))
        for each, leader in ((first, "1.0"), (second, "0.0")):
            assert each.page("/healthz").status_code == 200
            assert each.page("/readyz").json() == {"ready": True, "troubles": {}}
            assert f"serin_leader {leader}" in each.page("/metrics").text
        assert 'serin_experiments{phase="Progressing"} 1.0' in first.page("/metrics").text
        began = time.monotonic()
        assert first.end() == 0
        assert first.said("lease released")
        eventually("the other leads", lambda: leads(second), 10.0)
        assert time.monotonic() - began < 8.0


def _iteration(place: Place) -> int:
    return int(place.get("experiment", "fashionmnist-v2-rollout")["status"].get("currentIteration", 0))

"""What a home says of itself, also when parts of it are in trouble; and what it writes at its first start."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from serin.adapters.local.envoy.model import Settings as GatewaySettings
from serin.errors import StorageError
from serin.fakes import FakeClock, InMemoryObjects
from serin.home.daemon import define_metrics
from serin.home.folder import Settings
from serin.home.parts import Part, State
from serin.home.paths import Paths
from serin.home.status import Reporter
from serin.metrics.definitions import built_in, parse_config_map
from serin.ports import CONFIG_MAP, Object


class Home:
    """A reporter over fakes."""

    def __init__(self) -> None:
        self.clock = FakeClock(start=1_700_000_000.0)
        self.store = InMemoryObjects(self.clock)
        self.part = Part("engine", run=None)  # type: ignore[arg-type]
        self.proxy = SimpleNamespace(running=True, instance=SimpleNamespace(pid=42), settings=GatewaySettings(8080))
        self.ending = False
        self.reporter = Reporter(
            Paths(Path("/somewhere")),
            Settings("/images.yaml", 8080),
            self.store,
            [self.part],
            cast("Any", self.proxy),
            cast("Any", SimpleNamespace(warnings=("a Gateway is not acted on",))),
            self.clock,
            lambda: self.ending,
        )


@pytest.fixture
def home() -> Home:
    return Home()


def experiment(name: str, phase: str | None) -> Object:
    found: Object = {"apiVersion": "iter8.tools/v1alpha2", "kind": "Experiment", "metadata": {"name": name}}
    return {**found, "status": {"phase": phase}} if phase else found


async def test_a_healthy_home_says_what_runs(home: Home) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web-1", "ownerReferences": [{"kind": "Deployment", "name": "web"}]},
        "spec": {"containers": [{"ports": [{"containerPort": 8501}]}]},
        "status": {
            "phase": "Running",
            "podIP": "127.64.0.2",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"restartCount": 3}],
        },
    }
    home.store.seed(pod, experiment("a", "Progressing"), experiment("b", "Completed"), experiment("c", None))
    await home.clock.advance(90.0)
    status = await home.reporter.status()
    assert (status["state"], status["problems"], status["uptimeSeconds"]) == ("running", [], 90.0)
    assert status["started"] == "2023-11-14T22:13:20Z"
    assert status["gateway"]["address"] == "http://127.0.0.1:8080"
    assert status["gateway"]["pid"] == 42
    assert status["gateway"]["warnings"] == ["a Gateway is not acted on"]
    assert status["experiments"] == {"total": 3, "Progressing": 1, "Completed": 1, "Waiting": 1}
    assert status["pods"] == [
        {
            "namespace": "default",
            "name": "web-1",
            "deployment": "web",
            "phase": "Running",
            "ready": True,
            "address": "127.64.0.2",
            "ports": [8501],
            "pid": None,
            "restarts": 3,
        }
    ]


async def test_what_troubles_a_home_is_among_the_problems(home: Home) -> None:
    home.part.state, home.part.error = State.WAITING, "the disk is full"
    home.proxy.running, home.proxy.instance = False, None
    home.store.fail_next(StorageError("the store refuses"), verb="list")
    status = await home.reporter.status()
    assert status["state"] == "troubled"
    assert status["problems"] == [
        "the engine failed and is started again: the disk is full",
        "the gateway does not run; look into /somewhere/gateway",
        "the store refuses",
    ]
    assert status["gateway"]["pid"] is None


async def test_an_ending_home_says_so(home: Home) -> None:
    home.ending, home.proxy.running = True, False
    status = await home.reporter.status()
    assert (status["state"], status["problems"]) == ("ending", [])


async def test_the_built_in_metrics_are_written_once_and_then_the_users_own(home: Home) -> None:
    await define_metrics(home.store)
    written = await home.store.get(CONFIG_MAP, "iter8", "iter8config-metrics")
    assert parse_config_map(written) == built_in()
    mine = {"counter_metrics.yaml": "[]"}
    await home.store.patch(CONFIG_MAP, "iter8", "iter8config-metrics", {"data": mine})
    changed = await home.store.get(CONFIG_MAP, "iter8", "iter8config-metrics")
    await define_metrics(home.store)
    assert await home.store.get(CONFIG_MAP, "iter8", "iter8config-metrics") == changed

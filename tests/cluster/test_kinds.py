"""Kinds of experiments in the lab, side by side: A/B, A/B/n, and a match by headers that are there and are not.

What versions compete in is their latency, as the proxies measure it, or what they sell, as they count it themselves on
pages that Prometheus finds by the Pods' annotations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from lab import Lab

from tests.cluster.conftest import SHOP
from tests.cluster.engines import History
from tests.cluster.release import (
    EXPERIMENT,
    Manifest,
    Place,
    Traffic,
    controllers,
    eventually,
    experiment,
    install,
    model,
)
from tests.kinds.test_rewards import SALES_AND_ERRORS

REWARD = {"metric": "iter8_mean_latency", "isReward": True}
FEW_ERRORS = {"metric": "iter8_error_rate", "threshold": {"type": "absolute", "value": 0.1}}
SLOW = "0.09"
CLAUSE = {"headers": {"x-group": {"exact": "beta"}}, "withoutHeaders": {"x-staff": {}}}


def competing(place: Place, *candidates: str) -> Manifest:
    """An experiment in which these compete with v1 until one is proven the best."""
    return experiment(
        place.host,
        interval="3s",
        iterations=200,
        service={
            "name": "fashionmnist",
            "baseline": "fashionmnist-v1",
            "candidates": [f"fashionmnist-{each}" for each in candidates],
        },
        criteria=[REWARD, FEW_ERRORS],
        trafficControl={"strategy": "uniform", "maxIncrement": 50},
        analysis={"earlyStop": True, "mode": "independent"},
    )


@contextmanager
def opened(lab: Lab, name: str, **versions: tuple[str, ...]) -> Iterator[Place]:
    """A namespace with v1 behind its gateway and other versions, each with the arguments of `answer.py`."""
    place = Place(lab, name)
    lab.kubectl_run("create", "namespace", name)
    try:
        place.production()
        for version, args in versions.items():
            place.apply(*model(version, *args))
        for version in versions:
            place.kubectl("rollout", "status", f"deployment/fashionmnist-{version}", "--timeout=60s")
        yield place
    finally:
        lab.kubectl_run("delete", "namespace", name, "--wait=false")


def status(place: Place) -> dict[str, Any]:
    found: dict[str, Any] = place.get("experiment", EXPERIMENT)["status"]
    return found


def shop(version: str, *args: str) -> list[Manifest]:
    """A version that sells, with the arguments of `tests/kinds/shop.py` and the usual annotations."""
    found = model(version, *args)
    for each in found:
        if each["kind"] == "Deployment":
            template = each["spec"]["template"]
            template["metadata"]["annotations"] = {"prometheus.io/scrape": "true", "prometheus.io/port": "8501"}
            template["spec"]["containers"][0]["image"] = SHOP
    return found


@contextmanager
def selling(lab: Lab, name: str, **shops: tuple[str, ...]) -> Iterator[tuple[Place, Traffic]]:
    """A namespace in which shops are open, the first one in production, and people visit it; all are scraped."""
    with opened(lab, name) as place:
        for version, args in shops.items():
            place.apply(*shop(version, *args))
        for version in shops:
            place.kubectl("rollout", "status", f"deployment/fashionmnist-{version}", "--timeout=60s")
        query = f'count(visits_total{{namespace="{name}",app="fashionmnist"}})'
        eventually("Prometheus reads their pages", lambda: read(lab, query) == len(shops))
        with Traffic(place, pause=0.02) as traffic:
            yield place, traffic


def read(lab: Lab, query: str) -> float:
    """The one value of a query; 0 of none."""
    answer = httpx2.get(f"{lab.prometheus}/api/v1/query", params={"query": query}, trust_env=False).raise_for_status()
    return sum(float(row["value"][1]) for row in answer.json()["data"]["result"])


def sellers(place: Place, *candidates: str) -> Manifest:
    """An experiment in which these compete with v1 in what they sell, and must not fail."""
    found = competing(place, *candidates)
    found["spec"] |= {"metrics": SALES_AND_ERRORS, "criteria": [{"metric": "sales", "isReward": True}, FEW_ERRORS]}
    return found


def who_sells_more_wins(lab: Lab) -> None:
    with selling(lab, "kinds-sales", v1=("--sales", "0.2"), v2=("--sales", "0.8")) as (place, traffic):
        place.apply(sellers(place, "v2"))
        the_candidate_wins(place)
    assert traffic.lost == []


def who_sells_most_and_fails_never_wins(lab: Lab) -> None:
    shops = {"v1": ("--sales", "0.2"), "v2": ("--sales", "0.6"), "v3": ("--sales", "0.9", "--errors", "0.5")}
    with selling(lab, "kinds-sales-abn", **shops) as (place, traffic):
        place.apply(sellers(place, "v2", "v3"))
        place.finished(timeout=240)
        found = status(place)
        rolled_back = {each["name"]: each["rollback"] for each in found["assessment"]["candidates"]}
        assert rolled_back == {"fashionmnist-v2": False, "fashionmnist-v3": True}
        assert (found["experimentType"], found["outcome"]) == ("A/B/N", "Promoted"), found["reasons"]
        assert found["assessment"]["winner"]["name"] == "fashionmnist-v2"
    assert {line.split(" ", 1)[1] for line in traffic.lost} <= {"status 500"}  # what v3 itself answers


def two_compete(lab: Lab) -> None:
    with opened(lab, "kinds-ab", v1=("--latency", SLOW), v2=()) as place, Traffic(place, pause=0.02) as traffic:
        place.apply(competing(place, "v2"))
        the_candidate_wins(place)
    assert traffic.lost == []


def the_candidate_wins(place: Place) -> None:
    """An A/B between v1 and v2 ends with everybody on v2."""
    place.finished(timeout=240)
    found = status(place)
    assert (found["experimentType"], found["outcome"]) == ("A/B", "Promoted"), found["reasons"]
    assert found["assessment"]["winner"]["name"] == "fashionmnist-v2"
    assert list(place.weights().values()) == [100]


def asked(place: Place, **headers: str) -> Counter[int]:
    """The statuses of some requests with these headers: v2 answers all of its with 500."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with httpx2.Client(headers={"host": place.host, **named}, trust_env=False, timeout=10.0) as client:
        return Counter(client.post(f"{place.lab.gateway}/x", json={}).status_code for _ in range(20))


def some_take_part(lab: Lab) -> None:
    """Without criteria all who match go to v2 at once, and v2 answers with nothing but 500: who is who is seen."""
    with opened(lab, "kinds-match", v2=("--errors", "1")) as place:
        control = {"maxIncrement": 100, "match": {"http": [CLAUSE]}}
        trial = experiment(
            place.host, interval="3s", iterations=500, trafficControl=control, criteria=[], cleanup=False
        )
        place.apply(trial)
        eventually("those who match are with v2", lambda: asked(place, x_group="beta") == {500: 20})
        assert asked(place) == {200: 20}
        assert asked(place, x_group="beta", x_staff="yes") == {200: 20}
        assert asked(place, x_group="alpha") == {200: 20}
        end = '{"spec": {"manualOverride": {"action": "terminate", "trafficSplit": {"fashionmnist-v2": 100}}}}'
        place.kubectl("patch", "experiment", EXPERIMENT, "--type=merge", "-p", end)
        place.finished()
        eventually("everybody is with v2", lambda: asked(place) == {500: 20})
        (route,) = place.get("virtualservice", "fashionmnist")["spec"]["http"]
        assert "match" not in route


def test_versions_compete_and_some_take_part(lab: Lab, tmp_path: Path) -> None:
    kinds = (two_compete, who_sells_more_wins, who_sells_most_and_fails_never_wins, some_take_part)
    install(lab)
    with controllers(lab, tmp_path), History(lab).recording() as history, ThreadPoolExecutor(len(kinds)) as pool:
        for running in [pool.submit(kind, lab) for kind in kinds]:
            running.result()
    assert history.oddities() == []

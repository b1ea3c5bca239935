"""The watcher finds what it is there for; a watcher that sees nothing would let every scene pass."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest

from tests.cluster import scenes
from tests.cluster.watcher import Watcher

Object = dict[str, Any]


def rules(**weights: int) -> Object:
    """An experiment's VirtualService; subset -> weight."""
    entries = [
        {"destination": {"host": "web", "subset": subset}, "weight": weight} for subset, weight in weights.items()
    ]
    found = scenes.virtual_service({"http": [{"name": "iter8-experiment", "route": entries}]})
    found["metadata"]["labels"]["iter8-tools/experiment"] = "rollout.here"
    return found


def subsets(**versions: str) -> Object:
    return scenes.destination_rule(
        {"subsets": [{"name": name, "labels": {"app": "web", "version": v}} for name, v in versions.items()]}
    )


def version(name: str, ready: int = 1) -> Object:
    return {**scenes.deployment(name), "status": {"readyReplicas": ready}}


def watched(*objects: Object) -> Watcher:
    """Each in its turn, by the store's revisions."""
    watcher = Watcher(None)  # type: ignore[arg-type]  # nothing is recorded here
    for revision, obj in zip(itertools.count(1), map(copy.deepcopy, objects)):
        obj["metadata"] |= {"namespace": "here", "resourceVersion": str(revision)}
        watcher._seen.append((revision, "MODIFIED", obj))
    return watcher


STAGE = (version("v1"), version("v2"), version("v3"), scenes.experiment("v1", "v2"), subsets(one="v1", two="v2"))


@pytest.mark.parametrize(
    ("then", "sentence"),
    [
        ([rules(one=90, two=20)], "weights [90, 20]"),
        ([rules(one=90, three=10)], "a route names subset three, there are ['one', 'two']"),
        ([rules(one=90, two=10), subsets(one="v1")], "a route names subset two, there are ['one']"),
        ([version("v2", ready=0), rules(one=90, two=10)], "['web-v2'] is given 10% and is not ready"),
        ([rules(one=90, two=10), subsets(one="v1", two="v3")], "two has 10% and selects ['web-v3']"),
        ([subsets(one="v1", two="v9"), rules(one=90, two=10)], "two is given 10% and selects nobody"),
    ],
)
def test_what_must_not_be_is_found(then: list[Object], sentence: str) -> None:
    (found,) = watched(*STAGE, *then).oddities("here")
    assert sentence in found


def test_a_release_as_it_should_be_has_no_oddities() -> None:
    held = version("v2", ready=0)  # what becomes of a version that has its weight already is not the rules' doing
    assert (
        watched(*STAGE, rules(one=100, two=0), rules(one=80, two=20), held, rules(one=100, two=0)).oddities("here")
        == []
    )

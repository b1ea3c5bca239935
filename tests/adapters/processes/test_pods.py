from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from serin.adapters.local.processes import pods
from serin.adapters.local.processes.pods import Step
from serin.ports import Object
from tests.adapters.processes.manifests import NOW, deployment, pod, ready


def other_template(old: Object) -> Object:
    new = copy.deepcopy(old)
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "web:v2"
    return new


def test_a_pod_is_named_and_labelled_after_its_template_and_owned():
    owner = deployment("fashionmnist-v1")
    made = pods.new_pod(owner, "abcde")
    digest = pods.template_hash(owner)
    assert made["metadata"]["name"] == f"fashionmnist-v1-{digest}-abcde"
    assert made["metadata"]["labels"] == {"app": "fashionmnist-v1", "pod-template-hash": digest}
    assert made["spec"] == owner["spec"]["template"]["spec"]
    assert pods.owned(owner, [made]) == [made]
    assert pods.owned(deployment("another"), [made]) == []


def test_the_hash_is_of_the_template_only_and_of_all_of_it():
    one = deployment()
    scaled = {**one, "spec": {**one["spec"], "replicas": 7}}
    assert pods.template_hash(one) == pods.template_hash(scaled)
    assert pods.template_hash(one) != pods.template_hash(other_template(one))
    assert len(pods.template_hash(one)) == 10
    assert set(pods.template_hash(one)) <= set(pods.ALPHABET)


@pytest.mark.parametrize(
    ("replicas", "rolling", "surge", "unavailable"),
    [
        (4, {}, 1, 1),
        (1, {}, 1, 0),
        (10, {}, 3, 2),
        (0, {}, 0, 0),
        (100, {"maxSurge": "7%", "maxUnavailable": "7%"}, 7, 7),
        (3, {"maxSurge": 2, "maxUnavailable": 0}, 2, 0),
        (3, {"maxSurge": 0, "maxUnavailable": 0}, 0, 1),
        (2, {"maxSurge": 0, "maxUnavailable": 9}, 0, 2),
    ],
)
def test_surge_rounds_up_and_unavailable_down(replicas, rolling, surge, unavailable):
    found = pods.strategy(deployment(replicas=replicas, strategy={"rollingUpdate": rolling}))
    # A Deployment of nothing may stand still with both at 0: there is nothing to replace.
    expected = unavailable if (surge, unavailable) != (0, 0) else 1
    assert (found.surge, found.unavailable) == (surge, expected)


ONE = deployment(replicas=1)
TWO = deployment(replicas=2)
NEXT = other_template(ONE)
NEXT_TWO = other_template(TWO)
RECREATE = {**NEXT, "spec": {**NEXT["spec"], "strategy": {"type": "Recreate"}}}
A, B, C = (pod(ONE, each) for each in "abc")
NEW = pod(NEXT, "n")

STEPS = [
    ("nothing yet", TWO, [], Step(2)),
    ("one is missing", TWO, [A], Step(1)),
    ("as wanted", TWO, [A, B], Step()),
    ("a leaving one does not count", TWO, [A, pod(ONE, "x", leaving=True)], Step(1)),
    ("scaled down, the one that is not ready goes", ONE, [ready(A), B], Step(0, (B["metadata"]["name"],))),
    ("scaled to none", deployment(replicas=0), [ready(A)], Step(0, (A["metadata"]["name"],))),
    ("new template: the new one comes first", NEXT, [ready(A)], Step(1)),
    ("the old one stays until the new one is ready", NEXT, [ready(A), NEW], Step()),
    ("the new one is ready: the old one goes", NEXT, [ready(A), ready(NEW)], Step(0, (A["metadata"]["name"],))),
    ("a broken old one does not wait for its turn", NEXT_TWO, [ready(A), B], Step(1)),
    ("a broken old one goes first", NEXT_TWO, [ready(A), B, ready(NEW)], Step(0, (B["metadata"]["name"],))),
    ("recreate: all old ones first", RECREATE, [ready(A), B], Step(0, (A["metadata"]["name"], B["metadata"]["name"]))),
    ("recreate: the old ones are still ending", RECREATE, [pod(ONE, "x", leaving=True)], Step()),
    ("recreate: the old ones are gone", RECREATE, [], Step(1)),
]


@pytest.mark.parametrize(("owner", "present", "step"), [case[1:] for case in STEPS], ids=[case[0] for case in STEPS])
def test_the_next_step(owner, present, step):
    assert pods.plan(owner, present, NOW) == step


def test_a_deployment_that_is_deleted_takes_its_pods():
    leaving = {**ONE, "metadata": {**ONE["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert pods.plan(leaving, [ready(A)], NOW) == Step(0, (A["metadata"]["name"],))


def test_a_pod_is_available_when_it_has_been_ready_for_min_ready_seconds():
    patient = {**NEXT, "spec": {**NEXT["spec"], "minReadySeconds": 5}}
    new = ready(pod(patient, "n"))
    assert pods.available_in(patient, new, NOW + 2) == 3
    assert pods.plan(patient, [ready(A), new], NOW + 2) == Step()
    assert pods.plan(patient, [ready(A), new], NOW + 5).delete == (A["metadata"]["name"],)


class Rollout(RuleBasedStateMachine):
    """Any history of templates, sizes, pods that become ready and fall over: the bounds hold at every step."""

    @initialize(replicas=st.integers(0, 6), surge=st.integers(0, 3), unavailable=st.integers(0, 3))
    def begin(self, replicas, surge, unavailable):
        rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
        self.owner = deployment(replicas=replicas, strategy={"rollingUpdate": rolling})
        self.pods: list[Object] = []
        self.count = 0

    @rule()
    def step(self):
        before = self.available()
        how, wanted = pods.strategy(self.owner), pods.replicas(self.owner)
        step = pods.plan(self.owner, self.pods, NOW)
        gone = [each for each in self.pods if each["metadata"]["name"] in step.delete]
        lost = sum(pods.is_ready(each) for each in gone)
        assert len(step.delete) == len(set(step.delete)) == len(gone)
        assert not lost or before - lost >= min(wanted - how.unavailable, before)
        size = len(self.pods)
        self.pods = [each for each in self.pods if each not in gone]
        assert not step.create or len(self.pods) + step.create <= wanted + how.surge or len(gone) == size
        for _ in range(step.create):
            self.count += 1
            self.pods.append(pod(self.owner, f"{self.count:05}"))

    @rule(which=st.integers(0, 20), up=st.booleans())
    def change(self, which, up):
        if self.pods:
            place = which % len(self.pods)
            condition = self.pods[place]["status"]["conditions"][0]
            condition["status"] = "True" if up else "False"

    @rule(image=st.sampled_from(["web:v1", "web:v2", "web:v3"]))
    def roll(self, image):
        self.owner = copy.deepcopy(self.owner)
        self.owner["spec"]["template"]["spec"]["containers"][0]["image"] = image

    @rule(replicas=st.integers(0, 6))
    def scale(self, replicas):
        self.owner = copy.deepcopy(self.owner)
        self.owner["spec"]["replicas"] = replicas

    @rule()
    def all_well(self):
        """If every pod becomes ready, the rollout comes to its end."""
        for _ in range(60):
            self.pods = [ready(each) for each in self.pods]
            if pods.plan(self.owner, self.pods, NOW) == Step():
                break
            self.step()
        assert len(self.pods) == pods.replicas(self.owner)
        assert all(pods.is_current(self.owner, each) for each in self.pods)

    @invariant()
    def never_too_many_created(self):
        names = [each["metadata"]["name"] for each in getattr(self, "pods", [])]
        assert len(names) == len(set(names))

    def available(self) -> int:
        return sum(pods.is_ready(each) for each in self.pods)


TestRollout = Rollout.TestCase


@given(st.integers(0, 5), st.lists(st.booleans(), max_size=8))
def test_a_step_that_is_done_is_the_last(replicas, states):
    owner = deployment(replicas=replicas)
    present = [pod(owner, f"{i}", ready=state) for i, state in enumerate(states)]
    step = pods.plan(owner, present, NOW)
    after = [each for each in present if each["metadata"]["name"] not in step.delete]
    after += [pod(owner, f"new-{i}") for i in range(step.create)]
    assert pods.plan(owner, after, NOW) == Step()

from __future__ import annotations

import copy

from serin.adapters.local.processes import pods
from serin.adapters.local.processes.conditions import (
    Ended,
    Life,
    deployment_view,
    life_of,
    pod_status,
    trouble,
    unreadable,
)
from serin.api.times import stamp
from serin.control.semantics import merged
from tests.adapters.processes.manifests import NOW, deployment, pod, ready


def condition(status, kind):
    return next(each for each in status["conditions"] if each["type"] == kind)


CRASHED = Life(
    image="web:v1",
    address="127.64.0.2",
    waiting=("CrashLoopBackOff", "back-off 4s restarting failed container"),
    restarts=2,
    last={"terminated": Ended(1, None, NOW - 1, NOW, "ValueError: no such model").state()},
)


def with_life(made, life):
    return {**made, "status": merged(made["status"], pod_status(made, life, NOW))}


def test_a_running_pod_that_is_ready_says_where():
    status = pod_status(pod(deployment(), "a"), Life(address="127.64.0.2", running=NOW, ready=True), NOW)
    assert (status["phase"], status["podIP"]) == ("Running", "127.64.0.2")
    assert condition(status, "Ready")["status"] == "True"
    assert status["containerStatuses"][0]["state"] == {"running": {"startedAt": stamp(NOW)}}


def test_a_pod_that_the_gateway_does_not_lead_to_yet_is_not_ready_though_its_container_is():
    status = pod_status(pod(deployment(), "a"), Life(address="127.64.0.2", running=NOW, ready=True, awaited=True), NOW)
    assert condition(status, "ContainersReady")["status"] == "True"
    assert (condition(status, "Ready")["status"], condition(status, "Ready")["reason"]) == (
        "False",
        "ReadinessGatesNotReady",
    )
    why = trouble({**pod(deployment(), "a"), "status": status})
    assert why is not None
    assert why.endswith(": the gateway does not lead to it yet")


def test_a_condition_keeps_the_time_of_its_last_change():
    made = pod(deployment(), "a", since=NOW - 100)
    same = pod_status(made, Life(), NOW)
    other = pod_status(made, Life(ready=True), NOW)
    assert condition(same, "Ready")["lastTransitionTime"] == stamp(NOW - 100)
    assert condition(other, "Ready")["lastTransitionTime"] == stamp(NOW)


def test_a_crash_loop_says_how_often_and_the_last_words():
    made = with_life(pod(deployment(), "a"), CRASHED)
    container = made["status"]["containerStatuses"][0]
    assert container["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert container["restartCount"] == 2
    assert container["lastState"]["terminated"]["exitCode"] == 1
    name = made["metadata"]["name"]
    assert trouble(made) == f"{name}: exited with code 1 3 times; last words: ValueError: no such model"


def test_a_signal_is_named():
    ended = Ended(137, 9, NOW, NOW)
    made = with_life(pod(deployment(), "a"), Life(last={"terminated": ended.state()}, running=NOW, restarts=1))
    assert trouble(made) == f"{made['metadata']['name']}: was killed by signal 9"


def test_the_deployments_condition_says_what_troubles_its_pods():
    owner = deployment(replicas=2)
    made = [ready(pod(owner, "a")), with_life(pod(owner, "b"), CRASHED)]
    view = deployment_view(owner, made, NOW)
    available = condition(view.status, "Available")
    assert (available["status"], available["reason"]) == ("False", "MinimumReplicasUnavailable")
    assert available["message"].startswith("1 of 2 ready; ")
    assert "exited with code 1 3 times; last words: ValueError: no such model" in available["message"]
    counts = {key: view.status[key] for key in ("replicas", "readyReplicas", "updatedReplicas", "unavailableReplicas")}
    assert counts == {"replicas": 2, "readyReplicas": 1, "updatedReplicas": 2, "unavailableReplicas": 1}


def test_a_finished_rollout_is_finished_also_when_a_pod_falls_later():
    owner = deployment()
    up = deployment_view(owner, [ready(pod(owner, "a"))], NOW)
    assert condition(up.status, "Progressing")["reason"] == "NewReplicaSetAvailable"
    assert up.again is None
    later = deployment_view({**owner, "status": up.status}, [pod(owner, "a")], NOW + 10_000)
    assert condition(later.status, "Progressing")["status"] == "True"
    assert condition(later.status, "Available")["status"] == "False"
    assert later.status["observedGeneration"] == 1


def test_a_rollout_without_progress_times_out_and_says_so():
    owner = deployment(progressDeadlineSeconds=60)
    made = [with_life(pod(owner, "a"), CRASHED)]
    first = deployment_view(owner, made, NOW)
    assert condition(first.status, "Progressing")["reason"] == "ReplicaSetUpdated"
    assert first.again == 60
    waiting = deployment_view({**owner, "status": first.status}, made, NOW + 59)
    assert waiting.again == 1
    over = deployment_view({**owner, "status": waiting.status}, made, NOW + 60)
    assert condition(over.status, "Progressing")["reason"] == "ProgressDeadlineExceeded"
    assert "ValueError: no such model" in condition(over.status, "Progressing")["message"]


def test_progress_moves_the_deadline():
    owner = deployment(replicas=2, progressDeadlineSeconds=60)
    made = [pod(owner, "a"), pod(owner, "b")]
    status = deployment_view(owner, made, NOW).status
    moved = deployment_view({**owner, "status": status}, [ready(made[0]), made[1]], NOW + 50)
    assert moved.again == 60


def test_min_ready_seconds_are_waited_for():
    owner = deployment(minReadySeconds=10)
    view = deployment_view(owner, [ready(pod(owner, "a"))], NOW + 4)
    assert (view.status["readyReplicas"], view.status["availableReplicas"], view.again) == (1, 0, 6)


def test_a_pod_that_ran_when_its_home_died_has_been_restarted_once_more():
    made = with_life(pod(deployment(), "a"), Life(running=NOW, ready=True, restarts=1, address="127.64.0.2"))
    life = life_of(made)
    assert (life.restarts, life.ready, life.running, life.address) == (2, False, None, None)
    assert life.last["terminated"]["reason"] == "HomeEnded"
    status = merged(made["status"], pod_status(made, life, NOW))
    assert "podIP" not in status
    assert condition(status, "Ready")["status"] == "False"


def test_a_pod_that_ended_in_order_is_not_restarted_but_started():
    made = with_life(pod(deployment(), "a"), Life(waiting=("HomeStopped", "the home does not run"), restarts=1))
    assert life_of(made).restarts == 1


def test_a_deployment_that_cannot_be_read_says_why():
    owner = copy.deepcopy(deployment())
    owner["spec"]["replicas"] = "two"
    try:
        pods.replicas(owner)
    except ValueError as error:
        status = unreadable(owner, error, NOW).status
    assert condition(status, "Available")["reason"] == "InvalidDeployment"
    assert "'two'" in condition(status, "Available")["message"]

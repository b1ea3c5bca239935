"""The supervisor on real processes."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import socket

import httpx2
import pytest

from serin.adapters.local.processes import pods
from serin.ports import DEPLOYMENT, POD
from tests.adapters.processes import programs
from tests.adapters.processes.manifests import deployment
from tests.adapters.processes.running import Home, alive, container, get, kill, until

pytestmark = pytest.mark.real

LOOK = {"httpGet": {"path": "/ready", "port": "http"}}
# Patient with a busy machine, quick with a status that is no success.
PROBE = {"readinessProbe": {**LOOK, "periodSeconds": 1, "timeoutSeconds": 15, "failureThreshold": 1}}


@pytest.fixture
async def home(tmp_path):
    async with Home(tmp_path) as running:
        yield running


async def test_a_deployment_runs_each_pod_on_its_own_address(home):
    await home.apply(deployment(replicas=2))
    ready = await home.ready(2)
    assert len({pod["status"]["podIP"] for pod in ready}) == 2
    for pod in ready:
        assert pod["status"]["podIP"].startswith(str(home.subnet).rpartition(".")[0])
        assert (await get(pod)).text == "v1"
        assert home.log(pod) == f"serving on {pod['status']['podIP']}\n"
    await until(lambda: _is_available(home, 2))
    assert [line.split(":")[0] for line in home.sink.lines].count("Ready") == 2


async def _is_available(home, count):
    status = await home.status()
    available = pods.condition({"status": status}, "Available") or {}
    return status.get("availableReplicas") == count and available.get("status") == "True"


async def test_a_pod_is_not_ready_before_its_probe_succeeds(home):
    await home.apply(deployment(container={**PROBE, "env": [{"name": "START", "value": "1.5"}]}))
    seen = await until(lambda: _message(home, "connection refused"))
    assert seen["status"] == "False"
    (pod,) = await home.ready()
    assert container(pod)["restartCount"] == 0


async def _message(home, text):
    available = await home.condition("Available")
    return available if text in available.get("message", "") else None


async def test_a_pod_that_falls_ill_is_not_ready_until_it_is_well(home, tmp_path):
    sick = tmp_path / "sick"
    await home.apply(deployment(container={**PROBE, "env": [{"name": "SICK", "value": str(sick)}]}))
    await home.ready()
    sick.touch()
    await until(lambda: _message(home, "GET /ready on port 8501: status 503"))
    assert "Unhealthy: readiness probe failed: GET /ready on port 8501: status 503" in home.sink.lines
    sick.unlink()
    (pod,) = await home.ready()
    assert container(pod)["restartCount"] == 0


@pytest.mark.parametrize(
    "probe",
    [
        {"tcpSocket": {"port": 8501}},
        {"exec": {"command": ["sh", "-c", 'test -n "$POD_NAME"']}},
        {"httpGet": {"path": "ready", "port": 8501, "httpHeaders": [{"name": "x", "value": "y"}]}},
    ],
    ids=["tcp", "exec", "http"],
)
async def test_every_kind_of_probe(home, probe):
    await home.apply(deployment(container={"readinessProbe": {**probe, "timeoutSeconds": 5}}))
    await home.ready()


async def test_a_probe_that_fails_says_why(home):
    await home.apply(deployment(container={"readinessProbe": {"exec": {"command": ["false"]}}}))
    await until(lambda: _message(home, "command false: exit code 1"))


async def test_liveness_restarts_what_hangs(home, tmp_path):
    sick = tmp_path / "sick"
    env = {"env": [{"name": "SICK", "value": str(sick)}]}
    await home.apply(
        deployment(container={**env, "livenessProbe": {**PROBE["readinessProbe"], "initialDelaySeconds": 2}})
    )
    await home.ready()
    sick.touch()
    await until(lambda: [line for line in home.sink.lines if line.startswith("Killing: liveness probe failed")])
    sick.unlink()
    await until(lambda: _restarted(home, 1))
    await home.ready()


async def _restarted(home, times):
    present = await home.pods()
    return present if present and all(container(pod)["restartCount"] >= times for pod in present) else None


async def test_a_killed_process_is_started_again_at_once_under_its_name(home):
    await home.apply(deployment())
    (before,) = await home.ready()
    kill(home.pids()[0])
    await until(lambda: _restarted(home, 1))
    (after,) = await home.ready()
    assert after["metadata"]["name"] == before["metadata"]["name"]
    assert container(after)["lastState"]["terminated"]["signal"] == 9
    assert (await get(after)).text == "v1"
    assert "serving on" in home.log(after, previous=True)


async def test_all_replicas_killed_come_back(home):
    await home.apply(deployment(replicas=3))
    await home.ready(3)
    for pid in home.pids():
        kill(pid)
    await until(lambda: _restarted(home, 1))
    await home.ready(3)


async def test_a_crash_loop_backs_off_and_says_why(home):
    home.images({"web:v1": programs.CRASH})
    await home.apply(deployment())
    message = (await until(lambda: _message(home, "exited with code 1 4 times")))["message"]
    assert message.endswith("; last words: ValueError: no such model")
    (pod,) = await home.pods()
    assert not pods.is_ready(pod)
    assert container(pod)["lastState"]["terminated"]["exitCode"] == 1
    await until(lambda: "BackOff: next start in 0.4 s" in home.sink.lines)
    assert home.log(pod, previous=True) == "loading\nValueError: no such model\n"


async def test_an_unknown_image_is_said_and_found_once_it_is_added(home):
    await home.apply(deployment(container={"image": "web:v9"}))
    await until(lambda: _message(home, f"image 'web:v9' is not in {home.images_file}"))
    (pod,) = await home.pods()
    assert container(pod)["state"]["waiting"]["reason"] == "ImageUnknown"
    home.images({"web:v9": programs.SERVER})
    await home.ready()


async def test_a_command_that_is_not_there_is_said(home):
    await home.apply(deployment(container={"command": ["no-such-program"]}))
    await until(lambda: _message(home, "command 'no-such-program' is not found in PATH"))


async def test_a_port_that_is_taken_everywhere_is_said_and_used_once_it_is_free(home):
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = other.getsockname()[1]
        env = [{"name": "PORT", "value": str(port)}]
        await home.apply(deployment(container={"ports": [{"containerPort": port}], "env": env}))
        await until(lambda: _message(home, f"port {port} is in use by a program that listens on all addresses"))
    await home.ready()


async def test_a_process_that_listens_everywhere_is_warned_about(home):
    with socket.create_server(("0.0.0.0", 0)) as other:
        port = other.getsockname()[1]
    env = [{"name": "HOST", "value": "0.0.0.0"}, {"name": "PORT", "value": str(port)}]
    await home.apply(deployment(container={"env": env, "ports": [{"containerPort": port}]}))
    (pod,) = await home.ready()
    exposed = pods.condition(pod, "ListensOnLoopbackOnly") or {}
    assert exposed["status"] == "False"
    assert f"listens on 0.0.0.0:{port}, reachable from other machines" in exposed["message"]


async def test_scaling_up_and_down_and_to_nothing(home):
    await home.apply(deployment(replicas=1))
    (first,) = await home.ready(1)
    await home.store_clock.advance(1)  # ages are told by the second
    await home.scale("web", 4)
    await home.ready(4)
    await home.scale("web", 1)
    (kept,) = await home.ready(1)
    assert kept["metadata"]["name"] == first["metadata"]["name"], "the oldest stays"
    await home.scale("web", 0)
    await home.ready(0)
    assert not home.pids()


async def test_a_deployment_that_is_deleted_takes_its_processes(home):
    await home.apply(deployment(replicas=2))
    await home.ready(2)
    pids = home.pids()
    await home.objects.delete(DEPLOYMENT, "default", "web")
    await home.ready(0)
    assert not any(map(alive, pids))


async def test_a_pod_that_is_deleted_is_replaced(home):
    await home.apply(deployment())
    (before,) = await home.ready()
    await home.objects.delete(POD, "default", before["metadata"]["name"])
    await until(lambda: _is_gone(home, before))
    (after,) = await home.ready()
    assert after["metadata"]["name"] != before["metadata"]["name"]


async def _is_gone(home, pod):
    return pod["metadata"]["name"] not in [each["metadata"]["name"] for each in await home.pods()]


async def test_a_new_template_replaces_pods_without_a_moment_without_a_ready_one(home):
    first = deployment(replicas=2, container=PROBE)
    await home.apply(first)
    await home.ready(2)
    fewest, done = 2, asyncio.Event()

    async def count():
        nonlocal fewest
        while not done.is_set():
            fewest = min(fewest, sum(map(pods.is_ready, await home.pods())))
            await asyncio.sleep(0.005)

    counting = asyncio.create_task(count())
    second = copy.deepcopy(first)
    second["spec"]["template"]["spec"]["containers"][0]["env"] = [
        {"name": "VERSION", "value": "v2"},
        {"name": "START", "value": "0.5"},
    ]
    await home.apply(second)
    await until(lambda: home.rolled_out(second, 2))
    done.set()
    await counting
    assert fewest >= 2
    assert {(await get(pod)).text for pod in await home.ready(2)} == {"v2"}
    assert (await home.condition("Progressing"))["reason"] == "NewReplicaSetAvailable"


async def test_a_broken_new_template_leaves_the_old_pods_alone(home):
    home.images({"web:v1": programs.SERVER, "web:v2": programs.CRASH})
    await home.apply(deployment())
    (old,) = await home.ready()
    broken = deployment(container={"image": "web:v2"}, progressDeadlineSeconds=1)
    await home.apply(broken)

    async def deadline():
        progressing = await home.condition("Progressing")
        over = progressing.get("reason") == "ProgressDeadlineExceeded"
        return over and "last words: ValueError: no such model" in progressing["message"]

    await until(deadline)
    assert (await get(old)).status_code == 200
    assert (await home.status())["readyReplicas"] == 1


async def test_a_request_under_way_is_answered_before_its_process_goes(home):
    await home.apply(deployment(container={"env": [{"name": "SLOW", "value": "1.5"}]}))
    (pod,) = await home.ready()
    home.fake.busy["web"] = 1
    asking = asyncio.create_task(get(pod, "/slow"))
    await asyncio.sleep(0.3)
    await home.objects.delete(DEPLOYMENT, "default", "web")
    leaving = await until(lambda: _not_ready(home))
    assert "deletionTimestamp" in leaving["metadata"]
    assert alive(home.pids()[0])
    assert (await asking).status_code == 200
    home.fake.busy.clear()
    await home.ready(0)
    assert "ended in order" in home.log(pod)


async def _not_ready(home):
    (pod,) = await home.pods()
    return None if (pods.condition(pod, "Ready") or {}).get("status") == "True" else pod


async def test_what_ignores_sigterm_is_killed_after_its_grace_period(home):
    home.images({"web:v1": programs.STUBBORN})
    await home.apply(deployment(pod={"terminationGracePeriodSeconds": 1}))
    await home.ready()
    (pid,) = home.pids()
    await home.objects.delete(DEPLOYMENT, "default", "web")
    await home.ready(0)
    assert not alive(pid)


async def test_children_of_a_shell_end_with_it(home):
    await home.apply(
        deployment(container={"command": ["sh", "-c", "setsid sleep 991 & sleep 992 & sleep 993; true"], "ports": []})
    )
    await home.ready()
    from serin.adapters.local.processes import leftovers

    (pid,) = home.pids()
    family = await until(lambda: _family(home, 4))
    kill(pid)
    await until(lambda: not any(map(alive, family)))
    assert leftovers.entry(pid) is None


def _family(home, count):
    from serin.adapters.local.processes import leftovers

    (life,) = (home.folder / "run").glob("life-*")
    found = leftovers.marked(f"{leftovers.LIFE}={life}".encode())
    return found if len(found) == count else None


async def test_many_pods(home):
    await home.apply(deployment(replicas=30, container=PROBE))
    ready = await home.ready(30, patience=60)
    assert len({pod["status"]["podIP"] for pod in ready}) == 30
    async with httpx2.AsyncClient(trust_env=False) as client:
        for pod in ready:
            assert (await client.get(f"http://{pod['status']['podIP']}:8501/")).status_code == 200
    await home.scale("web", 0)
    await until(home.none, 60)


async def test_a_store_that_refuses_for_a_while_costs_nothing(home):
    from serin.errors import StorageError

    home.objects.fail_next(StorageError("the disk is full"), verb="status", times=3)
    home.objects.fail_next(StorageError("the disk is full"), verb="create", kind=POD)
    await home.apply(deployment())
    await home.ready()


async def test_an_unreadable_deployment_is_said_and_harms_no_other(home):
    odd = deployment("odd")
    odd["spec"]["replicas"] = "two"
    await home.apply(odd)
    await home.apply(deployment())
    await home.ready()
    assert (await home.condition("Available", "odd"))["reason"] == "InvalidDeployment"


async def test_stopping_says_of_every_pod_that_it_is_not_ready(tmp_path):
    async with Home(tmp_path) as home:
        await home.apply(deployment(replicas=2))
        before = await home.ready(2)
    after = await home.pods()
    assert [pod["metadata"]["name"] for pod in after] == [pod["metadata"]["name"] for pod in before]
    for pod in after:
        assert not pods.is_ready(pod)
        assert container(pod)["state"]["waiting"]["reason"] == "HomeStopped"
    assert all("ended in order" in home.log(pod) for pod in after)
    async with Home(tmp_path, home.objects) as again:
        started = await again.ready(2)
        assert [pod["metadata"]["name"] for pod in started] == [pod["metadata"]["name"] for pod in before]
        assert [container(pod)["restartCount"] for pod in started] == [0, 0]


async def test_a_cancelled_supervisor_leaves_no_process(tmp_path):
    home = Home(tmp_path)
    running = asyncio.create_task(home.supervisor.run())
    await home.apply(deployment(replicas=2))
    await home.ready(2)
    pids = home.pids()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    home.subnet.close()
    assert len(pids) == 2
    assert not any(map(alive, pids))

"""The death of a home, on real processes: nothing that it ran survives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from serin.adapters.local.processes import leftovers, pods
from serin.ports import DEPLOYMENT
from tests.adapters.processes import programs
from tests.adapters.processes.manifests import deployment
from tests.adapters.processes.running import Home, alive, container, until

pytestmark = pytest.mark.real

HOME = """
import asyncio, sys
from pathlib import Path
from tests.adapters.processes.manifests import deployment
from tests.adapters.processes.running import Home

async def main():
    async with Home(Path(sys.argv[1])) as home:
        shell = {"command": ["sh", "-c", "sleep 981 & setsid sleep 982 & sleep 983; true"], "ports": []}
        await home.apply(deployment("web", replicas=2))
        await home.apply(deployment("shell", container=shell))
        await home.ready(3)
        print("ready", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def killed(tmp_path):
    """The pids of everything that a home ran, right after a `kill -9` of the home."""
    home = subprocess.Popen([sys.executable, "-c", HOME, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert home.stdout is not None
        assert home.stdout.readline() == "ready\n"
        (life,) = (tmp_path / "run").glob("life-*")
        family = leftovers.marked(f"{leftovers.LIFE}={life}".encode())
        children = [int(path.name) for path in life.iterdir()]
    finally:
        home.kill()
        home.communicate()
    return life, family, children


def gone(pids, patience=10.0):
    deadline = time.monotonic() + patience
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return [pid for pid in pids if alive(pid)]


def test_no_process_outlives_a_killed_home_nor_do_its_childrens_children(killed):
    life, family, children = killed
    assert set(children) <= set(family)
    assert len(children) == 3
    assert len(family) == 6
    assert gone(family) == [], "the kernel ends the children, the undertaker what they had started"
    deadline = time.monotonic() + 5
    while life.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not life.exists()


ALONE = """
import asyncio, os, sys
from pathlib import Path
from serin.adapters.local.processes.process import Process, Program

async def main():
    folder = Path(sys.argv[1])
    child = Process(Program(["/bin/sleep", "988"], dict(os.environ), folder, "uid"), folder, None)
    while Path(f"/proc/{child.pid}/comm").read_text() != "sleep\\n":
        await asyncio.sleep(0.01)
    print(child.pid, flush=True)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def test_the_kernel_ends_a_child_with_its_home_without_any_undertaker(tmp_path):
    died = subprocess.run([sys.executable, "-c", ALONE, str(tmp_path)], capture_output=True, text=True, check=False)
    assert died.returncode == -9, died.stderr
    assert gone([int(died.stdout)], 5.0) == []


@pytest.fixture
def life(tmp_path):
    return leftovers.begin_life(tmp_path)


def start(life: Path, *words: str, marked: bool = True) -> subprocess.Popen[bytes]:
    env = {**os.environ, leftovers.LIFE: str(life)} if marked else {}
    return subprocess.Popen(words, env=env, start_new_session=True)


def test_the_next_home_ends_what_an_undertaker_could_not(life, tmp_path):
    by_mark, by_record = start(life, "/bin/sleep", "984"), start(life, "/bin/sleep", "985", marked=False)
    other_home = leftovers.begin_life(tmp_path / "other")
    foreign = start(other_home, "/bin/sleep", "986")
    leftovers.record(life, by_record.pid)
    try:
        # They are our own children here, so their corpses must be waited for before they are gone.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        assert leftovers.end_leftovers(tmp_path) == 2
        assert not alive(by_mark.pid)
        assert not alive(by_record.pid)
        assert alive(foreign.pid)
        assert not life.exists()
    finally:
        foreign.kill()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in (by_mark, by_record, foreign):
            each.wait()


def test_a_pid_that_belongs_to_somebody_else_by_now_is_left_alone(life, tmp_path):
    innocent = start(life, "/bin/sleep", "987", marked=False)
    try:
        (life / f"{innocent.pid}").write_text("12345")
        assert leftovers.end_leftovers(tmp_path) == 0
        assert alive(innocent.pid)
    finally:
        innocent.kill()
        innocent.wait()


def test_a_torn_record_is_no_obstacle(life, tmp_path):
    (life / "77").write_text("")
    (life / "notes").write_text("x")
    assert leftovers.end_leftovers(tmp_path) == 0
    assert leftovers.end_leftovers(tmp_path / "never-was") == 0


async def test_the_next_home_starts_the_pods_of_the_killed_one_again(tmp_path):
    """In one process: the store survives, the supervisor is dropped as a crash drops it."""
    first = Home(tmp_path)
    async with first:
        await first.apply(deployment(replicas=2))
        before = await first.ready(2)
        await until(lambda: _is_available(first))
    for pod in before:  # what a crash leaves in the store: everything looks well
        first.objects.seed(pod)
    second = Home(tmp_path, first.objects)
    await second.supervisor.reset()
    assert (await second.condition("Available"))["status"] == "False"
    for pod in await second.pods():
        assert not pods.is_ready(pod)
        assert "podIP" not in pod["status"]
    async with second:
        after = await second.ready(2)
        assert [pod["metadata"]["name"] for pod in after] == [pod["metadata"]["name"] for pod in before]
        assert [container(pod)["restartCount"] for pod in after] == [1, 1]


async def _is_available(home: Home) -> bool:
    return (await home.condition("Available")).get("status") == "True"


async def test_a_pod_that_was_leaving_when_its_home_died_goes(tmp_path):
    home = Home(tmp_path)
    made = pods.new_pod(deployment(), "abcde")
    made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    home.objects.seed(made)
    async with home:
        await until(home.none)


async def test_a_crash_looping_pod_is_ended_at_once(tmp_path):
    async with Home(tmp_path) as home:
        home.images({"web:v1": programs.CRASH})
        await home.apply(deployment())
        await until(lambda: "BackOff: next start in 0.4 s" in home.sink.lines)
        await home.objects.delete(DEPLOYMENT, "default", "web")
        await until(home.none, 20)

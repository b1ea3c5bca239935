"""The Envoy process: its life, its death, and what it refuses."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import textwrap
from pathlib import Path

import pytest

from serin.adapters.local.envoy.model import Settings
from serin.adapters.local.envoy.proxy import Proxy
from serin.errors import StorageError, UsageError
from serin.ports import GATEWAY, VIRTUAL_SERVICE
from tests.adapters.envoy.conftest import House, house
from tests.adapters.envoy.objects import (
    article,
    destination,
    destination_rule,
    gateway,
    pod,
    service,
    split,
    virtual_service,
)
from tests.adapters.envoy.wire import backend, free_port, within

pytestmark = pytest.mark.real


async def test_a_killed_envoy_is_back_with_the_same_configuration(home: House) -> None:
    async with backend("one") as one:
        await home.seed(*article(100, 0), pod("one", one.address, workload="shop-v1"))
        applied, first = home.translator.applied, home.proxy.instance
        assert applied is not None
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)

        async def back() -> bool:
            return home.proxy.instance not in (None, first) and await home.proxy.applied(applied.version)

        await within(5, back, "Envoy is back")
        assert (await home.client().get()).body == b"one"
        await home.write(virtual_service(split(100, 0), {"route": [destination("one")]}))


async def test_what_changed_while_envoy_was_dead_is_there_when_it_is_back(home: House) -> None:
    async with backend("one") as one, backend("two") as two:
        await home.seed(
            *article(100, 0),
            pod("one", one.address, workload="shop-v1"),
            pod("two", two.address, workload="shop-v2", version="v2"),
        )
        instance = home.proxy.instance
        assert instance is not None
        os.kill(instance.pid, signal.SIGKILL)
        await home.write(virtual_service(split(0, 100)))
        assert {(await home.client().get()).body for _ in range(5)} == {b"two"}


async def test_a_dead_envoy_has_applied_nothing(home: House) -> None:
    await home.seed(*article())
    written = await home.objects.get(VIRTUAL_SERVICE, "default", "shop")
    assert await home.plane.applied(written)
    assert not await home.plane.applied({**written, "spec": {**written["spec"], "hosts": ["other.com"]}})
    await home.proxy.stop(0)
    assert not await home.plane.applied(written)
    assert await home.plane.idle("default", "shop-v1")


async def test_envoy_dies_with_the_program_that_started_it(tmp_path: Path) -> None:
    program = f"""
        import asyncio, sys
        from pathlib import Path
        from serin.adapters.local.envoy.model import Settings
        from serin.adapters.local.envoy.proxy import Proxy

        async def main():
            proxy = Proxy(Path({str(tmp_path)!r}), Settings({free_port()}, mesh_port=None))
            await proxy.start()
            print(proxy.instance.pid, flush=True)
            await asyncio.sleep(60)

        asyncio.run(main())
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(program), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    os.kill(pid, 0)
    process.kill()
    await process.wait()

    async def gone() -> bool:
        return _ended(pid)

    await within(5, gone, "Envoy is gone")


@pytest.mark.parametrize("which", ["gateway", "mesh"])
async def test_a_taken_port_is_said_before_the_start(tmp_path: Path, which: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        settings = Settings(port, mesh_port=None) if which == "gateway" else Settings(free_port(), mesh_port=port)
        with pytest.raises(UsageError) as raised:
            await Proxy(tmp_path, settings).start()
    expected = f"the {which} port {port} is in use by another program; choose one with --{which}-port"
    assert str(raised.value) == expected
    assert not os.listdir(tmp_path)


async def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"the gateway's files cannot be written .*; free some space or change"):
        await Proxy(tmp_path / "file" / "envoy", Settings(free_port(), mesh_port=None)).start()


async def test_a_deep_folder_does_not_matter(tmp_path: Path) -> None:
    async with house(tmp_path / ("deep" * 30) / ("folder" * 10)) as found:
        await found.seed(*article())
        assert (await found.client().get(host="nobody.com")).status == 404


async def test_two_homes_do_not_disturb_each_other(tmp_path: Path, home: House) -> None:
    async with house(tmp_path / "second") as second, backend("one") as one, backend("two") as two:
        await home.seed(*article(100, 0), pod("one", one.address, workload="shop-v1"))
        await second.seed(*article(100, 0), pod("one", two.address, workload="shop-v1"))
        assert (await home.client().get()).body == b"one"
        assert (await second.client().get()).body == b"two"


async def test_the_admin_socket_is_the_owners_alone_and_there_is_no_admin_port(home: House) -> None:
    assert (home.proxy.folder / "admin.sock").stat().st_mode & 0o777 == 0o600
    instance = home.proxy.instance
    assert instance is not None
    assert _listening(instance.pid) == {home.port, home.mesh}


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except FileNotFoundError:
        return True


def _listening(pid: int) -> set[int]:
    lines = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(words[1].split(":")[1], 16) for words in lines if words[3] == "0A" and _owns(pid, words[9])}


def _owns(pid: int, inode: str) -> bool:
    return any(os.readlink(fd) == f"socket:[{inode}]" for fd in Path(f"/proc/{pid}/fd").iterdir())


async def test_an_unchanged_set_of_objects_writes_nothing(home: House) -> None:
    await home.seed(*article(), pod("one", "127.0.0.9", workload="shop-v1"))
    before = {path: path.stat().st_mtime_ns for path in home.proxy.folder.rglob("*.json")}
    await home.seed(*article(), pod("one", "127.0.0.9", workload="shop-v1"))
    assert {path: path.stat().st_mtime_ns for path in home.proxy.folder.rglob("*.json")} == before


async def test_a_rule_that_envoy_refuses_spoils_no_other(home: House) -> None:
    """Go's regular expressions know no lookahead; only Envoy can tell."""
    async with backend("one") as one:
        await home.seed(*article(100, 0), pod("one", one.address, workload="shop-v1"))
        bad = virtual_service({"match": [{"uri": {"regex": "(?=a)"}}], "route": [destination("one")]})
        home.objects.seed(bad, virtual_service({"route": [destination("one")]}, name="fine", hosts=["fine.com"]))

        async def fine() -> bool:
            return (await home.client().get(host="fine.com")).status == 200

        await within(10, fine, "the other rule is applied")
        assert (await home.client().get()).body == b"one"
        assert any("VirtualService default/shop is refused, its last good version stays" in w for w in home.warnings)
        assert not await home.plane.applied(await home.objects.get(VIRTUAL_SERVICE, "default", "shop"))
        await home.write(virtual_service({"match": [{"uri": {"regex": "/a"}}], "route": [destination("one")]}))
        assert (await home.client().get("/a")).body == b"one"
        assert home.translator.warnings == ()


async def test_a_policy_that_envoy_refuses_spoils_no_other(home: House) -> None:
    """Envoy takes the good clusters of a file and refuses the others."""
    async with backend("one") as one:
        await home.seed(*article(100, 0), pod("one", one.address, workload="shop-v1"))
        bad = destination_rule(trafficPolicy={"outlierDetection": {"maxEjectionPercent": 500}})
        await home.seed(bad, service("fine"), pod("fine", one.address, workload="fine-v1", app="fine"))
        assert (await home.client().get()).body == b"one"
        assert (await home.client(home.mesh).get(host="fine")).body == b"one"
    assert any("DestinationRule default/shop is refused, its last good version stays" in w for w in home.warnings)


async def test_hundreds_of_services_do_not_exhaust_the_machine(home: House) -> None:
    """One inotify instance a file would: a user has 128 on an ordinary Linux, and Envoy aborts on the next."""
    names = [f"shop-{n}" for n in range(140)]
    instance = home.proxy.instance
    async with backend("one") as one:
        pods = [pod(name, one.address, workload=f"{name}-v1", app=name) for name in names]
        await home.seed(*(service(name) for name in names), *pods)
        client = home.client(home.mesh)
        for name in names:
            assert (await client.get(host=name)).version == f"{name}-v1"
    assert home.proxy.instance is instance


@pytest.mark.parametrize("timeout", ["5", 5, "soon", {}])
async def test_a_rule_that_makes_no_sense_spoils_no_other(home: House, timeout: object) -> None:
    bad = virtual_service({"route": [destination("one")], "timeout": timeout or [1]}, name="bad", hosts=["bad.com"])
    async with backend("one") as one:
        home.objects.seed(bad)
        await home.seed(*article(100, 0), pod("one", one.address, workload="shop-v1"))
        assert (await home.client().get()).body == b"one"
        assert (await home.client().get(host="bad.com")).status == 404
    assert any("VirtualService default/bad is refused, it is left out" in w for w in home.warnings)


async def test_gateways_come_and_go_and_a_taken_port_is_named(home: House) -> None:
    port, held = free_port(), socket.socket()
    async with backend("one") as one:
        await home.seed(*article(100, 0), pod("one", one.address, workload="shop-v1"))
        held.bind(("127.0.0.1", port))
        held.listen()
        rule = virtual_service(split(100, 0), gateways=["gw", "second"])
        await home.seed(gateway("second", port=port), rule)
        assert f"the gateway port {port} is in use by another program" in home.warnings
        assert (await home.client().get()).body == b"one"
        held.close()

        async def serves() -> bool:
            try:
                return (await home.client(port).get()).status == 200
            except OSError:
                return False

        await within(10, serves, "the second gateway listens")
        await home.objects.delete(GATEWAY, "default", "second")

        async def closed() -> bool:
            return not await serves()

        await within(10, closed, "the second gateway is closed")
        assert (await home.client().get()).body == b"one"

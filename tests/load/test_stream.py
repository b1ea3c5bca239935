"""Streams against small real servers."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from serin.errors import InvalidInput, Unreachable
from serin.load.plan import LoadPlan, parse_target
from serin.load.report import LoadReport
from serin.load.stream import Load, run, watched
from tests.load.servers import answer, ok, serving, until

pytestmark = pytest.mark.real


def plan(seen, path="/", **changes):
    return LoadPlan(parse_target(seen.url + path), **changes)


async def test_every_request_is_counted_and_connections_are_used_again():
    async with serving() as seen:
        report = await run(plan(seen, count=50))
    assert (report.sent, report.failed, report.under_way) == (50, 0, 0)
    assert report.statuses == {200: 50}
    assert report.by_version == {"v1": 50}
    assert (len(seen.requests), seen.connections) == (50, 1)


async def test_the_share_by_version_is_told_also_of_answers_without_one():
    async def mixed(number, request):
        return answer(version=["v1", "v2", "v2", ""][number % 4])

    async with serving(mixed) as seen:
        report = await run(plan(seen, count=40))
    assert report.by_version == {"unknown": 10, "v1": 10, "v2": 20}


async def test_errors_are_told_by_kind():
    async def failing(number, request):
        match number % 6:
            case 1:
                return answer(503, "v2")
            case 2:
                return None
            case 3:
                return b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\nhalf"
            case 4:
                return b"nonsense\r\n\r\nconnection: close"
            case 5:
                await asyncio.sleep(30)
        return answer()

    async with serving(failing) as seen:
        report = await run(plan(seen, count=12, timeout=0.2))
    assert report.errors == {"reset": 4, "status 503": 2, "protocol": 2, "timeout": 2}
    assert (report.sent, report.failed) == (12, 10)
    assert report.by_version == {"v1": 2, "v2": 2}
    assert report.failed_by_version == {"v2": 2}


async def test_a_server_that_goes_away_is_counted_not_raised():
    async with serving() as seen:
        load = Load(plan(seen, rate=100, count=60))
        running = asyncio.create_task(load.run())
        await until(lambda: load.report().sent)
    report = await running
    assert report.sent == 60
    assert report.errors["connect"] > 30


@pytest.mark.parametrize("close", ["connection: close\r\n", ""])
async def test_servers_that_close_after_each_answer_lose_nothing(close):
    async def closing(number, request):
        return answer(extra=close)

    async with serving(closing) as seen:
        report = await run(plan(seen, count=20))
    assert (report.failed, seen.connections) == (0, 20 if close else 1)


async def test_a_connection_that_grew_old_is_not_trusted(monkeypatch):
    monkeypatch.setattr("serin.load.client._STALE", 0.0)
    async with serving() as seen:
        assert (await run(plan(seen, count=5))).failed == 0
    assert seen.connections >= 5


async def test_chunked_and_endless_answers_and_early_hints_are_read():
    replies = [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 103 Early\r\n\r\n" + answer(),
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end",
    ]

    async def odd(number, request):
        return replies[number % 3]

    async with serving(odd) as seen:
        report = await run(plan(seen, count=9))
    assert (report.failed, report.statuses) == (0, {200: 9})


async def test_an_open_loop_does_not_wait_for_answers_and_counts_from_when_they_were_due():
    """A server that answers one request at a time, in 50 ms, is asked every 10 ms: its queue must show."""
    turn = asyncio.Lock()

    async def slow(number, request):
        async with turn:
            await asyncio.sleep(0.05)
        return answer()

    async with serving(slow) as seen:
        report = await run(plan(seen, rate=100, count=20))
    assert report.failed == 0
    # The last of 20 is due at 0.19 s and answered after 20 * 0.05 s: 0.81 s late.
    assert report.latency["max"] == pytest.approx(810, rel=0.25)
    assert seen.connections > 10


async def test_waiting_for_a_free_place_is_part_of_the_latency():
    async def slow(number, request):
        await asyncio.sleep(0.05)
        return answer()

    async with serving(slow) as seen:
        report = await run(plan(seen, rate=100, count=20, most=1))
    assert seen.connections == 1
    assert report.latency["max"] == pytest.approx(810, rel=0.25)


async def test_an_open_loop_keeps_its_rate():
    async with serving() as seen:
        report = await run(plan(seen, rate=200, duration=1.0))
    assert report.sent == 200
    assert report.seconds == pytest.approx(1.0, abs=0.2)


async def test_a_closed_loop_keeps_so_many_under_way_and_ends_in_time():
    most = under_way = 0

    async def slow(number, request):
        nonlocal most, under_way
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return answer()

    async with serving(slow) as seen:
        report = await run(plan(seen, concurrency=5, duration=0.5))
    assert most == 5
    assert 40 < report.sent <= 130
    assert report.seconds < 1.5


async def test_a_stream_without_an_end_goes_on_until_it_is_stopped_and_answers_are_waited_for():
    async def slow(number, request):
        await asyncio.sleep(0.2)
        return answer()

    async with serving(slow) as seen:
        load = Load(plan(seen, rate=50))
        running = asyncio.create_task(watched(load, None))
        await until(lambda: len(seen.requests) >= 5)
        load.stop()
        assert load.report().under_way > 0
        report = await running
    assert (report.failed, report.under_way) == (0, 0)
    assert report.sent == len(seen.requests)


async def test_what_is_dropped_is_neither_answered_nor_failed():
    async def never(number, request):
        await asyncio.sleep(30)
        return answer()

    async with serving(never) as seen:
        load = Load(plan(seen, concurrency=3))
        running = asyncio.create_task(watched(load, None))
        await until(lambda: len(seen.requests) >= 3)
        load.drop()
        report = await running
    assert (report.sent, report.failed, report.under_way) == (0, 0, 3)


async def test_a_cancelled_stream_sends_nothing_more():
    async with serving() as seen:
        running = asyncio.create_task(run(plan(seen, rate=100)))
        await until(lambda: seen.requests)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        sent = len(seen.requests)
        await asyncio.sleep(0.1)
        assert len(seen.requests) == sent


async def test_progress_is_told_as_it_goes():
    told: list[LoadReport] = []
    async with serving() as seen:
        last = await run(plan(seen, rate=100, duration=0.5), told.append, every=0.1)
    counts = [report.sent for report in told]
    assert len(counts) >= 3
    assert counts == sorted(counts)
    assert counts[-1] <= last.sent


async def test_a_target_that_is_away_from_the_start_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match=rf"127.0.0.1 port {port} cannot be reached \(Connection refused\)"):
        await run(LoadPlan(parse_target(f"http://127.0.0.1:{port}/"), count=1))


async def test_a_name_that_does_not_exist_is_unreachable():
    with pytest.raises(Unreachable, match="cannot be reached"):
        await run(LoadPlan(parse_target("http://no-such-host.invalid/"), count=1))


async def test_a_plan_that_cannot_be_sent_is_refused_before_anything_is():
    async with serving() as seen:
        with pytest.raises(InvalidInput):
            Load(plan(seen, method="BAD METHOD"))
        assert seen.connections == 0


async def test_nothing_goes_to_any_other_address(monkeypatch):
    async with serving() as other:

        async def elsewhere(number, request):
            return answer(302, extra=f"location: {other.url}/\r\n")

        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, other.url)
        async with serving(elsewhere) as seen:
            report = await run(plan(seen, count=5))
    assert report.statuses == {302: 5}
    assert other.connections == 0


async def test_the_same_seed_sends_the_same_bodies():
    bodies = [b"body %d" % number for number in range(50)]

    async def sent(seed):
        async with serving() as seen:
            await run(plan(seen, count=30, method="POST", bodies=bodies, seed=seed))
        return [request.partition(b"\r\n\r\n")[2] for request in seen.requests]

    first = await sent(3)
    assert first == await sent(3)
    assert first != await sent(4)


async def test_headers_and_the_host_are_sent_as_given():
    async with serving() as seen:
        await run(plan(seen, "/v1?a=b", count=1, headers=(("Host", "fashionmnist.com"), ("X-User", "7"))))
    (request,) = seen.requests
    lines = request.decode().split("\r\n")
    assert lines[0] == "GET /v1?a=b HTTP/1.1"
    assert "Host: fashionmnist.com" in lines
    assert "X-User: 7" in lines


async def test_five_hundred_a_second_leave_room_on_a_core():
    async with serving(ok) as seen:
        # The server runs in this process too, so what is measured is the two of them together.
        before = time.process_time()
        report = await run(plan(seen, rate=500, duration=2.0, method="POST", bodies=[b"0" * 5000]))
        share = (time.process_time() - before) / report.seconds
    assert (report.sent, report.failed) == (1000, 0)
    assert share < 0.75

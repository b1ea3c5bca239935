from __future__ import annotations

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serin.errors import InvalidInput, UsageError
from serin.load.plan import LoadPlan, Target, parse_target

HERE = parse_target("http://127.0.0.1:8080/predict")


def test_steady_requests_are_due_at_equal_gaps_that_do_not_drift():
    due = list(LoadPlan(HERE, rate=30, count=3001).due())
    assert due[:3] == [0.0, 1 / 30, 2 / 30]
    assert due[3000] == 100.0


def test_a_duration_ends_them():
    assert len(list(LoadPlan(HERE, rate=10, duration=2.0).due())) == 20
    assert len(list(LoadPlan(HERE, rate=10, duration=2.0, count=7).due())) == 7


def test_poisson_times_come_from_the_seed_and_have_the_gaps_of_their_law():
    plan = LoadPlan(HERE, rate=50, poisson=True, count=20_000, seed=7)
    due = list(plan.due())
    assert due == list(plan.due())
    assert due != list(LoadPlan(HERE, rate=50, poisson=True, count=20_000, seed=8).due())
    gaps = [b - a for a, b in itertools.pairwise(due)]
    # Exponential: mean and standard deviation are both 1/rate; 20,000 of them are within 3%.
    assert statistics.mean(gaps) == pytest.approx(1 / 50, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(1 / 50, rel=0.05)


@given(st.floats(0.1, 1000), st.booleans(), st.integers(1, 200), st.integers())
def test_times_never_go_back(rate, poisson, count, seed):
    due = list(LoadPlan(HERE, rate=rate, poisson=poisson, count=count, seed=seed).due())
    assert len(due) == count
    assert due == sorted(due)
    assert due[0] == 0.0


def test_bodies_are_chosen_by_the_seed():
    bodies = [b"%d" % number for number in range(100)]

    def first(seed):
        return list(itertools.islice(LoadPlan(HERE, bodies=bodies, seed=seed).chosen(), 50))

    assert first(1) == first(1)
    assert first(1) != first(2)
    assert len(set(first(1))) > 25


def test_one_body_is_always_the_same_and_none_is_empty():
    assert next(LoadPlan(HERE, bodies=[b"x"]).chosen()) == b"x"
    assert next(LoadPlan(HERE).chosen()) == b""


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("http://127.0.0.1:8080", Target("http", "127.0.0.1", 8080, "/"), "127.0.0.1:8080"),
        ("http://localhost/a?b=c", Target("http", "localhost", 80, "/a?b=c"), "localhost"),
        ("https://example.com/", Target("https", "example.com", 443, "/"), "example.com"),
        ("http://[::1]:81/x", Target("http", "::1", 81, "/x"), "[::1]:81"),
    ],
)
def test_an_address_is_taken_apart(url, target, authority):
    assert parse_target(url) == target
    assert target.authority == authority


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("127.0.0.1:8080", "is no address; write for example http://"),
        ("ftp://x/", "is no address"),
        ("http:///x", "is no address"),
        ("http://x:99999/", "Port out of range"),
        ("http://user:pw@x/", "is not sent; leave it out"),
        ("http://x/#y", "is not sent"),
        ("http://x/ä", "as %20"),
    ],
)
def test_what_is_no_address_is_refused(url, sentence):
    with pytest.raises(UsageError) as refusal:
        parse_target(url)
    assert sentence in str(refusal.value)


def test_the_head_of_a_request_has_what_it_needs_and_what_was_given():
    plan = LoadPlan(HERE, method="POST", headers=(("host", "fashionmnist.com"), ("X-User", "a")))
    head = plan.request(b"{}")
    assert (head.method, head.target) == (b"POST", b"/predict")
    assert dict(head.headers) == {
        b"host": b"fashionmnist.com",
        b"x-user": b"a",
        b"user-agent": b"serin-load",
        b"accept": b"*/*",
        b"content-type": b"application/json",
        b"content-length": b"2",
    }
    assert b"content-length" not in dict(LoadPlan(HERE).request(b"").headers)


@pytest.mark.parametrize(
    "plan",
    [
        LoadPlan(HERE, method="GET IT"),
        LoadPlan(HERE, headers=(("bad name", "x"),)),
        LoadPlan(HERE, headers=(("x", "a\r\nHost: elsewhere"),)),
        LoadPlan(HERE, headers=(("x", "ä"),)),
        LoadPlan(HERE, headers=(("host", "a"), ("host", "b"))),
    ],
)
def test_what_http_forbids_is_refused(plan):
    with pytest.raises(InvalidInput, match="cannot be sent"):
        plan.request(b"")

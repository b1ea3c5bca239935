"""A counter that nobody shows, that tells no version, or that is not what is selected: which of them, in a sentence."""

from __future__ import annotations

import pytest

from serin.core.observation import Snapshot
from serin.errors import ProviderError
from serin.ports import CounterQuery, Matcher
from tests.adapters.prometheus.engine import REQUESTS, World, request, sample
from tests.adapters.prometheus.test_batch import V1, V2, shown
from tests.adapters.prometheus.wire import Played

TOTAL, BOOKS = "istio_requests_total", "books_purchased_total"
SOLD = CounterQuery("books", "…", BOOKS)
NEW = CounterQuery("books", "…", BOOKS, (Matcher("shelf", "=", "new"),))
TRAFFIC = (sample(TOTAL, 5), sample(TOTAL, 5, "shop-v2"))


async def told(counter: CounterQuery, *series, **versions):
    prometheus = Played(World([*TRAFFIC, *series]))
    metrics = prometheus.metrics()
    (answer,) = await prometheus.read(metrics, request(REQUESTS, counter, **versions))
    await metrics.aclose()
    return answer, len(prometheus.queries)


SENTENCES = {
    "nobody shows it": (SOLD, [], r"reads 'books_purchased_total', of which Prometheus has no series; let it scrape"),
    "others show it": (
        SOLD,
        [shown(BOOKS, 3, "shop-v3-6c4d9f7b8w-k4tzq"), shown(BOOKS, 3, V1, namespace="other")],
        r"none of its 2 series in Prometheus is about default/shop-v1 or default/shop-v2; they must have the labels "
        r"destination_workload and destination_workload_namespace, or pod and namespace of a pod of the Deployment",
    ),
    "it has lost its labels": (SOLD, [shown(BOOKS, 3, "")], r"none of its 1 series in Prometheus is about"),
    "it has another label": (
        NEW,
        [shown(BOOKS, 3, V1, shelves="new"), sample(BOOKS, 3, "shop-v2")],
        r"""with shelf="new", and none of its 2 series about default/shop-v1 or default/shop-v2 has these labels""",
    ),
}


@pytest.mark.parametrize(("counter", "series", "words"), SENTENCES.values(), ids=SENTENCES)
async def test_why_a_counter_has_no_series(counter, series, words) -> None:
    answer, _ = await told(counter, *series)
    assert isinstance(answer, ProviderError)
    with pytest.raises(ProviderError, match=words):
        raise answer


UNKNOWN = {
    "it is there": (SOLD, [shown(BOOKS, 3, V1), shown(BOOKS, 3, V2)]),
    "one version has it": (SOLD, [shown(BOOKS, 3, V1)]),
    "it has not happened yet": (NEW, [shown(BOOKS, 3, V1, shelf="old"), shown(BOOKS, 3, V2, shelf="old")]),
}


@pytest.mark.parametrize(("counter", "series"), UNKNOWN.values(), ids=UNKNOWN)
async def test_what_is_there_or_may_come_is_not_asked_about(counter, series) -> None:
    answer, asked = await told(counter, *series)
    assert isinstance(answer, Snapshot)
    assert asked == 1


async def test_without_requests_nothing_is_missed() -> None:
    prometheus = Played(World())
    metrics = prometheus.metrics()
    (answer,) = await prometheus.read(metrics, request(REQUESTS, SOLD))
    assert isinstance(answer, Snapshot)
    assert len(prometheus.queries) == 1
    await metrics.aclose()

"""`ApplicationMetrics` on pods and pages that a test writes, and a page from a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from serin.adapters.scrape.applications import PATIENCE, ApplicationMetrics
from serin.adapters.scrape.pages import Pages, shown
from serin.adapters.scrape.pods import running
from serin.api.times import epoch
from serin.core.model import BASELINE, Measure, MeasureKind
from serin.core.observation import Snapshot, increments, origin
from serin.errors import InvalidInput, ProviderError
from serin.fakes import InMemoryObjects
from serin.ports import CounterQuery, Matcher, Object, ReadRequest
from tests.load.servers import answer, serving

START = "2026-01-01T00:00:00Z"
NOW = epoch(START) + 1000.0
BOOKS = CounterQuery("books", "…", "books_purchased_total")
PAGE = '# TYPE books_purchased_total counter\nbooks_purchased_total{{shelf="new"}} {}\n'
SCRAPED = {"prometheus.io/scrape": "true", "prometheus.io/port": "9000", "prometheus.io/path": "stats"}


def pod(
    name: str,
    address: str,
    *,
    version: str = "v1",
    ready: bool = True,
    annotations: dict[str, str] | None = None,
    started: str | None = START,
) -> Object:
    running = {"state": {"running": {"startedAt": started}} if started else {"waiting": {}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"app": "shop", "app.kubernetes.io/version": version, "version": version},
            "annotations": SCRAPED if annotations is None else annotations,
            "ownerReferences": [{"kind": "Deployment", "name": f"shop-{version}", "uid": version}],
        },
        "spec": {"containers": [{"name": "shop", "ports": [{"containerPort": 8000}]}]},
        "status": {
            "podIP": address,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "containerStatuses": [running],
        },
    }


def service(name: str, **selector: str) -> Object:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": selector}}


@dataclass
class Town:
    """Pods with their pages, and a time that a test turns."""

    pages: dict[str, str | ProviderError] = field(default_factory=dict)
    objects: InMemoryObjects = field(default_factory=InMemoryObjects)
    time: float = NOW
    asked: list[str] = field(default_factory=list)
    takes: float = 0.0

    async def get(self, url: str) -> str:
        self.asked.append(url)
        await asyncio.sleep(0)
        self.time += self.takes
        page = self.pages.get(url.split("//")[1].split(":")[0], ProviderError(f"nobody listens at {url}"))
        if isinstance(page, ProviderError):
            raise page
        return page

    def metrics(self) -> ApplicationMetrics:
        return ApplicationMetrics(self.objects, self, lambda: self.time)

    def move_in(self, *pods: Object) -> Town:
        self.objects.seed(*pods)
        return self


def request(*counters: CounterQuery, **versions: str) -> ReadRequest:
    labels = {
        version.replace("_", "-"): {"destination_workload": name, "destination_workload_namespace": "default"}
        for version, name in (versions or {"baseline": "shop-v1"}).items()
    }
    return ReadRequest(counters, labels, 0.0)


BOTH = {"baseline": "shop-v1", "candidate_0": "shop-v2"}


async def one(metrics: ApplicationMetrics, asked: ReadRequest) -> Snapshot | Exception:
    (found,) = await metrics.read([asked])
    return found


async def snapshot(metrics: ApplicationMetrics, asked: ReadRequest) -> Snapshot:
    found = await one(metrics, asked)
    assert isinstance(found, Snapshot), found
    return found


def values(found: Snapshot) -> dict[tuple[str, str, str], float]:
    return {(s.version, s.counter, s.instance): s.value for s in found.series}


async def test_each_pod_is_an_instance_of_its_version_with_its_start() -> None:
    town = Town({"127.0.0.2": PAGE.format(3), "127.0.0.3": PAGE.format(4), "127.0.0.4": PAGE.format(5)})
    town.move_in(pod("a", "127.0.0.2"), pod("b", "127.0.0.3"), pod("c", "127.0.0.4", version="v2"))
    found = await snapshot(town.metrics(), request(BOOKS, **BOTH))
    assert values(found) == {
        ("baseline", "books", f"a@{START}"): 3.0,
        ("baseline", "books", f"b@{START}"): 4.0,
        ("candidate-0", "books", f"c@{START}"): 5.0,
    }
    assert {round(s.started or 0) for s in found.series} == {round(epoch(START)) + 1}
    assert found.families == {"books"}
    assert found.time == NOW
    assert sorted(town.asked) == [f"http://127.0.0.{n}:9000/stats" for n in (2, 3, 4)]


async def test_kind_service_takes_the_pods_that_the_service_selects() -> None:
    town = Town({"127.0.0.2": PAGE.format(3), "127.0.0.4": PAGE.format(5)})
    town.move_in(pod("a", "127.0.0.2"), pod("c", "127.0.0.4", version="v2"))
    town.move_in(service("old", version="v1"), service("new", version="v2"), service("all", app="shop"))
    labels = {
        v: {"destination_service_name": v, "destination_service_namespace": "default"} for v in ("old", "new", "all")
    }
    found = await snapshot(town.metrics(), ReadRequest((BOOKS,), labels, 0.0))
    assert sorted((s.version, s.value) for s in found.series) == [
        ("all", 3.0),
        ("all", 5.0),
        ("new", 5.0),
        ("old", 3.0),
    ]


SELECTED: list[tuple[tuple[Matcher, ...], float | None]] = [
    ((), 10.0),
    ((Matcher("shelf", "=", "new"),), 3.0),
    ((Matcher("shelf", "=~", "new|old"),), 10.0),
    ((Matcher("shelf", "=", "lost"),), None),
    ((Matcher("destination_workload", "=", "shop-v1"), Matcher("job", "=", "kubernetes-pods")), 10.0),
    ((Matcher("version", "=", "v1"), Matcher("app_kubernetes_io_version", "=", "v1"), Matcher("pod", "=", "a")), 10.0),
    ((Matcher("instance", "=", "127.0.0.2:9000"), Matcher("namespace", "=", "default")), 10.0),
    ((Matcher("exported_version", "=", "mine"),), 7.0),
]


@pytest.mark.parametrize(("matchers", "value"), SELECTED)
async def test_series_have_their_own_labels_and_those_of_their_pod(
    matchers: tuple[Matcher, ...], value: float | None
) -> None:
    page = PAGE.format(3) + 'books_purchased_total{shelf="old",version="mine"} 7\n'
    town = Town({"127.0.0.2": page}).move_in(pod("a", "127.0.0.2"))
    found = await snapshot(town.metrics(), request(CounterQuery("books", "…", "books_purchased_total", matchers)))
    assert [s.value for s in found.series] == ([] if value is None else [value])
    assert found.families == {"books"}  # shown, and nothing selected yet: 0 so far


async def test_one_look_at_a_page_serves_everybody_for_a_second() -> None:
    town = Town({"127.0.0.2": PAGE.format(3) + "others_total 1\n"}).move_in(pod("a", "127.0.0.2"))
    metrics = town.metrics()
    await asyncio.gather(*(metrics.read([request(BOOKS), request(BOOKS)]) for _ in range(10)))
    town.time += 0.9
    await metrics.read([request(BOOKS)])
    assert len(town.asked) == 1
    await metrics.read([request(CounterQuery("others", "…", "others_total"))])
    assert len(town.asked) == 2  # another metric was not kept of the first look
    town.time += 1.0
    await metrics.read([request(BOOKS)])
    await metrics.read([request(CounterQuery("others", "…", "others_total"))])
    assert len(town.asked) == 3


async def test_only_annotated_pods_in_the_namespaces_of_the_versions_are_asked() -> None:
    town = Town({"127.0.0.2": PAGE.format(3)})
    elsewhere = pod("e", "127.0.0.6")
    elsewhere["metadata"]["namespace"] = "other"
    town.move_in(pod("a", "127.0.0.2"), pod("mute", "127.0.0.4", annotations={}), elsewhere)
    town.move_in(pod("off", "127.0.0.5", started=None))
    await snapshot(town.metrics(), request(BOOKS))
    assert town.asked == ["http://127.0.0.2:9000/stats"]


async def test_a_page_that_is_late_is_waited_for_and_the_next_reading_brings_all_of_it() -> None:
    town = Town({"127.0.0.2": PAGE.format(10)}).move_in(pod("a", "127.0.0.2"))
    metrics, asked = town.metrics(), request(BOOKS)
    before = await snapshot(metrics, asked)
    town.pages["127.0.0.2"] = ProviderError("it is busy")
    town.time += 1
    late = await one(metrics, asked)
    assert isinstance(late, ProviderError)
    assert str(late) == "pod a does not show its metrics: it is busy; it is read again"
    town.pages["127.0.0.2"] = PAGE.format(17)
    town.time += 1
    after = await snapshot(metrics, asked)
    assert increments(before, after, [BASELINE]).counts == {"baseline": {"books": 7.0}}


async def test_a_pod_that_stays_silent_makes_its_version_unknown_never_zero() -> None:
    town = Town({"127.0.0.2": PAGE.format(10), "127.0.0.4": PAGE.format(20)})
    town.move_in(pod("a", "127.0.0.2"), pod("c", "127.0.0.4", version="v2"))
    metrics, asked = town.metrics(), request(BOOKS, **BOTH)
    before = await snapshot(metrics, asked)
    town.pages |= {"127.0.0.2": PAGE.format(15), "127.0.0.4": ProviderError("away")}
    town.time += 1
    assert isinstance(await one(metrics, asked), ProviderError)
    town.time += PATIENCE
    after = await snapshot(metrics, asked)
    assert after.families == frozenset()
    assert increments(before, after, ["baseline", "candidate-0"]).counts == {
        "baseline": {"books": 5.0},
        "candidate-0": {},
    }


async def test_a_slow_failure_is_not_asked_again_before_as_long_has_passed() -> None:
    town = Town({"127.0.0.2": ProviderError("slow")}, takes=5.0).move_in(pod("a", "127.0.0.2"))
    metrics = town.metrics()
    await one(metrics, request(BOOKS))
    town.time += 4.9
    await one(metrics, request(BOOKS))
    assert len(town.asked) == 1
    town.time += 0.2
    await one(metrics, request(BOOKS))
    assert len(town.asked) == 2


async def test_a_pod_that_takes_no_requests_may_be_silent() -> None:
    town = Town({"127.0.0.2": PAGE.format(10)})
    town.move_in(pod("a", "127.0.0.2"), pod("c", "127.0.0.4", version="v2", ready=False))
    found = await snapshot(town.metrics(), request(BOOKS, **BOTH))
    assert [s.version for s in found.series] == ["baseline"]
    assert found.families == {"books"}


async def test_a_process_started_again_is_another_instance_that_counts_from_zero() -> None:
    town = Town({"127.0.0.2": PAGE.format(10)}, time=epoch(START) + 100).move_in(pod("a", "127.0.0.2"))
    metrics, asked = town.metrics(), request(BOOKS)
    before = await snapshot(metrics, asked)
    metrics._objects = InMemoryObjects()
    metrics._objects.seed(pod("a", "127.0.0.2", started="2026-01-01T00:01:40Z"))
    town.pages["127.0.0.2"] = PAGE.format(4)
    town.time += 2
    after = await snapshot(metrics, asked)
    found = increments(before, after, [BASELINE])
    assert (found.counts, found.restarted) == ({"baseline": {"books": 4.0}}, False)


async def test_a_version_whose_page_lacks_the_metric_is_unknown_not_zero() -> None:
    town = Town({"127.0.0.2": PAGE.format(10), "127.0.0.4": "up 1\n"})
    town.move_in(pod("a", "127.0.0.2"), pod("c", "127.0.0.4", version="v2"))
    found = await snapshot(town.metrics(), request(BOOKS, **BOTH))
    assert (len(found.series), found.families) == (1, frozenset())


NOBODY: list[tuple[list[Object], dict[str, str | ProviderError], str]] = [
    ([], {}, "which no pod shows (none of the versions is running)"),
    ([pod("a", "127.0.0.2", annotations={})], {}, '(shop-v1: its pods are not annotated prometheus.io/scrape: "true")'),
    (
        [pod("a", "127.0.0.2", annotations={**SCRAPED, "prometheus.io/port": "http"})],
        {},
        "prometheus.io/port: 'http', which is no port",
    ),
    ([pod("a", "127.0.0.2", annotations={**SCRAPED, "prometheus.io/scheme": "https"})], {}, "only http is read"),
    ([pod("a", "192.0.2.1")], {}, "which is not on this machine"),
    ([pod("a", "127.0.0.2")], {"127.0.0.2": "up 1\n"}, "there is no books_purchased_total on http://127.0.0.2:9000/stats"),
    ([pod("a", "127.0.0.2", ready=False)], {}, "nobody listens at http://127.0.0.2:9000/stats"),
    ([pod("a", "127.0.0.2")], {"127.0.0.2": "# TYPE books_purchased_total gauge\nbooks_purchased_total 1\n"},
     "which is a gauge, which goes up and down; only counters can be compared (pod a)"),
]  # fmt: skip


@pytest.mark.parametrize(("pods", "pages", "sentence"), NOBODY)
async def test_what_nobody_shows_is_an_error_that_says_why(
    pods: list[Object], pages: dict[str, str | ProviderError], sentence: str
) -> None:
    town = Town(pages).move_in(*pods)
    found = await one(town.metrics(), request(BOOKS))
    assert isinstance(found, ProviderError)
    assert sentence in str(found)
    assert all(url.startswith("http://127.") for url in town.asked)


async def test_a_request_that_cannot_be_answered_spoils_no_other() -> None:
    town = Town({"127.0.0.2": PAGE.format(3)}).move_in(pod("a", "127.0.0.2"))
    broken = CounterQuery("broken", "…", "books_purchased_total", (Matcher("a", "=~", "("),))
    first, second, third = await town.metrics().read(
        [request(CounterQuery("x", "…", "x_total")), request(broken), request(BOOKS)]
    )
    assert isinstance(first, ProviderError)
    assert isinstance(second, InvalidInput)
    assert isinstance(third, Snapshot)


def test_what_needs_a_prometheus_is_refused_and_what_a_page_may_show_is_not() -> None:
    metrics = Town().metrics()
    assert metrics.check(BOOKS) is None
    assert "needs a Prometheus" in (metrics.check(CounterQuery("a", "…", None)) or "")
    assert "is no matcher" in (metrics.check(CounterQuery("a", "…", "b", (Matcher("c", "=~", "("),))) or "")


async def test_pods_that_are_gone_are_forgotten() -> None:
    town = Town({"127.0.0.2": PAGE.format(3)}).move_in(pod("a", "127.0.0.2"))
    metrics = town.metrics()
    await snapshot(metrics, request(BOOKS))
    metrics._objects = InMemoryObjects()
    town.time += 2
    assert isinstance(await one(metrics, request(BOOKS)), ProviderError)
    assert metrics._pages == {}


COUNTED = '# TYPE labels_total counter\nlabels_total{{destination_workload="shop-v1"}} {}\n'
LABELS = CounterQuery("labels", "…", "labels_total")


def collector(name: str = "labels", address: str = "127.0.0.9") -> Object:
    """A pod beside the versions."""
    return pod(name, address, version="labels")


async def test_an_application_beside_the_versions_counts_for_the_ones_it_names() -> None:
    page = COUNTED.format(5) + 'labels_total{destination_workload="shop-v9"} 7\nlabels_total 1\n'
    town = Town({"127.0.0.9": page})
    silent = dict.fromkeys(("prometheus.io/scrape",), "false")
    town.move_in(pod("a", "127.0.0.2", annotations=silent), pod("c", "127.0.0.4", version="v2", annotations=silent))
    town.move_in(collector())
    found = await snapshot(town.metrics(), request(LABELS, **BOTH))
    assert values(found) == {("baseline", "labels", f"labels@{START}"): 5.0}
    assert found.families == {"labels"}  # it speaks of versions, and of shop-v2 there is nothing to say yet: 0


async def test_a_count_for_another_namespace_is_not_this_ones() -> None:
    page = COUNTED.format(5).replace("}", ',destination_workload_namespace="other"}')
    town = Town({"127.0.0.9": page}).move_in(pod("a", "127.0.0.2", annotations={}), collector())
    found = await snapshot(town.metrics(), request(LABELS))
    assert found.series == ()


async def test_kind_service_knows_the_workloads_behind_the_service() -> None:
    town = Town({"127.0.0.9": COUNTED.format(5) + 'labels_total{destination_service_name="new"} 2\n'})
    town.move_in(pod("a", "127.0.0.2", annotations={}), pod("c", "127.0.0.4", version="v2", annotations={}))
    town.move_in(collector(), service("old", version="v1"), service("new", version="v2"))
    labels = {v: {"destination_service_name": v, "destination_service_namespace": "default"} for v in ("old", "new")}
    found = await snapshot(town.metrics(), ReadRequest((LABELS,), labels, 0.0))
    assert [(s.version, s.value) for s in found.series] == [("old", 5.0), ("new", 2.0)]


async def test_a_collector_that_falls_silent_makes_every_version_unknown() -> None:
    town = Town({"127.0.0.9": COUNTED.format(5), "127.0.0.8": COUNTED.format(5)})
    town.move_in(pod("a", "127.0.0.2", annotations={}), collector(), collector("more", "127.0.0.8"))
    metrics, asked = town.metrics(), request(LABELS)
    await snapshot(metrics, asked)
    town.pages["127.0.0.8"] = ProviderError("away")
    town.time += 1
    assert isinstance(await one(metrics, asked), ProviderError)
    town.time += PATIENCE
    found = await snapshot(metrics, asked)
    assert (found.series, found.families) == ((), frozenset())


async def test_a_page_beside_the_versions_that_shows_nothing_of_interest_is_rarely_asked() -> None:
    town = Town({"127.0.0.2": PAGE.format(1), "127.0.0.9": "up 1\n"}).move_in(pod("a", "127.0.0.2"), collector())
    metrics = town.metrics()
    for _ in range(10):
        await snapshot(metrics, request(BOOKS))
        town.time += 1.0
    assert (town.asked.count("http://127.0.0.2:9000/stats"), town.asked.count("http://127.0.0.9:9000/stats")) == (10, 1)


@pytest.mark.parametrize(
    ("page", "metric", "found"),
    [
        ("a_total 1\na_total_more 2\n", "a_total", [1.0]),
        ("# TYPE a_total counter\n", "a_total", []),
        ("# TYPE a counter\na_total 2\n", "a_total", [2.0]),
        ('# TYPE t histogram\nt_bucket{le="1"} 2\nt_sum 3\nt_count 2\n', "t_sum", [3.0]),
        ("a_total NaN\na_total{b=\"c\"} 4", "a_total", [4.0]),
        (":tf:count 5\n", ":tf:count", [5.0]),
        ("<html>a_total</html>\n", "a_total", None),
        ("b_total 1\n", "a_total", None),
    ],
)  # fmt: skip
def test_of_a_page_only_what_is_asked_for_is_read(page: str, metric: str, found: list[float] | None) -> None:
    series = shown(page, [metric]).series.get(metric)
    assert (None if series is None else [s.value for s in series]) == found


def test_lines_about_a_metric_that_are_no_samples_are_an_error() -> None:
    with pytest.raises(ProviderError, match="text format"):
        shown("a_total one\n", ["a_total"])
    assert shown('# TYPE s summary\ns{quantile="0.9"} 1\n', ["s"]).unusable["s"].endswith("there are s_sum and s_count")


def test_a_port_that_is_not_annotated_is_the_first_of_the_container() -> None:
    (found,) = running([pod("a", "127.0.0.2", annotations={"prometheus.io/scrape": "true"})])
    assert found.url == "http://127.0.0.2:8000/metrics"


async def fetched(reply: Callable[[int, bytes], Any], **bounds: Any) -> str:
    pages = Pages(**bounds)
    try:
        async with serving(reply) as server:
            return await pages.get(f"{server.url}/metrics")
    finally:
        await pages.close()


@pytest.mark.real
async def test_a_page_is_fetched_within_its_bounds() -> None:
    async def good(number: int, asked: bytes) -> bytes:
        assert b"accept: text/plain;version=0.0.4" in asked.lower()
        return answer(body=b"a_total 1\n")

    async def sick(number: int, asked: bytes) -> bytes:
        return answer(503)

    async def elsewhere(number: int, asked: bytes) -> bytes:
        return answer(302, extra="location: http://127.0.0.1:1/\r\n")

    async def long(number: int, asked: bytes) -> bytes:
        return answer(body=b"x" * 1001)

    async def endless(number: int, asked: bytes) -> bytes:
        await asyncio.sleep(60)
        return answer()

    async def hangs_up(number: int, asked: bytes) -> bytes | None:
        return None

    assert await fetched(good) == "a_total 1\n"
    for reply, sentence in (
        (sick, "answers with 503"),
        (elsewhere, "answers with 302"),
        (long, "shows more than 1,000 bytes"),
        (endless, "does not answer within 0.2 s"),
        (hangs_up, "cannot be read"),
    ):
        with pytest.raises(ProviderError, match=sentence):
            await fetched(reply, largest=1000, within=0.2)
    with pytest.raises(ProviderError, match="nobody listens"):
        await Pages().get("http://127.0.0.1:1/metrics")


async def test_rates_of_one_page_stay_true_over_a_pod_that_was_silent_for_long() -> None:
    """Both parts of the ratio come from one page: what happened meanwhile is brought later by both, never by one."""
    share = Measure(MeasureKind.RATE, "right", "all", lower_is_better=False)
    asked = request(CounterQuery("right", "…", "right_total"), CounterQuery("all", "…", "all_total"), **BOTH)
    page = "right_total {}\nall_total {}\n"
    town = Town({"127.0.0.2": page.format(9, 10), "127.0.0.4": page.format(90, 100)})
    town.move_in(pod("a", "127.0.0.2"), pod("c", "127.0.0.4", version="v2"))
    metrics = town.metrics()
    last, counted = await snapshot(metrics, asked), 0
    total = {"right": 0.0, "all": 0.0}
    away: str | ProviderError = ProviderError("away")
    for shown_by_c in [*[away] * 15, page.format(900, 1000), page.format(990, 1100)]:
        town.pages["127.0.0.4"] = shown_by_c
        town.time += 1
        found = await one(metrics, asked)
        if isinstance(found, Snapshot):
            counted += 1
            step = increments(last, found, ["baseline", "candidate-0"], [share])
            assert step.gap is None
            total = {name: total[name] + step.counts["candidate-0"].get(name, 0.0) for name in total}
            last = origin(last, found, step)
    assert total == {"right": 900.0, "all": 1000.0}
    assert counted > 2

"""What stands between us and a real Prometheus: certificates, users, tokens, servers that answer wrongly or late."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from serin.adapters.prometheus import Basic, Bearer, PrometheusMetrics
from serin.adapters.prometheus.client import Limits
from serin.core.observation import Snapshot
from serin.errors import ProviderError
from tests import real_parts
from tests.adapters.prometheus import between
from tests.adapters.prometheus.between import Between, Certificates, certificates
from tests.adapters.prometheus.engine import REQUESTS, request
from tests.adapters.prometheus.following import Following, RealClock
from tests.adapters.prometheus.real import Prometheus, running

pytestmark = pytest.mark.real

PASSWORD = "open sesame"
USERS = "basic_auth_users: {serin: $2b$04$fA6yfL0yMuldScIq2PqdQuHt9jnEv/8erQ1v2SlULckeNQQghUtQC}\n"  # of PASSWORD
SHOP = request(REQUESTS, baseline="shop-v1")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory) -> Iterator[Prometheus]:
    with real_parts.needed(), running(tmp_path_factory.mktemp("prometheus"), "gateway-1") as started:
        count(started)
        yield started


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


def count(prometheus: Prometheus) -> None:
    labels = {"destination_workload": "shop-v1", "destination_workload_namespace": "default", "reporter": "source"}
    prometheus.exporter.set("gateway-1", "istio_requests_total", 42, **labels)


def metrics(url: str, **options) -> PrometheusMetrics:
    return PrometheusMetrics(url, clock=RealClock(), scrape_interval=0.0, gather=0.0, **options)


async def value(source: PrometheusMetrics) -> float:
    """What is read within a while: Prometheus has to scrape first."""
    return (await Following(source, SHOP).until(lambda s: bool(s.series), "the counter is shown")).series[0].value


async def refusal(source: PrometheusMetrics) -> str:
    with pytest.raises(ProviderError) as raised:
        await source.read([SHOP])
    await source.aclose()
    return str(raised.value).partition(" at ")[2].partition(" ")[2]


async def test_certificate_user_and_password(tmp_path: Path, ours: Certificates) -> None:
    with running(tmp_path, "gateway-1", web=ours.web + USERS) as prometheus:
        count(prometheus)
        right = metrics(prometheus.url, auth=Basic("serin", PASSWORD), ca=ours.authority)
        assert await value(right) == 42
        await right.aclose()

        wrong = metrics(prometheus.url, auth=Basic("serin", "guess"), ca=ours.authority)
        assert await refusal(wrong) == "refuses the credentials (401); check user, password or token"
        nobody = metrics(prometheus.url, ca=ours.authority)
        assert await refusal(nobody) == "refuses the credentials (401); check user, password or token"

        strangers = certificates(tmp_path / "strangers").authority
        for ca in (None, strangers):
            sentence = await refusal(metrics(prometheus.url, auth=Basic("serin", PASSWORD), ca=ca))
            assert "is not trusted" in sentence
            assert sentence.endswith("give the authority that signed it")


async def test_a_certificate_for_another_name_is_not_trusted(tmp_path: Path, prometheus: Prometheus) -> None:
    elsewhere = certificates(tmp_path, "DNS:elsewhere")
    server = Between(prometheus.url, tls=elsewhere)
    assert "is not trusted (IP address mismatch" in await refusal(metrics(server.url, ca=elsewhere.authority))
    server.close()


async def test_a_token(tmp_path: Path, prometheus: Prometheus, ours: Certificates) -> None:
    server = Between(prometheus.url, token="abc.def", tls=ours)
    (tmp_path / "token").write_text("abc.def\n")
    for token in ("abc.def", tmp_path / "token"):
        right = metrics(server.url, auth=Bearer(token), ca=ours.authority)
        assert await value(right) == 42
        await right.aclose()
    wrong = metrics(server.url, auth=Bearer("abc.deg"), ca=ours.authority)
    assert await refusal(wrong) == "refuses the credentials (401); check user, password or token"
    server.close()


@pytest.fixture
def server(prometheus: Prometheus) -> Iterator[Between]:
    started = Between(prometheus.url)
    yield started
    started.close()


@pytest.mark.parametrize(
    "deed", [between.a_page, between.a_fault, between.cut_json, between.cut_connection], ids=lambda deed: deed.__name__
)
async def test_one_wrong_answer_is_made_good_by_the_next(server: Between, deed) -> None:
    source = metrics(server.url)
    await value(source)
    server.deeds += [deed]
    seen = server.seen
    (answer,) = await source.read([SHOP])
    assert isinstance(answer, Snapshot)
    assert [s.value for s in answer.series] == [42]
    assert server.seen == seen + 2
    await source.aclose()


async def test_wrong_answers_in_a_row_are_told(server: Between) -> None:
    server.deeds += [between.a_page] * 3
    told = "answers with something that is no answer of Prometheus; the counters are read again later"
    assert await refusal(metrics(server.url)) == told


async def test_the_pause_asked_for_is_kept(server: Between) -> None:
    source = metrics(server.url)
    await value(source)
    server.deeds += [between.too_many]
    begin = time.monotonic()
    await source.read([SHOP])
    assert 1.9 < time.monotonic() - begin < 8
    await source.aclose()


@pytest.mark.parametrize("how", ["late", "drip"])
async def test_a_slow_answer_is_given_up_and_the_next_one_taken(server: Between, how: str) -> None:
    source = metrics(server.url, limits=Limits(answer=1.0))
    await value(source)
    server.deeds += [getattr(server, how)]
    begin = time.monotonic()
    (answer,) = await source.read([SHOP])
    assert isinstance(answer, Snapshot)
    assert 0.9 < time.monotonic() - begin < 8
    await source.aclose()


async def test_slow_answers_in_a_row_are_told(server: Between) -> None:
    server.deeds += [server.late] * 3
    told = "does not answer in time; the counters are read again later"
    assert await refusal(metrics(server.url, limits=Limits(answer=0.5, pause=0.1))) == told

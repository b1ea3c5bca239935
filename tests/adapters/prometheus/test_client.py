"""What goes wrong on the way to Prometheus, what is asked again, and what is said about it."""

from __future__ import annotations

import base64
import logging

import httpx2
import pytest

from serin.adapters.prometheus import Basic, Bearer
from serin.adapters.prometheus.auth import Authorization, authorize
from serin.adapters.prometheus.client import Limits
from serin.errors import InvalidInput, ProviderError
from serin.fakes import FakeClock
from tests.adapters.prometheus.engine import REQUESTS, request
from tests.adapters.prometheus.wire import Played, refusal

SHOP = request(REQUESTS, baseline="shop")
HTML = httpx2.Response(200, html="<html>Sign in</html>")
SECRET = "s3cr3t-of-mine"


def response(status: int, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, headers={name.replace("_", "-"): value for name, value in headers.items()})


def vector(result: object, kind: str = "vector") -> httpx2.Response:
    return httpx2.Response(200, json={"status": "success", "data": {"resultType": kind, "result": result}})


PASSING = {
    "no connection": httpx2.ConnectError("refused"),
    "no answer in time": httpx2.ReadTimeout("slow"),
    "broken off": httpx2.RemoteProtocolError("gone"),
    "429": response(429),
    "500": response(500),
    "502": response(502),
    "503": refusal("timeout", "query timed out", 503),
    "504": response(504),
    "a page": HTML,
    "half a JSON": httpx2.Response(200, content=b'{"status":"success","data":{"resul'),
    "another JSON": httpx2.Response(200, json=[1]),
    "an error with 200": httpx2.Response(200, json={"status": "error"}),
    "a scalar": vector([1, "2"], "scalar"),
    "rows of something": vector([{"metric": {}, "value": [1, "many"]}]),
}


@pytest.mark.parametrize("trouble", PASSING.values(), ids=PASSING)
async def test_what_may_pass_is_asked_again_with_growing_pauses(trouble) -> None:
    prometheus = Played()
    prometheus.replies.extend([trouble] * 2)
    metrics = prometheus.metrics(gather=0.0)
    begin = prometheus.clock.now()
    (answer,) = await prometheus.read(metrics, SHOP)
    assert not isinstance(answer, Exception)
    assert len(prometheus.queries) == 3
    assert prometheus.clock.now() - begin == pytest.approx(0.5 + 1.0, abs=0.2)
    await metrics.aclose()


SENTENCES = {
    "cannot be reached (refused); the counters are read again later": httpx2.ConnectError("refused"),
    "does not answer in time; the counters are read again later": httpx2.ReadTimeout("slow"),
    "broke off its answer (RemoteProtocolError); the counters": httpx2.RemoteProtocolError("gone"),
    "answers 503 (query timed out); the counters are read again later": refusal("timeout", "query timed out", 503),
    "answers with something that is no answer of Prometheus": HTML,
    "answers 404; is this the address of its API?": response(404),
    "answers 302; is this the address of its API?": response(302, location="http://elsewhere/login"),
    "refuses the credentials (401); check user, password or token": response(401),
    "refuses the credentials (403); check user, password or token": response(403),
}


@pytest.mark.parametrize(("sentence", "trouble"), SENTENCES.items(), ids=SENTENCES)
async def test_what_does_not_pass_is_told_in_a_sentence(sentence, trouble) -> None:
    prometheus = Played()
    prometheus.replies.extend([trouble] * 3)
    metrics = prometheus.metrics()
    with pytest.raises(ProviderError) as raised:
        await prometheus.read(metrics, SHOP)
    assert str(raised.value).startswith(f"Prometheus at http://prometheus:9090 {sentence}")
    final = any(text in sentence for text in ("40", "302"))
    assert len(prometheus.queries) == (1 if final else 3)
    await metrics.aclose()


async def test_the_pause_that_is_asked_for_is_kept_by_all() -> None:
    prometheus = Played()
    prometheus.replies.append(response(429, retry_after="4"))
    metrics = prometheus.metrics()
    begin = prometheus.clock.now()
    await prometheus.read(metrics, SHOP)
    assert prometheus.clock.now() - begin == pytest.approx(4.2, abs=0.2)

    prometheus.replies.append(response(503, retry_after="120"))
    for asked in (request(REQUESTS, baseline="a"), request(REQUESTS, baseline="b")):
        with pytest.raises(ProviderError):
            await prometheus.read(metrics, asked)
    assert len(prometheus.queries) == 3, "the second was not sent"
    with pytest.raises(ProviderError, match=r"asks to be left alone for 1\d\d s; it is read after that"):
        await prometheus.read(metrics, request(REQUESTS, baseline="c"))
    await prometheus.clock.advance(120)
    await prometheus.read(metrics, request(REQUESTS, baseline="a"))
    await metrics.aclose()


async def test_a_pause_may_be_a_date() -> None:
    prometheus = Played(clock=FakeClock(1_700_000_000.0))
    prometheus.replies.append(response(429, retry_after="Tue, 14 Nov 2023 22:13:24 GMT"))  # 4 s later
    metrics = prometheus.metrics()
    await prometheus.read(metrics, SHOP)
    assert prometheus.clock.now() == pytest.approx(1_700_000_004.2, abs=0.3)
    await metrics.aclose()


@pytest.mark.parametrize("given", ["soon", "-5", "Tue, 99 Nov 2023", "٣"])
async def test_a_pause_that_cannot_be_read_is_ours_to_choose(given) -> None:
    prometheus = Played()
    prometheus.replies.append(httpx2.Response(429, headers={"retry-after": given.encode()}))
    metrics = prometheus.metrics()
    await prometheus.read(metrics, SHOP)
    assert len(prometheus.queries) == 2
    await metrics.aclose()


async def test_an_answer_without_end_is_cut_off() -> None:
    prometheus = Played()
    prometheus.replies.append(httpx2.Response(200, content=b"[" * (2**20 + 1)))
    metrics = prometheus.metrics(limits=Limits(bytes=2**20))
    (answer,) = await prometheus.read(metrics, SHOP)
    assert str(answer) == "Prometheus at http://prometheus:9090 answers with more than 1 MiB; narrow the selectors"
    await metrics.aclose()


async def test_a_native_histogram_is_no_counter_and_no_trouble() -> None:
    prometheus = Played()
    prometheus.replies.append(vector([{"metric": {"__name__": "x"}, "histogram": [1, {"count": "2"}]}]))
    metrics = prometheus.metrics()
    (answer,) = await prometheus.read(metrics, SHOP)
    assert not isinstance(answer, Exception)
    assert answer.series == ()
    await metrics.aclose()


@pytest.mark.parametrize(
    ("url", "options", "header"),
    [
        ("http://prometheus:9090", {}, None),
        ("http://prometheus:9090", {"auth": Basic("serin", "pässword")}, "Basic " + "c2VyaW46cMOkc3N3b3Jk"),
        ("http://serin:p%40ss@prometheus:9090", {}, "Basic " + base64.b64encode(b"serin:p@ss").decode()),
        ("http://prometheus:9090", {"auth": Bearer("abc.def")}, "Bearer abc.def"),
    ],
)
async def test_who_we_are(url, options, header) -> None:
    prometheus = Played()
    metrics = prometheus.metrics(url, **options)
    await prometheus.read(metrics, SHOP)
    assert prometheus.headers[0].get("authorization") == header
    assert prometheus.headers[0]["host"] == "prometheus:9090"
    assert prometheus.headers[0]["accept-encoding"] == "identity"
    await metrics.aclose()


async def test_a_secret_in_a_file_is_read_anew(tmp_path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    prometheus = Played()
    metrics = prometheus.metrics(auth=Bearer(token), scrape_interval=1.0)
    await prometheus.read(metrics, SHOP)
    token.write_text("second")
    await prometheus.clock.advance(5)
    await prometheus.read(metrics, SHOP)
    assert [h["authorization"] for h in prometheus.headers] == ["Bearer first", "Bearer second"]
    token.unlink()
    await prometheus.clock.advance(5)
    with pytest.raises(InvalidInput, match=r"the token for Prometheus cannot be read from .*token: No such file"):
        await prometheus.read(metrics, SHOP)
    await metrics.aclose()


@pytest.mark.parametrize(
    ("auth", "sentence"),
    [
        (Bearer(""), "is empty"),
        (Bearer("two words"), "no header can carry"),
        (Bearer("line\nline"), "no header can carry"),
        (Bearer("ümlaut"), "no header can carry"),
        (Basic("a:b", "c"), "has a ':' in it"),
    ],
)
def test_what_no_header_can_carry_is_refused_without_showing_it(auth, sentence) -> None:
    with pytest.raises(InvalidInput, match=sentence) as raised:
        authorize(auth)
    assert "line" not in str(raised.value)


@pytest.mark.parametrize("auth", [Basic("serin", SECRET), Bearer(SECRET)])
async def test_a_secret_is_never_shown(auth, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    echo = authorize(auth).header or ""
    prometheus = Played()
    prometheus.replies.append(refusal("bad_data", f"no such thing: Authorization: {echo}, that is {SECRET}", 400))
    metrics = prometheus.metrics(auth=auth)
    (answer,) = await prometheus.read(metrics, SHOP)
    shown = f"{answer} {answer!r} {auth!r} {authorize(auth)!r} {caplog.text}"
    assert isinstance(answer, ProviderError)
    assert "***" in str(answer)
    assert SECRET not in shown
    assert echo.split()[1] not in shown
    await metrics.aclose()


async def test_a_secret_in_the_address_is_never_shown(caplog) -> None:
    caplog.set_level(logging.DEBUG)
    prometheus = Played()
    prometheus.replies.extend([httpx2.ConnectError("refused")] * 3)
    metrics = prometheus.metrics(f"http://serin:{SECRET}@prometheus:9090")
    with pytest.raises(ProviderError) as raised:
        await prometheus.read(metrics, SHOP)
    assert SECRET not in f"{raised.value} {caplog.text}"
    await metrics.aclose()


def test_nothing_to_hide_hides_nothing() -> None:
    assert Authorization().hide("a text") == "a text"


ADDRESSES = {
    "http://prometheus:9090": "http://prometheus:9090/api/v1/query",
    "http://prometheus:9090/": "http://prometheus:9090/api/v1/query",
    "http://thanos/select/0/prometheus": "http://thanos/select/0/prometheus/api/v1/query",
    "http://prometheus:9090/api/v1/query": "http://prometheus:9090/api/v1/query",
    " http://[::1]:9090 ": "http://[::1]:9090/api/v1/query",
}


@pytest.mark.parametrize(("given", "asked"), ADDRESSES.items())
async def test_where_the_api_is(given, asked) -> None:
    seen = []

    def reply(sent: httpx2.Request) -> httpx2.Response:
        seen.append(str(sent.url))
        return vector([])

    prometheus = Played()
    prometheus.replies.append(reply)
    metrics = prometheus.metrics(given)
    await prometheus.read(metrics, SHOP)
    assert seen == [asked]
    await metrics.aclose()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "must be a URL such as"),
        ("prometheus:9090", "must be a URL such as"),
        ("ftp://prometheus", "must be a URL such as"),
        ("http://", "must be a URL such as"),
        (f"http://user:{SECRET}@prometheus:port", "must be a URL such as"),
        ("http://prometheus?tenant=a", r"without '\?' and '#'"),
    ],
)
def test_what_is_no_address_is_refused(url, sentence) -> None:
    with pytest.raises(InvalidInput, match=sentence) as raised:
        Played().metrics(url)
    assert SECRET not in str(raised.value)


def test_an_authority_needs_https_and_a_file(tmp_path) -> None:
    with pytest.raises(InvalidInput, match="use https"):
        Played().metrics("http://prometheus", ca=tmp_path / "ca.pem")
    with pytest.raises(InvalidInput, match=r"cannot be read from .*ca.pem: No such file"):
        Played().metrics("https://prometheus", ca=tmp_path / "ca.pem")
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(InvalidInput, match=r"cannot be read from .*ca.pem"):
        Played().metrics("https://prometheus", ca=tmp_path / "ca.pem")

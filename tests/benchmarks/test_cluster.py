"""What the benchmark of the controller counts by: requests as the API server names them, pages that are subtracted."""

from __future__ import annotations

import math

import httpx2
import pytest
from benchmarks.cluster.controller import described
from benchmarks.cluster.figures import Page
from benchmarks.cluster.manifests import HELD, MOVING, Place, experiment, group_of, namespaces

from serin.api.v1alpha2 import validation

EXPERIMENTS, ISTIO = "/apis/iter8.tools/v1alpha2", "/apis/networking.istio.io/v1"


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("GET", f"{EXPERIMENTS}/experiments?watch=true", ("watch", "experiments", "")),
        ("GET", "/api/v1/services", ("list", "services", "")),
        ("GET", f"{EXPERIMENTS}/namespaces/held-1/experiments/a", ("get", "experiments", HELD)),
        ("PATCH", f"{EXPERIMENTS}/namespaces/held-1/experiments/a/status", ("patch", "experiments/status", HELD)),
        ("PUT", f"{ISTIO}/namespaces/moving-0/virtualservices/a", ("update", "virtualservices", MOVING)),
        ("POST", "/api/v1/namespaces/moving-5/events", ("create", "events", MOVING)),
        ("POST", "/apis/coordination.k8s.io/v1/namespaces/iter8/leases", ("create", "leases", "")),
    ],
)  # fmt: skip
def test_requests_are_named_as_the_api_server_does(method: str, path: str, named: tuple[str, str, str]) -> None:
    assert described(httpx2.Request(method, f"https://api{path}")) == named


def test_what_happened_between_two_pages_is_their_difference() -> None:
    before = Page.of('# TYPE lag histogram\nlag_bucket{le="0.1"} 5\nlag_bucket{le="1"} 5\nlag_bucket{le="+Inf"} 5\n')
    after = Page.of('# TYPE lag histogram\nlag_bucket{le="0.1"} 5\nlag_bucket{le="1"} 104\nlag_bucket{le="+Inf"} 105\n')
    between = after - before
    assert between.quantile("lag", 0.5) == 1.0
    assert between.quantile("lag", 1.0) == math.inf
    assert math.isnan((before - before).quantile("lag", 0.5))


def test_every_fifth_experiment_moves_its_weights_and_all_are_valid() -> None:
    places = [Place(number) for number in range(100)]
    assert [place.group for place in places].count(MOVING) == 20
    assert {place.namespace for place in places} == set(namespaces())
    for place in places[:5]:
        assert group_of(place.namespace) == place.group
        validation.load(experiment(place))

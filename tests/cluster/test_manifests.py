"""The definition on a real API server: what is accepted, what is refused and how, what people read of it.

Every manifest that `tests/api/test_refused.py` has for an Experiment stands in one of two tables here: refused by the
API server, or taken by it and left to the controller. Both look at the same object, our own parser's: kubectl reads
some words of YAML differently.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest
import yaml
from deploy.rendering.generated import CRD
from lab import Lab, PartFailed

from serin.adapters.kube.api import Api
from serin.adapters.kube.connection import access
from serin.adapters.kube.objects import KubeObjects
from serin.api import manifest
from serin.api.shape import without_nulls
from serin.api.v1alpha2 import schema, validation
from serin.control.engine import Engine
from serin.fakes import FakeClock, FakeDataPlane, FakeMetrics, FakeSink
from serin.home.daemon import SystemClock
from serin.ports import EXPERIMENT
from tests.api.originals import ORIGINALS
from tests.api.structural import walk
from tests.api.test_refused import WRONG_EXPERIMENT

REFUSED = {
    "no name": "metadata.name: Required value",
    "a name in capitals": 'metadata.name: Invalid value: "Rollout": a lowercase RFC 1123 subdomain',
    "a namespace with a dot": 'namespaces "a.b" not found',
    "no spec": "spec: Required value",
    "an empty spec": "spec: Required value",
    "no service": "spec.service: Required value",
    "no baseline": "spec.service.baseline: Required value",
    "no candidates": "spec.service.candidates: Required value",
    "a candidate instead of a list": "spec.service.candidates in body must be of type array",
    "a candidate twice": "spec.service.candidates: Invalid value: 'shop-v2' is named twice; remove one of the two",
    "a version that is no DNS name": "'shop_v1' is no DNS name; use a-z, 0-9, '-' and '.' only",
    "a version that is a number": "spec.service.baseline in body must be of type string",
    "an empty name": "spec.service.name: Invalid value: \"\": '' is no DNS label",
    "no service name and no host": "spec.service.name: Required value: is missing; name the Service, or give",
    "an unknown kind of version": 'supported values: "Deployment", "Service"',
    "a version of the API that is not the kind's": "must be 'v1' for kind Service, not 'apps/v1'",
    "a port out of range": "spec.service.port in body should be less than or equal to 65535",
    "a misspelled field": 'unknown field "spec.criteria[0].tresholds"',
    "a field in the wrong place": 'unknown field "spec.maxIterations"',
    "a field nobody knows": 'unknown field "spec.colour"',
    "an interval without a unit": "spec.duration.interval in body must be of type string",
    "an interval without a unit, in quotes": "'15' has no unit; write '15s' or '1m'",
    "an interval in words": "'soon' is no duration; write for example '15s', '1m30s' or '500ms'",
    "an interval of nothing": "'0s' is not positive; write for example '15s' or '1m'",
    "a negative interval": "'-15s' is not positive; write for example '15s' or '1m'",
    "no iterations": "spec.duration.maxIterations in body should be greater than or equal to 1",
    "half an iteration": "spec.duration.maxIterations in body must be of type integer",
    "a threshold of NaN": "spec.criteria[0].threshold.value in body must be of type number",
    "an infinite threshold": "spec.criteria[0].threshold.value in body must be of type number",
    "a threshold in quotes": "spec.criteria[0].threshold.value in body must be of type number",
    "a threshold without a type": "spec.criteria[0].threshold.type: Required value",
    "a relative limit of nothing": "must be more than 0, the factor of the baseline's value for a relative limit",
    "two rewards": "spec.criteria: Invalid value: there is more than one reward (isReward); one at most is allowed",
    "a margin without a reward": "spec.criteria[0].margin: Invalid value: belongs to a reward; set isReward or remove",
    "a quantile of 100 %": "spec.criteria[0].quantile in body should be less than 1",
    "an unknown metric": "not defined in spec.metrics: books_per_requests",
    "a relative limit on a counter": "which grows with traffic; a relative limit needs a ratio metric",
    "a counter as reward": "the reward is a counter metric; a reward must be a ratio metric",
    "a metric twice": "defined twice; give one of the two another name: iter8_request_count",
    "a ratio of what is no counter": "made of what is no counter metric here: books_per_request",
    "definitions without the request count": "counter metric 'iter8_request_count' is missing; every experiment",
    "an unknown strategy": 'supported values: "progressive", "top_2", "uniform", "top_two_ts"',
    "a step of nothing": "spec.trafficControl.maxIncrement in body should be greater than or equal to 1",
    "more than all traffic": "spec.trafficControl.percentage in body should be less than or equal to 100",
    "an unknown end": 'supported values: "to_winner", "to_baseline", "keep_last"',
    "a match with two forms": "http[0].uri: Invalid value: must have one of exact, prefix and regex",
    "a header to be absent in two forms": "withoutHeaders[user]: Invalid value: must have one of exact, prefix and",
    "a match with a broken expression": "error parsing regexp: missing closing ): `(a`",
    "an expression that looks ahead": "looks ahead or behind, which proxies cannot (RE2); write it without",
    "a host without a gateway": "spec.networking.hosts[0].gateway: Required value",
    "a host that is none": "'http://shop.com' is no host; write for example 'shop.example.com' or '*'",
    "a router id that is no label": "'shop router' is no label value; use letters, digits, '-', '_' and '.' only",
    "two router ids": "spec.trafficControl.routerID: Invalid value: 'b' is not networking.id 'a'; give one of the two",
    "an unknown action": 'supported values: "pause", "resume", "terminate"',
    "a split without an end": "belongs to action 'terminate', not to 'pause'",
    "a split that does not add up": "adds up to less than 100; the shares must add up to 100",
    "a split to a stranger": "names a version that this experiment does not have; there are shop-v1, shop-v2",
    "a negative share": "trafficSplit.shop-v1 in body should be less than or equal to 100",
    "an error rate of 1": "spec.analysis.falsePromotion in body should be less than 1",
    "an error rate of 0": "spec.analysis.falseRollback in body should be greater than 0",
    "a warm-up that goes back": "'-5s' is negative; write a duration of 0s or more",
    "no patience at all": "spec.analysis.progressDeadline: Invalid value: \"0s\": '0s' is not positive",
    "cleanup in words": "spec.cleanup in body must be of type boolean",
    "an address without a scheme": "is no address; write for example 'http://iter8-analytics.iter8:8080'",
}
"""Case of `WRONG_EXPERIMENT` -> what the API server says of it."""

LEFT_TO_THE_CONTROLLER = {
    "a name too long for the label": "TargetsError: Invalid service spec: metadata.name: "
    f"'{'r' * 60}.NAMESPACE' has COUNT characters; name and namespace become a label, which may have 63 at most",
}
"""Case -> what the controller answers. A rule sees no namespace."""

BEYOND = {
    "a name too long in any namespace": ({"metadata": {"name": "r" * 62}}, "metadata.name: Invalid value: is too long"),
    "a router id that would be too long": (
        {"spec": {"service": {"name": "s" * 30, "namespace": "n" * 20}}},
        "no router id is given, and the one derived from the service or the host is no label value",
    ),
    "a wildcard that makes no router id": (
        {"spec": {"service": {"name": None}, "networking": {"hosts": [{"name": "*.shop.com", "gateway": "g"}]}}},
        "no router id is given",
    ),
    "a delay without a reward": ({"spec": {"criteria": [{"metric": "a", "delay": "5s"}]}}, "belongs to a reward"),
    "a host twice": (
        {"spec": {"networking": {"hosts": [{"name": "a", "gateway": "g"}] * 2}}},
        "a host is named twice at one gateway; remove one of the two",
    ),
    "a path matched by nothing": (
        {"spec": {"trafficControl": {"match": {"http": [{"uri": {}}]}}}},
        "http[0].uri: Invalid value: must have one of exact, prefix and regex",
    ),
    "a counter and a ratio of one name": (
        {
            "spec": {
                "metrics": {
                    "counter_metrics": [{"name": "iter8_request_count", "query_template": "x"}],
                    "ratio_metrics": [
                        {
                            "name": "iter8_request_count",
                            "numerator": "iter8_request_count",
                            "denominator": "iter8_request_count",
                        }
                    ],
                }
            }
        },
        "a counter metric and a ratio metric have the same name",
    ),
    "65 candidates": ({"spec": {"service": {"candidates": [f"v{i}" for i in range(65)]}}}, "Too many: 65"),
}
"""What only an API server has to be told apart: a change of a valid experiment -> what it says."""


@pytest.fixture(scope="module")
def defined(lab: Lab) -> Lab:
    """The lab with our definition."""
    lab.kubectl_run("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    lab.kubectl_run("wait", "--for=condition=Established", f"crd/{schema.NAME}")
    return lab


def parsed(text: str | bytes) -> dict[str, Any]:
    (found,) = [each.object for each in manifest.parse(text, "f.yaml") if each.object["kind"] == "Experiment"]
    return dict(found)


def created(lab: Lab, obj: dict[str, Any], *words: str) -> str:
    """What kubectl says to a creation that is only tried."""
    try:
        return lab.kubectl_run("create", "--dry-run=server", *words, "-f", "-", stdin=json.dumps(obj))
    except PartFailed as refusal:
        return str(refusal)


def test_every_wrong_manifest_is_in_one_of_the_tables() -> None:
    assert set(REFUSED) | set(LEFT_TO_THE_CONTROLLER) == set(WRONG_EXPERIMENT)
    assert not set(REFUSED) & set(LEFT_TO_THE_CONTROLLER)
    assert len(WRONG_EXPERIMENT) >= 60


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_manifest_is_refused_with_a_sentence(defined: Lab, name: str) -> None:
    said = created(defined, parsed(WRONG_EXPERIMENT[name][0]))
    assert REFUSED[name] in said
    assert "failed" in said


@pytest.mark.parametrize("name", LEFT_TO_THE_CONTROLLER)
async def test_what_the_api_server_cannot_know_the_controller_answers(defined: Lab, namespace: str, name: str) -> None:
    obj = parsed(WRONG_EXPERIMENT[name][0])
    defined.kubectl_run("create", "-n", namespace, "-f", "-", stdin=json.dumps(obj))
    said = await answered(defined, namespace, obj["metadata"]["name"])
    expected = LEFT_TO_THE_CONTROLLER[name].replace("NAMESPACE", namespace)
    assert said == expected.replace("COUNT", str(len(f"{obj['metadata']['name']}.{namespace}")))
    assert defined.kubectl_run("get", "virtualservices,destinationrules", "-n", namespace, "-o", "name") == ""


async def answered(lab: Lab, namespace: str, name: str) -> str:
    """The first word of the control layer about an experiment. Nothing but the API server is real here."""
    objects = KubeObjects(Api(access(str(lab.kubeconfig)).client()))
    engine = Engine(objects, FakeMetrics(FakeClock()), SystemClock(), FakeSink(), FakeDataPlane())
    running = asyncio.create_task(engine.run())
    try:
        async with asyncio.timeout(30), aclosing(objects.watch(EXPERIMENT, namespace=namespace)) as events:
            async for event in events:
                if event.object.get("metadata", {}).get("name") == name and event.object.get("status"):
                    return str(event.object["status"]["message"])
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await objects.aclose()
    raise AssertionError("unreachable: a watch has no end")


@pytest.mark.parametrize(("change", "said"), BEYOND.values(), ids=BEYOND)
def test_what_else_is_refused(defined: Lab, change: dict[str, Any], said: str) -> None:
    obj = parsed(ORIGINALS["nothing but the versions"])
    for part, fields in change.items():
        for name, value in fields.items():
            old = obj[part].get(name)
            obj[part][name] = {**old, **value} if isinstance(old, dict) else value
    assert said in created(defined, obj)


@pytest.mark.parametrize("text", ORIGINALS.values(), ids=ORIGINALS)
def test_a_file_that_the_original_accepted_is_accepted_and_keeps_every_field(defined: Lab, text: str) -> None:
    obj = parsed(text)
    obj["metadata"].pop("namespace", None)
    kept = json.loads(created(defined, obj, "-o", "json"))
    assert list(lost(without_nulls(obj["spec"]), kept["spec"])) == []
    assert validation.problems(kept) == []


def lost(given: Any, kept: Any, path: str = "spec") -> Iterator[str]:
    """Paths of what was given and is not kept as it was; more may be there."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            yield from lost(value, kept.get(name), f"{path}.{name}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for i, (value, other) in enumerate(zip(given, kept, strict=True)):
            yield from lost(value, other, f"{path}[{i}]")
    elif given != kept:
        yield path


def test_the_defaults_are_written_in_and_are_those_of_the_types(defined: Lab) -> None:
    obj = parsed(ORIGINALS["nothing but the versions"])
    kept = json.loads(created(defined, obj, "-o", "json"))
    assert validation.load(kept).spec == validation.load(obj).spec
    assert kept["spec"]["duration"] == {"interval": "30s", "maxIterations": 100}


def test_a_field_that_nobody_knows_is_dropped_when_the_client_does_not_ask_for_more(defined: Lab) -> None:
    obj = parsed(ORIGINALS["nothing but the versions"])
    obj["spec"]["colour"] = "red"
    assert 'unknown field "spec.colour"' in created(defined, obj)
    kept = json.loads(created(defined, obj, "--validate=false", "-o", "json"))
    assert "colour" not in kept["spec"]


STATUS = {
    "phase": "Progressing",
    "message": "IterationUpdate: Iteration 3/8 completed",
    "experimentType": "Canary",
    "effectiveHosts": ["reviews", "reviews.example.com"],
    "assessment": {
        "winner": {
            "name": "reviews-v3",
            "current_best_version": "candidate-0",
            "winning_version_found": False,
            "probability_of_winning_for_best_version": 0.875,
        }
    },
    "analysisState": {"anything": {"at": ["all", None]}},
}


def test_the_columns_are_those_of_the_original(defined: Lab, namespace: str) -> None:
    obj = parsed(ORIGINALS["nothing but the versions"])
    defined.kubectl_run("create", "-n", namespace, "-f", "-", stdin=json.dumps(obj))
    patch = json.dumps({"status": STATUS})
    words = ("-n", namespace, "experiment", "reviews", "--subresource=status", "--type=merge", "-p", patch)
    defined.kubectl_run("patch", *words)
    shown = " ".join(defined.kubectl_run("get", "experiment", "-n", namespace).split())
    told = 'reviews Canary ["reviews","reviews.example.com"] Progressing false reviews-v3'
    message = "IterationUpdate: Iteration 3/8 completed"
    assert shown == f"NAME TYPE HOSTS PHASE WINNER FOUND CURRENT BEST STATUS {told} {message}"
    shown = " ".join(defined.kubectl_run("get", "exp", "-n", namespace, "-o", "wide").split())
    headings = "NAME TYPE HOSTS PHASE WINNER FOUND CURRENT BEST CONFIDENCE STATUS BASELINE CANDIDATES"
    assert shown == f'{headings} {told} 0.875 {message} reviews-v2 ["reviews-v3"]'
    for category in ("all", "iter8"):
        assert "reviews" in defined.kubectl_run("get", category, "-n", namespace)


def test_the_status_is_apart_and_what_the_controller_remembers_is_kept(defined: Lab, namespace: str) -> None:
    obj = {**parsed(ORIGINALS["nothing but the versions"]), "status": STATUS}
    where = ("-n", namespace, "experiment", "reviews", "-o", "json")
    defined.kubectl_run("create", "-n", namespace, "-f", "-", stdin=json.dumps(obj))
    assert "status" not in json.loads(defined.kubectl_run("get", *where))
    patch = ("patch", *where, "--subresource=status", "--type=json", "-p")
    written = json.loads(defined.kubectl_run(*patch, json.dumps([{"op": "add", "path": "/status", "value": STATUS}])))
    assert written["status"]["analysisState"] == STATUS["analysisState"]
    assert written["metadata"]["generation"] == 1


def test_what_every_field_is_for_can_be_asked(defined: Lab) -> None:
    told = defined.kubectl_run("explain", "experiment", "--recursive")
    for path, part in walk(schema.open_api_schema()):
        name = path.removesuffix(".*").split(".")[-1]
        assert not path or name in told
        if part["type"] == "object" and part.get("properties") and path.split(".")[0] in ("spec", "status"):
            explained = defined.kubectl_run("explain", f"experiment.{path.replace('.*', '')}")
            assert "<empty>" not in explained, path
            assert "\n\n\n" not in explained.split("FIELDS:")[-1].rstrip(), path


def test_the_definition_is_established_without_a_complaint(defined: Lab) -> None:
    found = json.loads(defined.kubectl_run("get", "crd", schema.NAME, "-o", "json"))
    held = {each["type"]: each["status"] for each in found["status"]["conditions"]}
    assert held["Established"] == held["NamesAccepted"] == "True"
    assert held.get("NonStructuralSchema", "False") == "False"
    committed = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]
    assert found["spec"]["versions"][0]["schema"] == committed

"""The lab itself is real: what it says of Pods, routes and requests is what happens."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from lab import Lab, PartFailed, claim
from lab import namespace as netns
from scipy.stats import binomtest

from tests.cluster import objects
from tests.cluster.conftest import SHOP

PATIENCE = 30.0
CHANCE = 1e-6
"""Of a false alarm, for each comparison of shares."""


def eventually(what: str, holds: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Ask until the answer is true, and return it; a part that cannot answer yet counts as no."""
    deadline = time.monotonic() + patience
    while True:
        with contextlib.suppress(PartFailed, httpx2.HTTPError):
            if found := holds():
                return found
        assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what}"
        time.sleep(0.1)


class Stage:
    """A namespace of the lab, its host at the gateway, and what a person would do in it."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.name, self.host = lab, name, f"{name}.example.com"
        self._client = httpx2.Client(base_url=lab.gateway, headers={"host": self.host}, trust_env=False, timeout=10.0)

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.lab.kubectl_run("--namespace", self.name, *words, stdin=stdin)

    def apply(self, *manifests: objects.Manifest) -> None:
        self.kubectl("apply", "--server-side", "--filename=-", stdin=objects.stream(*manifests))

    def serve(self, **weights: int) -> None:
        """Versions behind the gateway, each ready, with these weights."""
        self.apply(objects.service(), objects.way_in(self.host), *map(objects.deployment, weights))
        self.route(**weights)
        for version in weights:
            self.kubectl("wait", "--for=condition=Available", f"deployment/model-{version}", "--timeout=30s")
        eventually("the gateway answers", lambda: self.get("/").status_code == 200)

    def route(self, **weights: int) -> None:
        self.apply(objects.subsets(*weights), objects.routes(self.host, **weights))

    def get(self, path: str) -> httpx2.Response:
        return self._client.get(path)

    def pods(self) -> list[dict[str, Any]]:
        return list(json.loads(self.kubectl("get", "pods", "--output=json"))["items"])

    def counted(self) -> dict[str, int]:
        """Requests by version, as Prometheus tells it."""
        query = f'sum by (destination_workload) (istio_requests_total{{destination_workload_namespace="{self.name}"}})'
        found = ask_prometheus(self.lab, query)
        return {each["metric"]["destination_workload"]: int(float(each["value"][1])) for each in found}


def ask_prometheus(lab: Lab, query: str) -> list[dict[str, Any]]:
    answer = httpx2.get(f"{lab.prometheus}/api/v1/query", params={"query": query}, trust_env=False).raise_for_status()
    return list(answer.json()["data"]["result"])


def ready(pod: dict[str, Any]) -> bool:
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def process_of(pod: dict[str, Any], lab: Lab) -> int | None:
    """The process that stands for a Pod."""
    for pid in netns.pids(f"{claim.PREFIX}{lab.name}"):
        with contextlib.suppress(OSError):
            if f"POD_NAME={pod['metadata']['name']}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                return pid
    return None


@pytest.fixture
def stage(lab: Lab, namespace: str) -> Iterator[Stage]:
    stage = Stage(lab, namespace)
    yield stage
    stage._client.close()


def test_a_deployment_gets_a_ready_pod_that_answers_through_the_gateway(stage):
    stage.serve(v1=100)
    (pod,) = stage.pods()
    assert ready(pod)
    assert pod["spec"]["nodeName"] == "lab-node"
    assert stage.get("/").text == "fast"
    assert "serving" in stage.kubectl("logs", pod["metadata"]["name"])


def test_weights_split_requests(stage):
    stage.serve(v1=80, v2=20)
    before = eventually("Prometheus has the first request", stage.counted)
    for _ in range(500):
        assert stage.get("/").status_code == 200
    total = sum(before.values()) + 500
    counted = eventually("Prometheus has them all", lambda: sum((now := stage.counted()).values()) == total and now)
    share = Counter(counted)
    share.subtract(before)
    assert binomtest(share["model-v1"], 500, 0.8).pvalue > CHANCE, share


def test_what_the_gateway_acknowledged_is_seen_at_istiod(stage):
    stage.serve(v1=100)
    (proxy,) = stage.lab.istiod_debug("syncz")
    assert "istio-ingressgateway" in json.dumps(proxy)
    stage.apply(objects.deployment("v2"))
    stage.kubectl("wait", "--for=condition=Available", "deployment/model-v2", "--timeout=30s")
    stage.route(v1=0, v2=100)
    eventually("all that was sent is acknowledged", stage.lab.acknowledged)
    assert stage.get("/").status_code == 200


def test_istio_says_what_it_refuses(lab):
    assert lab.istio_refusal(objects.stream(objects.routes("a.example.com", v1=80, v2=20))) is None
    wrong = objects.routes("a.example.com", v1=80, v2=20)
    wrong["spec"]["http"][0]["route"][0]["destination"]["host"] = ""
    assert "empty domain name" in (lab.istio_refusal(objects.stream(wrong)) or "")


def test_durations_are_counted_as_istio_does(stage):
    stage.serve(v1=100)
    for _ in range(3):
        stage.get("/slow/0.3")
    labels = f'destination_service_name="model",destination_service_namespace="{stage.name}",reporter="source"'
    labels += ',destination_workload="model-v1",response_code="200",job="kubernetes-pods"'
    bucket = f"istio_request_duration_milliseconds_bucket{{{labels},le='%s'}}"
    slow = f"sum({bucket % '+Inf'}) - sum({bucket % '250'}) >= 3"
    eventually("three requests took more than 250 ms", lambda: ask_prometheus(stage.lab, slow))
    mean = f"sum(istio_request_duration_milliseconds_sum{{{labels}}}) / sum(istio_requests_total{{{labels}}})"
    (found,) = ask_prometheus(stage.lab, mean)
    assert 100 < float(found["value"][1]) < 1000, "milliseconds of three slow requests and a few quick ones"


def test_a_pod_is_not_ready_before_its_probe_succeeds(stage):
    stage.apply(objects.service(), objects.way_in(stage.host), objects.deployment("v1", "--start-delay=3"))
    stage.route(v1=100)
    (pod,) = eventually("its process runs", lambda: [each for each in stage.pods() if process_of(each, stage.lab)])
    assert not ready(pod)
    counts = eventually("it answers", lambda: (got := stage.get("/counts")).status_code == 200 and got.json())
    assert counts["early"] == 0
    assert all(map(ready, stage.pods()))


def test_deleting_a_deployment_ends_its_process_after_its_requests(stage):
    stage.serve(v1=100)
    (pod,) = stage.pods()
    pid = process_of(pod, stage.lab)
    assert pid is not None
    with subprocess.Popen(
        ["curl", "-s", "-H", f"host: {stage.host}", f"{stage.lab.gateway}/slow/0.7"], stdout=subprocess.PIPE, text=True
    ) as asking:
        eventually("the request is under way", lambda: "slow request" in stage.kubectl("logs", pod["metadata"]["name"]))
        stage.kubectl("delete", "deployment", "model-v1", "--wait=false")
        assert asking.communicate(timeout=10)[0] == "slow"
    eventually("the Pod is gone", lambda: not stage.pods())
    assert not Path(f"/proc/{pid}").exists()


def test_a_new_api_server_finds_everything_at_work(stage):
    stage.serve(v1=100)
    stage.lab.restart_apiserver()
    stage.apply(objects.deployment("v2"))
    stage.kubectl("wait", "--for=condition=Available", "deployment/model-v2", "--timeout=30s")
    stage.route(v2=100)
    eventually("the new route is taken", lambda: stage.get("/").status_code == 200 and stage.counted().get("model-v2"))


def test_prometheus_keeps_what_it_knew(stage):
    stage.serve(v1=100)
    before = eventually("Prometheus has the first request", stage.counted)
    stage.lab.stop_prometheus()
    with pytest.raises(httpx2.ConnectError):
        stage.counted()
    stage.lab.start_prometheus()
    assert stage.counted() == before


def test_prometheus_reads_the_pages_of_annotated_pods_while_they_are_there(stage):
    shop = objects.deployment("v1")
    template = shop["spec"]["template"]
    template["metadata"]["annotations"] = {"prometheus.io/scrape": "true", "prometheus.io/port": str(objects.PORT)}
    template["spec"]["containers"][0]["image"] = SHOP
    stage.apply(shop, objects.deployment("v2"))
    query = f'visits_total{{namespace="{stage.name}"}}'
    (found,) = eventually("Prometheus reads the page", lambda: ask_prometheus(stage.lab, query))
    (pod,) = (each for each in stage.pods() if each["metadata"]["labels"]["version"] == "v1")
    known = {"pod": pod["metadata"]["name"], "app": "model", "version": "v1", "job": "kubernetes-pods"}
    assert known.items() <= found["metric"].items()
    assert found["metric"]["pod_template_hash"] == pod["metadata"]["labels"]["pod-template-hash"]
    stage.kubectl("delete", "deployment", "model-v1", "--wait=false")
    eventually("Prometheus forgets the Pod", lambda: not ask_prometheus(stage.lab, query))


def test_an_account_may_do_what_rbac_gives_it(stage):
    stage.kubectl("create", "serviceaccount", "reader")
    stage.kubectl("create", "role", "reads-pods", "--verb=get,list", "--resource=pods")
    stage.kubectl("create", "rolebinding", "reader", "--role=reads-pods", f"--serviceaccount={stage.name}:reader")
    reader = stage.lab.kubeconfig_for("reader", stage.name)
    stage.lab.kubectl_run("--namespace", stage.name, "get", "pods", kubeconfig=reader)
    with pytest.raises(PartFailed, match="forbidden"):
        stage.lab.kubectl_run("--namespace", stage.name, "get", "deployments", kubeconfig=reader)
    refusals = [
        json.loads(line)["objectRef"]["resource"]
        for line in stage.lab.audit_log.read_text().splitlines()
        if f"system:serviceaccount:{stage.name}:reader" in line and '"code":403' in line
    ]
    assert refusals == ["deployments"]


def test_what_a_killed_owner_leaves_is_ended_and_cleaned_up(lab):
    name = f"killed-{os.getpid()}"
    program = f"""
import sys, time
from lab import Lab
with Lab({name!r}, mesh=False) as lab:
    lab.kubectl_run("create", "deployment", "model", "--image=lab/answer")
    lab.kubectl_run("wait", "--for=condition=Available", "deployment/model", "--timeout=30s")
    print("up", flush=True)
    time.sleep(60)
"""
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline() == "up\n"
    label = f"{claim.PREFIX}{name}"
    assert len(netns.pids(label)) >= 5
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    eventually("the kernel has ended its processes", lambda: not netns.pids(label))
    assert name in claim.clean_up()
    assert label not in netns.named(claim.PREFIX)
    assert not (Path("/tmp") / label).exists()

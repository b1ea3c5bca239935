"""The Helm chart, rendered by Helm: it says what the kustomizations say, and refuses values that it does not know."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from deploy.rendering.chart import CHART
from lab.build import helm as built

from tests import real_parts
from tests.deploy.objects import INSTALL, OVERLAYS, Objects, objects, one, run, without

pytestmark = pytest.mark.cluster

Render = Callable[..., Objects]


@pytest.fixture(scope="module")
def helm() -> Path:
    """The machine's Helm, or the one that is built as the lab's programs are."""
    if own := shutil.which("helm"):
        return Path(own)
    with real_parts.needed():
        return built(print)


@pytest.fixture(scope="module")
def kubectl() -> str:
    return real_parts.kubectl()


@pytest.fixture
def render(helm: Path) -> Render:
    def rendered(*values: str, namespace: str = "iter8") -> Objects:
        given = [word for value in values for word in ("--set", value)]
        return objects(run(helm, "template", "serin", CHART, "--include-crds", "-n", namespace, *given))

    return rendered


def test_without_values_it_installs_what_the_manifests_do(render: Render) -> None:
    assert render() == without(objects(INSTALL.read_text()), "Namespace")


SAME = {
    "namespaced": (("namespace=default",), "iter8"),
    "selector": (("selector=team=a", "settings.create=false"), "iter8-team-a"),
    "monitoring": (("serviceMonitor.enabled=true",), "iter8"),
}


@pytest.mark.parametrize("overlay", SAME)
def test_its_values_do_what_the_overlays_do(render: Render, kubectl: str, overlay: str) -> None:
    values, namespace = SAME[overlay]
    elsewhere = ("Namespace", "CustomResourceDefinition")
    kustomized = objects(run(kubectl, "kustomize", OVERLAYS / overlay))
    assert without(render(*values, namespace=namespace), *elsewhere) == without(kustomized, *elsewhere)


def test_every_value_changes_what_it_says(render: Render) -> None:
    found = render(
        "replicas=1",
        "image=registry.example/serin:1",
        "prometheus.url=https://prometheus.example",
        "resources.limits.memory=2Gi",
        "networkPolicy.ports={443,9443}",
        "serviceMonitor.enabled=true",
        "serviceMonitor.interval=15s",
        "namespace=default",
        "selector=team in (a\\,b)",
        "options={--scrape-interval=30,--log-level=debug}",
    )
    deployment = one(found, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert deployment["spec"]["replicas"] == 1
    assert container["image"] == "registry.example/serin:1"
    assert container["env"][0] == {"name": "SERIN_PROMETHEUS", "value": "https://prometheus.example"}
    assert container["resources"]["limits"] == {"memory": "2Gi"}
    served = ["--namespace=default", "--selector=team in (a,b)"]
    assert container["args"] == ["controller", *served, "--scrape-interval=30", "--log-level=debug"]
    assert [port["port"] for port in one(found, "NetworkPolicy")["spec"]["egress"][-1]["ports"]] == [443, 9443]
    assert one(found, "ServiceMonitor")["spec"]["endpoints"][0]["interval"] == "15s"
    assert not [place for place in found if place[0] == "PodDisruptionBudget"], "one Pod may always go, too"
    assert not [place for place in render("networkPolicy.enabled=false") if place[0] == "NetworkPolicy"]


@pytest.mark.parametrize("value", ["replica=3", "prometheus.address=x", "replicas=many", "settings.create=1"])
def test_a_value_that_is_none_is_refused(helm: Path, value: str) -> None:
    done = subprocess.run(
        [helm, "template", "serin", CHART, "--set", value], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "values don't meet the specifications" in done.stderr


def test_it_has_no_fault_that_helm_knows(helm: Path) -> None:
    assert "0 chart(s) failed" in run(helm, "lint", "--strict", CHART)
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]

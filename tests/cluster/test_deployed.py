"""The controller as it is installed: the committed manifests, two Pods, one of them lost in the middle of a release."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lab import Lab

from tests.cluster.conftest import SERIN
from tests.cluster.release import ACCOUNT, ROOT, Place, Traffic, eventually, experiment, model

QUICKLY = {"mode": "independent", "earlyStop": True}
LABEL = f"app.kubernetes.io/name={ACCOUNT}"


def deployed(lab: Lab, kubeconfig: Path) -> list[dict[str, Any]]:
    """`install.yaml`, and what the lab asks for.

    It has no volumes and no Secrets, so the account's token comes as a kubeconfig; all Pods share one network
    namespace, so each listens on its own address; Prometheus is elsewhere, and scrapes every second.
    """
    manifests = list(yaml.safe_load_all((ROOT / "deploy/install.yaml").read_text()))
    (deployment,) = (each for each in manifests if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["image"] = SERIN
    container["args"] += ["--address=$(POD_IP)", "--propagation=1", "--drain=2"]
    own = {"SERIN_PROMETHEUS": lab.prometheus, "SERIN_SCRAPE_INTERVAL": "1", "KUBECONFIG": str(kubeconfig)}
    container["env"] = [{"name": name, "value": value} for name, value in own.items()]
    return manifests


class Installed:
    """The installation in the lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def kubectl(self, *words: str) -> str:
        return self.lab.kubectl_run("-n", "iter8", *words)

    def pods(self) -> set[str]:
        """Their names."""
        return set(self.kubectl("get", "pods", "-l", LABEL, "-o", "name").split())

    def leader(self) -> str | None:
        """The Pod that holds the Lease, and says so."""
        lease = json.loads(self.kubectl("get", "lease", ACCOUNT, "-o", "json"))
        leading = f'"identity": "{lease["spec"].get("holderIdentity")}", "event": "leading"'
        return next((pod for pod in self.pods() if leading in self.kubectl("logs", pod)), None)

    def ready(self) -> bool:
        status = json.loads(self.kubectl("get", "deployment", ACCOUNT, "-o", "json"))["status"]
        return bool(status.get("readyReplicas") == status.get("updatedReplicas") == status.get("replicas") == 2)


@pytest.fixture
def installed(lab: Lab, tmp_path: Path) -> Iterator[Installed]:
    kubeconfig = tmp_path / "kubeconfig"
    manifests = deployed(lab, kubeconfig)
    lab.kubectl_run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(manifests))
    lab.kubectl_run("wait", "--for=condition=Established", "crd/experiments.iter8.tools", "--timeout=30s")
    kubeconfig.write_text(lab.kubeconfig_for(ACCOUNT, "iter8").read_text())
    found = Installed(lab)
    yield found
    found.kubectl("delete", "deployment", ACCOUNT, "--wait=false")
    eventually("its Pods are gone", lambda: not found.pods())


def planned(lab: Lab, place: Place) -> dict[str, Any]:
    """What `serin plan --from-baseline` says of the experiment. Raises PartFailed while too little is counted."""
    words = ["plan", "-f", "-", "--from-baseline", "--home", "cluster", "-o", "json"]
    manifest = yaml.safe_dump({**experiment(place.host), "metadata": {"name": "planned", "namespace": place.name}})
    told = {"SERIN_PROMETHEUS": lab.prometheus, "SERIN_SCRAPE_INTERVAL": "1"}
    variables = [f"{name}={value}" for name, value in told.items()]
    return dict(json.loads(lab.run("env", *variables, sys.executable, "-m", "serin", *words, stdin=manifest)))


def test_a_release_outlives_the_leaders_pod(lab: Lab, namespace: str, installed: Installed) -> None:
    place = Place(lab, namespace)
    place.production()
    with Traffic(place) as traffic:
        eventually("both replicas are ready", installed.ready)
        first = eventually("one of them leads", installed.leader)
        place.apply(experiment(place.host, interval="2s", iterations=500, analysis=QUICKLY), *model("v2"))
        eventually("it is under way", lambda: place.message().startswith("IterationUpdate"))
        installed.kubectl("delete", first, "--wait=false")
        second = eventually("the other leads", lambda: (pod := installed.leader()) not in (None, first) and pod)
        forecast = eventually("there is something to plan by", lambda: planned(lab, place))
        place.finished(timeout=120.0)
    assert second in installed.pods()
    assert traffic.lost == []
    assert place.message() == "ExperimentCompleted: Traffic To Winner"
    assert "fashionmnist-v1" not in place.kubectl("get", "deployments", "-o", "name")
    assert forecast["rate"] > 1.0
    assert all(each["baseline"] is not None for each in forecast["criteria"])
    eventually("there are two again", installed.ready)

"""The installation on a real API server: taken as it is, by a second time without a change, with the rights it says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from deploy.rendering.sources import DEPLOY
from lab import Lab, PartFailed

from tests.deploy.objects import INSTALL, OVERLAYS
from tests.deploy.test_install import EVERYWHERE, IN_ITER8

ACCOUNT = "system:serviceaccount:iter8:serin-controller"


@pytest.fixture(scope="module")
def installed(lab: Lab) -> Iterator[Lab]:
    """The lab with what `install.yaml` says; its Deployment goes afterwards, so that others can have their own."""
    said = applied(lab, INSTALL)
    assert "Warning" not in said
    yield lab
    lab.kubectl_run("delete", "-n", "iter8", "deployment", "serin-controller", "--wait=false")


def applied(lab: Lab, *words: object) -> str:
    """What kubectl says to an installation, warnings too."""
    where = [word for path in words for word in ("-f", str(path))]
    return lab.kubectl_run("apply", "--server-side", "--force-conflicts", "--warnings-as-errors", *where)


def test_a_second_time_changes_nothing(installed: Lab) -> None:
    before = versions(installed)
    applied(installed, INSTALL)
    assert versions(installed) == before
    assert len(before) == 14


def versions(lab: Lab) -> dict[str, int]:
    """`generation` of everything installed (what has none: resourceVersion)."""
    found = json.loads(lab.kubectl_run("get", "-f", str(INSTALL), "-o", "json"))["items"]
    return {
        f"{each['kind']}/{each['metadata']['name']}": int(
            each["metadata"].get("generation") or each["metadata"]["resourceVersion"]
        )
        for each in found
        if each["kind"] != "Namespace"
    } | {"Namespace/iter8": 0}


@pytest.mark.parametrize("overlay", sorted(path.name for path in OVERLAYS.iterdir()))
def test_an_overlay_is_taken(installed: Lab, overlay: str) -> None:
    """All but the ServiceMonitor, whose kind is the Prometheus Operator's, and what is in a namespace to be made."""
    rendered = installed.kubectl_run("kustomize", str(OVERLAYS / overlay))
    elsewhere = ("kind: ServiceMonitor", "kind: Namespace")
    parts = [part for part in rendered.split("\n---\n") if not any(word in part for word in elsewhere)]
    there = "\n---\n".join(parts).replace("namespace: iter8-team-a", "namespace: iter8")
    words = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--warnings-as-errors", "-f", "-")
    assert "serin-controller" in installed.kubectl_run(*words, stdin=there)


def test_the_base_is_taken_as_a_kustomization(installed: Lab) -> None:
    words = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-k", str(DEPLOY / "base"))
    assert "deployment.apps/serin-controller" in installed.kubectl_run(*words)


@pytest.mark.parametrize(("namespace", "allowed"), [("default", EVERYWHERE), ("iter8", EVERYWHERE | IN_ITER8)])
def test_its_account_may_do_what_is_said_and_nothing_else(
    installed: Lab, namespace: str, allowed: dict[str, set[str]]
) -> None:
    anybody = rights(installed, namespace, "system:serviceaccount:iter8:nobody")
    assert rights(installed, namespace, ACCOUNT) == anybody | allowed
    assert not set(anybody) & set(allowed)
    assert all(not resource.startswith(("/secrets", "/pods/exec", "*")) for resource in anybody)


def rights(lab: Lab, namespace: str, account: str) -> dict[str, set[str]]:
    """What RBAC allows an account in a namespace: `group/resource` to verbs."""
    told = lab.kubectl_run("auth", "can-i", "--list", "-n", namespace, f"--as={account}", "--no-headers")
    found: dict[str, set[str]] = {}
    for line in told.splitlines():
        if match := re.match(r"(\S+?)(?:\.(\S+))?\s+\[\]\s+\[\]\s+\[(.*)\]", line):
            kind, _, sub = match[1].partition("/")
            group, _, of = (match[2] or "").partition("/")
            name = f"{group}/{kind}" + (f"/{sub or of}" if sub or of else "")
            found.setdefault(name, set()).update(match[3].split())
    return found


def test_its_pods_fit_the_strictest_standard_and_are_made(installed: Lab) -> None:
    """The namespace enforces `restricted`: a Pod that did not fit would not be made."""
    for what in ("replicaset", "pods"):
        words = ("-n", "iter8", what, "-l", "app.kubernetes.io/name=serin-controller")
        installed.kubectl_run("wait", "--for=create", "--timeout=30s", *words)
    pods = json.loads(installed.kubectl_run("get", *words, "-o", "json"))["items"]
    assert len(pods) == 2
    # A Pod without the settings is refused: the standard is really enforced here.
    bare = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare", "namespace": "iter8"}}
    spec = {"containers": [{"name": "a", "image": "lab/pause"}]}
    with pytest.raises(PartFailed, match="violates PodSecurity"):
        installed.kubectl_run("create", "--dry-run=server", "-f", "-", stdin=json.dumps({**bare, "spec": spec}))

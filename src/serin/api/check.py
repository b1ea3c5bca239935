"""What is wrong and what is doubtful about any object that a person may apply, by its kind.

`admit` is for a file that was read; `problems` and `warnings` for an object that came from elsewhere. Nothing here
looks at other objects: whether a service exists is not a question of form.
"""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from serin.api import istio, kubernetes
from serin.api.acted import SHAPES, unacted
from serin.api.manifest import Manifest
from serin.api.places import Problem, did_you_mean, name_of
from serin.api.shape import problems_of, without_nulls
from serin.api.v1alpha2 import validation
from serin.api.v1alpha2.types import Experiment
from serin.errors import InvalidInput
from serin.metrics import definitions, promql
from serin.ports import CONFIG_MAP, EXPERIMENT, KINDS, Kind

APPLICABLE = (*SHAPES, EXPERIMENT)
"""The kinds that a person may apply. The others of `ports.KINDS` are made by the home itself."""

Object = Mapping[str, Any]


def kind_of(obj: Object) -> Kind | Problem:
    """The kind of an object, or what is wrong with its `kind` and `apiVersion`."""
    version, name = obj.get("apiVersion"), obj.get("kind")
    known = ", ".join(kind.name for kind in APPLICABLE)
    if not isinstance(name, str) or not name:
        return Problem("kind", f"is missing; there are {known}")
    kind = next((kind for kind in APPLICABLE if kind.name == name), None)
    if kind is None:
        if any(kind.name == name for kind in KINDS):
            return Problem("kind", f"'{name}' is made by the home itself and cannot be applied; there are {known}")
        return Problem("kind", f"'{name}' is not known here; there are {known}{did_you_mean(name, known.split(', '))}")
    group = f"{kind.group}/" if kind.group else ""
    versions = [f"{group}{version}" for version in kind.versions]
    if version not in versions:
        wanted = " or ".join(f"'{version}'" for version in versions)
        return Problem("apiVersion", f"must be {wanted} for kind {name}, not {name_of(version)}")
    return kind


def admit(manifest: Manifest) -> list[str]:
    """Warnings about an object of a file, each with its place. Raises InvalidInput with all problems, one a line."""
    found = problems(manifest.object)
    if found:
        raise manifest.place.refusal(found)
    return [f"{manifest.place.place(doubt.path)}{doubt}" for doubt in warnings(manifest.object)]


def problems(obj: Object) -> list[Problem]:
    """What is wrong with an object of any kind; empty when nothing is."""
    kind = kind_of(obj)
    if isinstance(kind, Problem):
        return [kind]
    if kind == EXPERIMENT:
        return validation.problems(obj)
    try:
        read = SHAPES[kind].model_validate(without_nulls(obj))
    except ValidationError as error:
        return problems_of(error, SHAPES[kind])
    return list(_RULES[type(read)](read)) if type(read) in _RULES else []


def warnings(obj: Object) -> list[Problem]:
    """What is allowed and probably not meant, about an object without problems."""
    kind = kind_of(obj)
    if isinstance(kind, Problem):
        return []
    if kind == EXPERIMENT:
        experiment = validation.load(obj)
        return [*validation.warnings(experiment), *_never_matching(experiment)]
    told = [Problem(path, _why_unacted(path)) for path in unacted(obj, kind)]
    return [*told, *_templates(obj)] if kind == CONFIG_MAP else told


def _why_unacted(path: str) -> str:
    if _CONTAINER.fullmatch(path):
        return "only the first container of a Pod is run here"
    if path == "spec.template.spec.initContainers":
        return "only the first of the containers of a Pod is run here, nothing before it"
    return "is not acted on here"


_CONTAINER = re.compile(r"spec\.template\.spec\.containers\[\d+\]")


def _never_matching(experiment: Experiment) -> Iterator[Problem]:
    match = experiment.spec.traffic_control.match
    for i, request in enumerate(match.http if match else []):
        if request.source_labels:
            yield Problem(
                f"spec.trafficControl.match.http[{i}].sourceLabels",
                "matches nothing here, where requests do not tell which Pod they come from",
            )


def _deployment(deployment: kubernetes.Deployment) -> Iterator[Problem]:
    spec = deployment.spec
    labels, wanted = spec.template.metadata.labels, spec.selector.match_labels
    for key, value in wanted.items():
        if labels.get(key) != value:
            yield Problem(
                "spec.selector.matchLabels",
                f"{key}: {value} is not among the labels of the template, so no Pod would belong to the Deployment",
            )
    path = "spec.template.spec.containers"
    yield from _twice(path, (container.name for container in spec.template.spec.containers))
    for i, container in enumerate(spec.template.spec.containers):
        names = {port.name for port in container.ports or [] if port.name}
        for field in ("readiness_probe", "liveness_probe", "startup_probe"):
            probe = getattr(container, field)
            if probe is not None:
                yield from _probe(f"{path}[{i}].{kubernetes.Container.model_fields[field].alias}", probe, names)


def _probe(path: str, probe: kubernetes.Probe, ports: set[str]) -> Iterator[Problem]:
    checks = [check for check in (probe.http_get, probe.tcp_socket, probe.exec) if check is not None]
    if len(checks) != 1:
        yield Problem(path, "must have one of httpGet, tcpSocket and exec")
    for check in checks:
        port = getattr(check, "port", None)
        if isinstance(port, str) and not port.isdigit() and port not in ports:
            yield Problem(path, f"'{port}' is no port of the container{did_you_mean(port, ports)}")


def _twice(path: str, given: Iterable[str], what: str = "name") -> Iterator[Problem]:
    for name, count in Tally(given).items():
        if count > 1:
            yield Problem(path, f"the {what} '{name}' is given {count} times; each may stand once")


def _service(service: kubernetes.Service) -> Iterator[Problem]:
    ports = service.spec.ports
    yield from _twice("spec.ports", (str(port.port) for port in ports), "port")
    yield from _twice("spec.ports", (port.name for port in ports if port.name))
    if len(ports) > 1:
        for i, port in enumerate(ports):
            if not port.name:
                yield Problem(f"spec.ports[{i}].name", "is missing; with several ports each needs a name")


def _config_map(config_map: kubernetes.ConfigMap) -> Iterator[Problem]:
    if config_map.metadata.name != definitions.CONFIG_MAP:
        return
    try:
        definitions.parse_config_map({"data": config_map.data})
    except InvalidInput as error:
        yield Problem("data", str(error))


def _templates(config_map: Object) -> Iterator[Problem]:
    """Query templates that cannot be read without Prometheus."""
    if config_map["metadata"]["name"] != definitions.CONFIG_MAP:
        return
    for counter in definitions.parse_config_map(config_map).counters.values():
        if why := promql.why_not(counter.query_template):
            yield Problem("data", f"counter metric '{counter.name}' cannot be read here: {why}")


def _virtual_service(rule: istio.VirtualService) -> Iterator[Problem]:
    for i, route in enumerate(rule.spec.http or []):
        path = f"spec.http[{i}]"
        given = [way for way in (route.route, route.redirect, route.direct_response, route.delegate) if way]
        if len(given) != 1:
            yield Problem(path, "must have one of route, redirect and directResponse")
        weights = [destination.weight or 0 for destination in route.route or []]
        if len(weights) > 1 and sum(weights) != 100:
            yield Problem(f"{path}.route", f"the weights add up to {sum(weights)}, not to 100")


def _destination_rule(rule: istio.DestinationRule) -> Iterator[Problem]:
    yield from _twice("spec.subsets", (subset.name for subset in rule.spec.subsets or []), "subset")


_RULES: Mapping[type[kubernetes.Object], Callable[[Any], Iterator[Problem]]] = {
    kubernetes.Deployment: _deployment,
    kubernetes.Service: _service,
    kubernetes.ConfigMap: _config_map,
    istio.VirtualService: _virtual_service,
    istio.DestinationRule: _destination_rule,
}

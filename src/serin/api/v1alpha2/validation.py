"""What can be said about an experiment without looking elsewhere, and about its criteria given the definitions.

`load` is for files: it raises with every problem at its line. `problems` is for the engine: a list, never an error.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from serin.api import durations, names
from serin.api.places import Problem, Source, did_you_mean, join, name_of
from serin.api.shape import problems_of, without_nulls
from serin.api.v1alpha2 import convert, defaults, quantiles
from serin.api.v1alpha2.types import Action, Experiment, ExperimentSpec, HTTPMatch, StringMatch
from serin.core.model import LimitKind
from serin.errors import InvalidInput
from serin.metrics.definitions import ALIASES, Counter, Definitions, Ratio
from serin.ports import EXPERIMENT


def load(obj: Mapping[str, Any], lines: Mapping[str, int] | None = None, source: str | None = None) -> Experiment:
    """The experiment in an object. Raises InvalidInput with all problems, one a line, each with its place."""
    experiment, found = _examined(obj)
    if found or experiment is None:
        raise Source(source, lines).refusal(found)
    return experiment


def problems(obj: Mapping[str, Any]) -> list[Problem]:
    """What is wrong with an object that should be an experiment; empty when nothing is."""
    return _examined(obj)[1]


def _examined(obj: Mapping[str, Any]) -> tuple[Experiment | None, list[Problem]]:
    try:
        experiment = Experiment.model_validate(without_nulls(obj))
    except ValidationError as error:
        return None, problems_of(error, Experiment)
    found = [problem for rule in _RULES for problem in rule(experiment)]
    if not found and (given := convert.definitions(experiment)) is not None:
        found = metric_problems(experiment, given)
    return experiment, found


def _identity(experiment: Experiment) -> Iterator[Problem]:
    if experiment.kind != EXPERIMENT.name:
        yield Problem("kind", f"must be '{EXPERIMENT.name}', not {name_of(experiment.kind)}")
    if experiment.api_version != EXPERIMENT.api_version:
        yield Problem("apiVersion", f"must be '{EXPERIMENT.api_version}', not {name_of(experiment.api_version)}")
    label = f"{experiment.metadata.name}.{experiment.metadata.namespace}"
    try:
        names.label_value(label)
    except ValueError:
        yield Problem(
            "metadata.name",
            f"'{label}' has {len(label)} characters; name and namespace become a label, which may have 63 at most",
        )


def _service(experiment: Experiment) -> Iterator[Problem]:
    service, path = experiment.spec.service, "spec.service"
    if service.name is None and not experiment.spec.networking.hosts:
        yield Problem(f"{path}.name", "is missing; name the Service, or give networking.hosts")
    fitting = defaults.API_VERSIONS[service.kind]
    if service.api_version is not None and service.api_version not in fitting:
        wanted = " or ".join(f"'{version}'" for version in fitting)
        yield Problem(f"{path}.apiVersion", f"must be {wanted} for kind {service.kind}, not '{service.api_version}'")
    for name, count in Tally(service.candidates).items():
        if count > 1:
            second = [i for i, other in enumerate(service.candidates) if other == name][1]
            yield Problem(f"{path}.candidates[{second}]", f"'{name}' is named twice; remove one of the two")


def _hosts(experiment: Experiment) -> Iterator[Problem]:
    seen = set()
    for i, host in enumerate(experiment.spec.networking.hosts):
        if (host.name, host.gateway) in seen:
            yield Problem(f"spec.networking.hosts[{i}]", f"'{host.name}' at '{host.gateway}' is named twice")
        seen.add((host.name, host.gateway))
    router, older = experiment.spec.networking.id, experiment.spec.traffic_control.router_id
    if router and older and router != older:
        yield Problem(
            "spec.trafficControl.routerID", f"'{older}' is not networking.id '{router}'; give one of the two only"
        )
    if not router and not older and defaults.effective_hosts(experiment):
        yield from _derived_router(experiment)


def _derived_router(experiment: Experiment) -> Iterator[Problem]:
    derived = defaults.router_id(experiment)
    try:
        names.label_value(derived)
    except ValueError:
        yield Problem(
            "spec.networking.id",
            f"is missing, and '{derived}' is no label value, which a router id must be; give a networking.id",
        )


def _criteria(experiment: Experiment) -> Iterator[Problem]:
    rewards = [i for i, criterion in enumerate(experiment.spec.criteria) if criterion.is_reward]
    for i in rewards[1:]:
        yield Problem(
            f"spec.criteria[{i}].isReward", f"there is a reward already, criteria[{rewards[0]}]; one at most is allowed"
        )
    for i, criterion in enumerate(experiment.spec.criteria):
        path = f"spec.criteria[{i}]"
        if criterion.threshold and criterion.threshold.type is LimitKind.RELATIVE and criterion.threshold.value <= 0:
            yield Problem(
                f"{path}.threshold.value",
                "must be more than 0, the factor of the baseline's value for a relative limit",
            )
        for name in ("margin", "delay"):
            if name in criterion.model_fields_set and not criterion.is_reward:
                yield Problem(f"{path}.{name}", "belongs to a reward; set isReward or remove it")


def _override(experiment: Experiment) -> Iterator[Problem]:
    override = experiment.spec.manual_override
    if override is None or override.traffic_split is None:
        return
    path, split = "spec.manualOverride.trafficSplit", override.traffic_split
    if override.action is not Action.TERMINATE:
        yield Problem(path, f"belongs to action 'terminate', not to '{override.action}'")
    known = list(defaults.version_names(experiment).values())
    for name in split:
        if name not in known:
            yield Problem(
                join(("spec", "manualOverride", "trafficSplit", name)),
                f"'{name}' is no version of this experiment; there are {', '.join(known)}",
            )
    if (total := sum(split.values())) != 100:
        yield Problem(path, f"adds up to {total}, not to 100")


def _match(experiment: Experiment) -> Iterator[Problem]:
    match = experiment.spec.traffic_control.match
    for i, request in enumerate(match.http if match else []):
        for steps, text in _string_matches(request):
            given = [name for name in ("exact", "prefix", "regex") if getattr(text, name) is not None]
            if len(given) > 1 or (not given and len(steps) == 1):
                path = join(("spec", "trafficControl", "match", "http", i, *steps))
                yield Problem(path, "must have one of exact, prefix and regex")


_NAMED_TEXTS = (("headers", "headers"), ("without_headers", "withoutHeaders"), ("query_params", "queryParams"))


def _string_matches(request: HTTPMatch) -> Iterator[tuple[tuple[str, ...], StringMatch]]:
    """The texts that a request is matched by, with their places; those with a name may ask for presence only."""
    for name in ("uri", "scheme", "method", "authority"):
        if (text := getattr(request, name)) is not None:
            yield (name,), text
    for name, wire in _NAMED_TEXTS:
        for key, text in (getattr(request, name) or {}).items():
            yield (wire, key), text


def _metrics(experiment: Experiment) -> Iterator[Problem]:
    try:
        convert.definitions(experiment)
    except InvalidInput as error:
        yield Problem("spec.metrics", str(error))


_RULES = (_identity, _service, _hosts, _criteria, _override, _match, _metrics)


def metric_problems(experiment: Experiment, known: Definitions) -> list[Problem]:
    """What is wrong with the criteria, given the metric definitions."""
    found = []
    for i, criterion in enumerate(experiment.spec.criteria):
        path, metric = f"spec.criteria[{i}]", known.find(criterion.metric)
        if metric is None:
            hint = did_you_mean(criterion.metric, known.names) or f"; there are {', '.join(known.names)}"
            found.append(Problem(f"{path}.metric", f"'{criterion.metric}' is not defined{hint}"))
        elif criterion.quantile is not None:
            found += quantiles.problems(path, criterion, convert.histogram_counter(metric, known))
        elif isinstance(metric, Counter):
            found += _counter_problems(path, experiment.spec, i)
    return found


def _counter_problems(path: str, spec: ExperimentSpec, index: int) -> Iterator[Problem]:
    criterion = spec.criteria[index]
    counter = f"'{criterion.metric}' is a counter metric"
    if criterion.is_reward:
        yield Problem(f"{path}.isReward", f"{counter}; a reward must be a ratio metric")
    if criterion.threshold and criterion.threshold.type is LimitKind.RELATIVE:
        yield Problem(
            f"{path}.threshold.type", f"{counter}, which grows with traffic; a relative limit needs a ratio metric"
        )


def warnings(experiment: Experiment) -> list[Problem]:
    """What is allowed and probably not meant, as far as the spec alone tells."""
    return [problem for rule in _DOUBTS for problem in rule(experiment)]


def _unused(experiment: Experiment) -> Iterator[Problem]:
    service = experiment.spec.service
    for name, wire in (("uid", "uid"), ("resource_version", "resourceVersion"), ("field_path", "fieldPath")):
        if getattr(service, name) is not None:
            yield Problem(f"spec.service.{wire}", "is not used; the service is found by its name")
    if experiment.spec.analytics_endpoint is not None:
        yield Problem("spec.analyticsEndpoint", "is not asked yet; the analysis is built in")


def _renamed(experiment: Experiment) -> Iterator[Problem]:
    for i, criterion in enumerate(experiment.spec.criteria):
        if criterion.metric in ALIASES:
            yield Problem(
                f"spec.criteria[{i}].metric", f"'{criterion.metric}' is read as '{ALIASES[criterion.metric]}', its name"
            )


def _too_short(experiment: Experiment) -> Iterator[Problem]:
    spec = experiment.spec
    whole = durations.seconds(spec.duration.interval) * spec.duration.max_iterations
    for name, wire in (("min_duration", "minDuration"), ("warmup", "warmup")):
        if durations.seconds(getattr(spec.analysis, name)) >= whole:
            yield Problem(
                f"spec.analysis.{wire}",
                f"is not shorter than the experiment, {durations.text(whole)} in all; nothing can be promoted",
            )


def _group_against_all(experiment: Experiment) -> Iterator[Problem]:
    """With a match the counters of a candidate are those of the group, the baseline's those of everybody."""
    match, spec = experiment.spec.traffic_control.match, experiment.spec
    if match is None or not match.http:
        return
    beside = "the requests that match, at a candidate, with all requests at the baseline"
    for i, criterion in enumerate(spec.criteria):
        limit = criterion.threshold
        if limit is not None and limit.type is LimitKind.RELATIVE:
            yield Problem(
                f"spec.criteria[{i}].threshold.type",
                f"a relative limit compares {beside}; if those who match differ in this metric, write an absolute one",
            )
        if criterion.is_reward:
            yield Problem(
                f"spec.criteria[{i}].isReward",
                f"a reward compares {beside}; it tells the better version only if those who match are like all others",
            )
    if spec.analysis.exposure_budget is not None:
        yield Problem(
            "spec.analysis.exposureBudget",
            "is divided as if all requests matched, so the candidates are given less than it allows",
        )


_DOUBTS = (_unused, _renamed, _too_short, _group_against_all)


def metric_warnings(experiment: Experiment, known: Definitions) -> list[Problem]:
    """What is allowed and probably not meant, given the metric definitions."""
    found = []
    for i, criterion in enumerate(experiment.spec.criteria):
        metric, limit = known.find(criterion.metric), criterion.threshold
        if metric is None:
            continue
        path, plan = f"spec.criteria[{i}]", convert.measure(metric, known, is_reward=criterion.is_reward)
        if metric.preferred_direction is None and (limit or criterion.is_reward):
            found.append(_undirected(path, criterion.metric, plan.lower_is_better))
        if limit and limit.type is LimitKind.RELATIVE and isinstance(metric, Ratio):
            found += _unprovable(path, limit.value, plan.lower_is_better)
    return found


def _undirected(path: str, metric: str, lower: bool) -> Problem:
    better = "lower" if lower else "higher"
    return Problem(f"{path}.metric", f"'{metric}' has no preferred_direction; {better} values are taken as better")


def _unprovable(path: str, factor: float, lower: bool) -> Iterator[Problem]:
    if (factor <= 1) if lower else (factor >= 1):
        better, example = ("lower", "1.1") if lower else ("higher", "0.9")
        yield Problem(
            f"{path}.threshold.value",
            f"a candidate as good as the baseline can never be proven to be within {factor:g} times its value, where "
            f"{better} is better; leave room, for example {example}",
        )

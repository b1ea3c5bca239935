"""An experiment in words: what it is, how it stands and why, with the numbers behind it. Objects in, lines out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from serin.cli.ages import age, duration, seconds_at
from serin.cli.layout import fields, paragraph, table
from serin.cli.tables import dig, versions
from serin.control.routing.istio_rules import ROLE_LABEL
from serin.core.model import BASELINE, candidate_id
from serin.core.words import number, one_in, span
from serin.ports import Object

UNKNOWN = "?"
_SIX_DIGITS = 5e-6


def experiment_lines(
    experiment: Object, rules: Sequence[Object], now: float, price: str = "", shares: str = ""
) -> list[str]:
    """Everything but the events.

    rules    the VirtualService and the DestinationRule that the experiment uses, as far as they are there
    now      epoch seconds
    price    what the present settings cost, in a sentence
    shares   whether requests arrive in the shares that were asked for, in a sentence
    """
    lines = fields([*_facts(experiment, now), ("Shares", shares), ("Price", price)])
    for title, part in (
        ("Why", _reasons(experiment)),
        ("Versions", _versions(experiment)),
        ("Criteria", _criteria(experiment)),
        ("Routing", _routing(rules)),
        ("Conditions", _conditions(experiment, now)),
    ):
        if part:
            lines += ["", f"{title}:", *part]
    return lines


def _facts(experiment: Object, now: float) -> Iterator[tuple[str, str]]:
    spec, status = experiment.get("spec") or {}, experiment.get("status") or {}
    service = spec.get("service") or {}
    yield "Name", str(dig(experiment, "metadata", "name"))
    yield "Namespace", str(dig(experiment, "metadata", "namespace") or "default")
    yield "Type", str(status.get("experimentType") or "")
    yield "Service", _service(service)
    yield "Hosts", ", ".join(status.get("effectiveHosts") or ())
    yield "Phase", str(status.get("phase") or "not looked at yet")
    yield "Message", str(status.get("message") or "")
    yield "Outcome", _outcome(status)
    yield "Asked for", str(dig(spec, "manualOverride", "action") or "")
    yield "Iteration", _iteration(spec, status)
    yield "Started", _ago(status.get("startTimestamp"), now)
    yield "Ended", _ended(status, now)


def _service(service: Mapping[str, Any]) -> str:
    kind = service.get("kind") or "Deployment"
    return f"{service.get('name') or '(external hosts only)'}, versions are {kind}s"


def _outcome(status: Mapping[str, Any]) -> str:
    winner = dig(status, "assessment", "winner") or {}
    outcome = str(status.get("outcome") or "")
    if outcome and winner.get("winning_version_found"):
        return f"{outcome}: {winner.get('name')}"
    return outcome


def _iteration(spec: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    if status.get("currentIteration") is None:
        return ""
    iterations = dig(spec, "duration", "maxIterations")
    every = dig(spec, "duration", "interval")
    text = f"{status['currentIteration']}{f' of {iterations}' if iterations else ''}"
    return text + (f", one every {every}" if every else "")


def _ago(timestamp: object, now: float) -> str:
    return f"{age(timestamp, now)} ago ({timestamp})" if timestamp else ""


def _ended(status: Mapping[str, Any], now: float) -> str:
    ended, started = seconds_at(status.get("endTimestamp")), seconds_at(status.get("startTimestamp"))
    text = _ago(status.get("endTimestamp"), now)
    return f"{text}, after {duration(ended - started)}" if ended is not None and started is not None else text


def _reasons(experiment: Object) -> list[str]:
    names = {version.get("id"): str(version.get("name")) for version in _assessed(experiment)}
    lines: list[str] = []
    for reason in dig(experiment, "status", "reasons") or ():
        text, about = str(reason.get("text") or reason.get("reason")), names.get(reason.get("version"), "")
        lines += paragraph(text if about in text else f"{about}: {text}", 2, "- ")
    return lines


def _assessed(experiment: Object) -> list[Mapping[str, Any]]:
    """What is known of each version, the baseline first; names alone before the first look."""
    assessment = dig(experiment, "status", "assessment") or {}
    if assessment:
        return [each for each in (assessment.get("baseline"), *(assessment.get("candidates") or ())) if each]
    return [{"id": candidate_id(i - 1) if i else BASELINE, "name": name} for i, name in enumerate(versions(experiment))]


def _versions(experiment: Object) -> list[str]:
    rows = [["VERSION", "ROLE", "WEIGHT", "REQUESTS", "WIN PROBABILITY", "VERDICT"]]
    winner = dig(experiment, "status", "assessment", "winner") or {}
    for version in _assessed(experiment):
        rows.append(
            [
                str(version.get("name")),
                str(version.get("id")),
                f"{version['weight']}%" if version.get("weight") is not None else "",
                f"{version['request_count']:.0f}" if version.get("request_count") is not None else "",
                _number(version.get("win_probability")),
                _verdict(version, winner),
            ]
        )
    return table(rows)


def _verdict(version: Mapping[str, Any], winner: Mapping[str, Any]) -> str:
    if winner.get("winning_version_found") and winner.get("current_best_version") == version.get("id"):
        return "winner"
    if version.get("rollback"):
        return "rolled back"
    return "proven safe" if version.get("safe") else ""


def _number(value: Any) -> str:
    return number(float(value)) if isinstance(value, int | float) else ""


def _criteria(experiment: Object) -> list[str]:
    lines: list[str] = []
    for index, criterion in enumerate(dig(experiment, "spec", "criteria") or ()):
        definition = _definition(experiment, str(criterion.get("metric")))
        lines += paragraph(_criterion(criterion, definition), 2)
        known = [(version, _assessment_of(version, index)) for version in _assessed(experiment)]
        if any(found for _, found in known):
            lines += _evidence(known, {} if criterion.get("quantile") is not None else definition)
    return lines


def _definition(experiment: Object, metric: str) -> Mapping[str, Any]:
    metrics = dig(experiment, "spec", "metrics") or {}
    found: Sequence[Mapping[str, Any]] = [
        each
        for key in ("ratio_metrics", "counter_metrics")
        for each in metrics.get(key) or ()
        if each.get("name") == metric
    ]
    return found[0] if found else {}


def _criterion(criterion: Mapping[str, Any], definition: Mapping[str, Any]) -> str:
    text = str(criterion.get("metric"))
    if (quantile := criterion.get("quantile")) is not None:
        text = f"{number(100.0 * float(quantile))} % quantile of {text}, told as the share of requests within the limit"
    limit = criterion.get("threshold")
    if limit:
        bound = {"lower": "at most", "higher": "at least"}.get(str(definition.get("preferred_direction")), "limit")
        value = _number(limit.get("value")) or UNKNOWN
        relative = limit.get("type") == "relative"
        units = f" {definition['units']}" if definition.get("units") and not relative else ""
        text += f", {bound} {value}{' times the baseline' if relative else units}"
    return text + (", the reward" if criterion.get("isReward") else "")


def _assessment_of(version: Mapping[str, Any], index: int) -> Mapping[str, Any]:
    for found in version.get("criterion_assessments") or ():
        if str(found.get("id")) == str(index):
            return found if isinstance(found, Mapping) else {}
    return {}


def _evidence(known: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], definition: Mapping[str, Any]) -> list[str]:
    rows = [["VERSION", "ESTIMATE", "INTERVAL", "EVIDENCE FOR", "EVIDENCE AGAINST", "ETA"]]
    units = str(definition.get("units") or "")
    for version, found in known:
        estimate = _number(dig(found, "statistics", "value"))
        rows.append(
            [
                str(version.get("name")),
                f"{estimate} {units}".rstrip() if estimate else "no data yet",
                _interval(found.get("anytime_interval")),
                _proof(found.get("evidence_for")),
                _proof(found.get("evidence_against")),
                span(found["eta_seconds"]) if found.get("eta_seconds") is not None else "",
            ]
        )
    lines = table(rows, indent=4)
    for version, found in known:
        lines += paragraph(promise, 4) if (promise := _promise(version, found)) else []
        if found.get("missing"):
            lines += paragraph(f"{version.get('name')}: {found['missing']}", 4)
    return lines


def _promise(version: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """What the evidence holds for, apart: the time in which it was seen, and the long run."""
    dispersion = found.get("dispersion") or {}
    factor, seconds = dispersion.get("factor"), dispersion.get("seconds")
    if not isinstance(factor, int | float) or not isinstance(seconds, int | float):
        return ""
    past = dispersion.get("history_seconds") or 0
    learned = f"{span(float(past))} of history and since the start" if past else "the start on, without history"
    return (
        f"{version.get('name')}: {_number(factor)} events tell as much as one independent one, most so over "
        f"{span(float(seconds))}, as learned from {learned}; that holds for the time that was seen, and for the long "
        "run as far as bursts and waves are of a kind seen by now"
    )


def _interval(interval: Mapping[str, Any] | None) -> str:
    """Null ends are unbounded; where both are, nothing is known."""
    lower, upper = dig(interval, "lower"), dig(interval, "upper")
    if lower is None and upper is None:
        return ""
    if lower is None:
        return f"up to {_number(upper)}"
    return f"{_number(lower)} or more" if upper is None else f"{_number(lower)} to {_number(upper)}"


def _proof(proof: Mapping[str, Any] | None) -> str:
    """`1 in 40 of 1 in 100`: so unlikely by accident, of what makes it a proof."""
    if not proof:
        return ""
    chance, needed, nats = str(proof.get("chance") or UNKNOWN), proof.get("needed"), proof.get("nats")
    if not isinstance(needed, int | float):
        return chance
    proven = isinstance(nats, int | float) and nats >= needed
    # A status has six digits, and `one_in` never rounds up: log(100) would come back as 1 in 99.
    return f"{chance} (proven)" if proven else f"{chance} of {one_in(float(needed) * (1.0 + _SIX_DIGITS))}"


def _routing(rules: Sequence[Object]) -> list[str]:
    lines: list[str] = []
    for rule in rules:
        role = dig(rule, "metadata", "labels", ROLE_LABEL)
        head = f"{rule.get('kind')} {dig(rule, 'metadata', 'name')}{f', {role}' if role else ''}"
        lines += paragraph(head, 2)
        rows = [["ROUTE", "DESTINATION", "SUBSET", "WEIGHT"]]
        for route in dig(rule, "spec", "http") or ():
            for destination in route.get("route") or ():
                rows.append(_destination(route, destination))
        if len(rows) > 1:
            lines += table(rows, indent=4)
        subsets = [f"{each.get('name')} ({_labels(each.get('labels'))})" for each in dig(rule, "spec", "subsets") or ()]
        if subsets:
            lines += paragraph(f"subsets {', '.join(subsets)}", 4)
    return lines


def _destination(route: Mapping[str, Any], destination: Mapping[str, Any]) -> list[str]:
    weight = destination.get("weight", 100)
    matched = " (matching requests)" if route.get("match") else ""
    return [
        f"{route.get('name') or 'unnamed'}{matched}",
        str(dig(destination, "destination", "host") or UNKNOWN),
        str(dig(destination, "destination", "subset") or ""),
        f"{weight}%",
    ]


def _labels(labels: Mapping[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or "no labels"


def _conditions(experiment: Object, now: float) -> list[str]:
    conditions = dig(experiment, "status", "conditions") or ()
    if not conditions:
        return []
    rows = [["TYPE", "STATUS", "SINCE", "REASON", "MESSAGE"]]
    for each in conditions:
        since = age(each.get("lastTransitionTime"), now)
        rows.append([str(each.get(key) or "") for key in ("type", "status")] + [since])
        rows[-1] += [str(each.get(key) or "") for key in ("reason", "message")]
    return table(rows)

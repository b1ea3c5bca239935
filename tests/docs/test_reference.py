"""`docs/experiment-api.md` says what the types, the words and a real status say, no more and no less."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from serin.api.shape import item_of, model_of
from serin.api.v1alpha2 import columns, conditions, status
from serin.api.v1alpha2.types import ExperimentSpec, StringMatch
from serin.control.experiments import FINALIZER
from serin.control.routing import istio_rules
from serin.control.routing.remembered import ORIGINAL_ANNOTATION
from serin.core import model
from serin.metrics.definitions import built_in
from tests.control.lab import Lab, deployment, experiment
from tests.docs.pages import page

REFERENCE = page("experiment-api.md")


def fields(shape: type[BaseModel], path: str = "") -> Iterator[tuple[str, str | None]]:
    """Path of each field -> its default as the page writes it; None for what only holds other fields."""
    for field in shape.model_fields.values():
        here = f"{path}{field.serialization_alias or field.alias}"
        inner, items = model_of(field.annotation), item_of(field.annotation)
        listed = model_of(items)
        if inner not in (None, StringMatch):
            yield here, None
            yield from fields(inner, f"{here}.")
        elif listed not in (None, StringMatch) and not here.endswith(("headers", "withoutHeaders", "queryParams")):
            yield f"{here}[]", None
            yield from fields(listed, f"{here}[].")
        else:
            yield here, default(field)


def default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True)
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def test_every_field_stands_in_the_reference_with_its_default() -> None:
    told = {path: shown for path, shown, *_ in REFERENCE.tables("field", "default", "meaning")}
    known = dict(fields(ExperimentSpec))
    assert {path: shown for path, shown in known.items() if shown is not None} == {
        path: shown for path, shown in told.items() if known.get(path, shown) is not None
    }
    assert set(told) <= set(known)


def test_the_columns_are_those_that_are_printed() -> None:
    told = [row[:3] for row in REFERENCE.tables("column", "path", "shown")]
    shown = [(columns.NAME, "always")] + [(c, "-o wide" if c.wide else "always") for c in columns.COLUMNS]
    assert told == [[column.name, column.path, when] for column, when in shown]


async def test_every_field_of_a_real_status_is_named() -> None:
    lab = Lab()
    lab.objects.seed(deployment("v2"))
    lab.start()
    criterion = {"metric": "iter8_mean_latency", "threshold": {"type": "absolute", "value": 100}}
    await lab.objects.create(experiment(criteria=[criterion], analysis={"earlyStop": True}))
    seen: set[str] = set()
    try:
        while not await lab.completed():
            await lab.seconds(5)
            seen |= set(names(await lab.status()))
    finally:
        await lab.stop()
    assert {"evidence_for", "missing", "eta_seconds", "safe", "winning_version_found", "endTimestamp"} <= seen
    told = {part for code in REFERENCE.code() for part in code.split(".")}
    assert seen - told == set()


def names(value: Any) -> Iterator[str]:
    """The names of all fields, but of what is opaque and of what conditions have in every Kubernetes object."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            if name not in ("analysisState", "conditions"):
                yield from names(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from names(inner)


@pytest.mark.parametrize(
    ("words", "header"),
    [
        (conditions.Type, ("condition", "true when")),
        (model.Outcome, ("outcome", "meaning", "winner")),
        (model.Reason, ("reason", "meaning")),
    ],
)
def test_every_word_of_the_status_is_explained(words: type[StrEnum], header: tuple[str, ...]) -> None:
    assert sorted(row[0] for row in REFERENCE.tables(*header)) == sorted(words)


def test_every_message_is_explained() -> None:
    missing = [conditions.missing(target) for target in conditions.Target]
    gone = [conditions.deleted(target) for target in conditions.Target]
    ends = [conditions.completed(end) for end in conditions.Ending]
    plain = [*missing, *gone, *ends, conditions.iteration_completed(3, 8), conditions.paused(), conditions.resumed()]
    told = " ".join(f"`{row[0].strip('`')}" for row in REFERENCE.tables("message", "when"))
    assert [str(message) for message in plain if f"`{message}" not in told] == []
    begins = [conditions.Reason.ANALYTICS_ERROR, conditions.Reason.METRICS_ERROR, conditions.Reason.ROUTING_RULES_ERROR]
    begins.append(conditions.Reason.ASSESSMENT_UPDATE)
    assert [reason for reason in begins if f"{reason}: " not in told] == []
    assert set(conditions.Phase) <= set(REFERENCE.code())


def test_the_labels_and_marks_are_those_that_are_written() -> None:
    labels = {name for name in vars(istio_rules) if name.endswith("_LABEL")}
    assert {row[0] for row in REFERENCE.tables("label", "meaning")} == {getattr(istio_rules, n) for n in labels}
    marks = {ORIGINAL_ANNOTATION, istio_rules.EXPERIMENT_ROUTE, istio_rules.BASE_ROUTE, FINALIZER}
    assert marks | {istio_rules.PREVIOUS_PREFIX} <= set(REFERENCE.code())


def test_the_metrics_out_of_the_box_are_told() -> None:
    assert [row[0] for row in REFERENCE.tables("metric", "what it is")] == list(built_in().names)


def test_the_fields_of_a_reason_are_told() -> None:
    finding = model.Finding(model.Reason.PROVEN_HARM, "text", "candidate-0", "0")
    told = status.outcome(model.Decision({}, findings=(finding,)))["reasons"][0]
    assert set(told) <= set(REFERENCE.code())

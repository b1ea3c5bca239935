"""Metric definitions and readings: which counters an experiment needs, and what they say now."""

from __future__ import annotations

from dataclasses import dataclass, replace

from serin.api.v1alpha2 import conditions, convert, defaults, validation
from serin.api.v1alpha2.types import Experiment
from serin.control.memory import subject
from serin.control.world import Hold, World
from serin.core.evidence.contract import UNIT
from serin.core.evidence.criterion import Past
from serin.core.history import learned
from serin.core.model import BASELINE, Plan
from serin.core.observation import Snapshot
from serin.errors import InvalidInput, NotFound, SerinError
from serin.metrics.definitions import CONFIG_MAP, Definitions, built_in, parse_config_map
from serin.ports import CONFIG_MAP as CONFIG_MAP_KIND
from serin.ports import History, Object, Objects, ReadRequest

NAMESPACE = "iter8"
"""Where the ConfigMaps of the installation live."""


@dataclass(frozen=True, slots=True)
class Questions:
    """The plan of an experiment and what has to be read for it.

    definitions   the ones it uses
    subject       digest of what it is about, see `Memory`
    """

    plan: Plan
    request: ReadRequest
    definitions: Definitions
    subject: str


async def questions(world: World, experiment: Experiment, since: float) -> Questions:
    """What the experiment wants to know. Holds with `SyncMetricsError` when its metrics cannot be known or read."""
    try:
        known = convert.definitions(experiment) or await installed(world.objects)
        problems = validation.metric_problems(experiment, known)
        if problems:
            raise InvalidInput("; ".join(problem.text for problem in problems))
        plan = convert.plan(experiment, known)
        request = convert.read_request(experiment, known, since)
    except InvalidInput as error:
        raise Hold(conditions.metrics_error(str(error))) from error
    refuse_unreadable(world, request)
    place = (defaults.namespace(experiment), experiment.spec.service.name, defaults.router_id(experiment))
    used = known.used_by(c.metric for c in experiment.spec.criteria)
    return Questions(plan, request, used, subject(plan, place))


def refuse_unreadable(world: World, request: ReadRequest) -> None:
    """Hold with `SyncMetricsError` when the source can never answer one of the counters."""
    for counter in request.counters:
        if refusal := world.metrics.check(counter):
            raise Hold(conditions.metrics_error(refusal))


async def read(world: World, request: ReadRequest) -> Snapshot:
    """One reading. Holds with `AnalyticsServiceError` when the source does not answer or answers nonsense."""
    try:
        (answer,) = await world.metrics.read([request])
    except SerinError as error:
        raise Hold(conditions.analytics_error(str(error))) from error
    if isinstance(answer, SerinError):
        raise Hold(conditions.analytics_error(str(answer))) from answer
    if isinstance(answer, Exception):
        raise answer
    return answer


async def history(world: World, asked: Questions, experiment: Object) -> dict[str, Past]:
    """What the baseline's counters from before the start say, by criterion; empty where nobody has kept them.

    Never holds: an experiment without history learns while it runs. When it cannot be read, an event says so.
    """
    seconds = asked.plan.analysis.history
    if seconds <= 0.0 or not isinstance(world.metrics, History):
        return {}
    request = replace(asked.request, versions={BASELINE: asked.request.versions[BASELINE]})
    try:
        return learned(asked.plan, await world.metrics.history(request, seconds, UNIT), pods=_by_pod(request))
    except SerinError as error:
        text = f"begun without history of {asked.plan.name(BASELINE)}, which takes longer to prove: {error}"
        await world.sink.emit(experiment, "NoHistory", text)
        return {}


def _by_pod(request: ReadRequest) -> bool:
    """Whether an instance of these counters is a pod of the version: its own proxy has counted, not its callers'."""
    return all(
        any((m.label, m.op, m.value) == ("reporter", "=", "destination") for m in counter.matchers)
        for counter in request.counters
    )


async def installed(objects: Objects) -> Definitions:
    """The definitions of the installation; the ones out of the box where it has none."""
    try:
        return parse_config_map(await objects.get(CONFIG_MAP_KIND, NAMESPACE, CONFIG_MAP))
    except NotFound:
        return built_in()

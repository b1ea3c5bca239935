"""How an experiment ends: traffic first, seen applied; then what lost is deleted; then the last word.

An end is recorded before its first step, and every step can be repeated: whoever comes after a crash finishes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from serin.api.times import stamp
from serin.api.v1alpha2 import conditions, defaults, status, validation
from serin.api.v1alpha2.types import Experiment, ServiceKind
from serin.control import workloads
from serin.control.experiments import Record
from serin.control.memory import Ending
from serin.control.routes import routing_of
from serin.control.routing.router import Split
from serin.control.world import World
from serin.core.model import BASELINE, Decision, Finding, OnInconclusive, OnTermination, Outcome, Plan
from serin.errors import InvalidInput, NotFound
from serin.ports import DEPLOYMENT, SERVICE, Severity

LOOK_AGAIN = 0.5
"""Seconds between two looks at whether a loser still answers requests."""


def decided(plan: Plan, decision: Decision) -> Ending:
    """The end that the core has decided."""
    return Ending(
        outcome=decision.outcome,
        winner=decision.winner,
        split=dict(decision.weights),
        message=_words(plan, decision.outcome),
        reason="; ".join(named(plan, finding) for finding in decision.findings),
        aborted=decision.outcome in (Outcome.NOBODY, Outcome.TERMINATED),
    )


def named(plan: Plan, finding: Finding) -> str:
    """A finding as a sentence that says who it is about."""
    return f"{plan.name(finding.version)}: {finding.text}" if finding.version else finding.text


def _words(plan: Plan, outcome: Outcome) -> conditions.Ending:
    if outcome in (Outcome.NOBODY, Outcome.TERMINATED):
        return conditions.Ending.TO_BASELINE
    if plan.on_termination is OnTermination.KEEP_LAST:
        return conditions.Ending.KEEP_LAST
    if plan.on_termination is OnTermination.TO_BASELINE:
        return conditions.Ending.TO_BASELINE
    if outcome is Outcome.INCONCLUSIVE:
        keep = plan.analysis.on_inconclusive is OnInconclusive.KEEP
        return conditions.Ending.KEEP_LAST if keep else conditions.Ending.TO_BASELINE
    return conditions.Ending.TO_WINNER


def terminated(experiment: Experiment, asked: Mapping[str, int] | None, *, started: bool) -> Ending:
    """The end that a person has ordered: all to the baseline, or the split asked for (version name to percent).

    An experiment that has not started has no routing rules; it ends with the traffic as it is.
    """
    names = defaults.version_names(experiment)
    if asked is None or not started:
        split = {version: 100 * (version == BASELINE) for version in names}
        message = conditions.Ending.TO_BASELINE
    else:
        split = {version: asked.get(name, 0) for version, name in names.items()}
        message = conditions.Ending.USER_SPECIFIED
    reason = "terminated by hand" if started else "terminated by hand before it started; no traffic was moved"
    return Ending(Outcome.TERMINATED, None, split, message, reason, aborted=True)


async def conclude(world: World, record: Record, experiment: Experiment) -> None:
    """Do what is left to do of a recorded end. Holds while requests to a loser are under way."""
    end = record.memory.ending
    assert end is not None
    found = await _look(world, experiment)
    routing = routing_of(experiment, record.key, found)
    split = safest(end.split, {version: target.serving for version, target in found.versions.items()})
    if record.memory.core is not None:
        if await world.router.release(routing, split) is None:
            text = "the routing rules are gone; no traffic was moved at the end"
            await world.sink.emit(record.object, "RoutingRulesError", text, Severity.WARNING)
        elif experiment.spec.cleanup:
            await _delete_losers(world, experiment, split)
            if record.memory.created:
                await world.router.remove(routing)
    elif await world.router.holds(routing):  # taken, and not yet begun
        await world.router.release(routing, split)
    await _last_word(world, record, end, split)


async def _delete_losers(world: World, experiment: Experiment, split: Split) -> None:
    """Delete the versions that receive no traffic, each once no request to it is under way."""
    by_service = experiment.spec.service.kind is ServiceKind.SERVICE
    kind, namespace = (SERVICE if by_service else DEPLOYMENT), defaults.namespace(experiment)
    names = defaults.version_names(experiment)
    kept = {name for version, name in names.items() if split.get(version, 0) > 0}
    for name in dict.fromkeys(names.values()):
        if name in kept:
            continue
        if not by_service:
            await _wait_until_idle(world, namespace, name)
        try:
            await world.objects.delete(kind, namespace, name)
        except NotFound:
            continue


async def _wait_until_idle(world: World, namespace: str, name: str) -> None:
    deadline = world.clock.now() + world.patience.drain
    while world.clock.now() < deadline and not await world.data_plane.idle(namespace, name):
        await world.clock.sleep(LOOK_AGAIN)


async def _last_word(world: World, record: Record, end: Ending, split: Split) -> None:
    now = world.clock.now()
    message = conditions.completed(conditions.Ending(end.message), abort=end.aborted)
    record.say(message, now)
    record.status["endTimestamp"] = stamp(now)
    record.status["assessment"] = status.ended(record.status.get("assessment"), split, end.winner)
    record.memory = replace(record.memory, applied=dict(split))
    await record.save(world.objects, now)
    text = f"{message.text}: {end.reason}" if end.reason else message.text
    await world.sink.emit(record.object, str(message.reason), text, message.severity)
    await record.drop_finalizer(world.objects)


def safest(split: Split, serving: Mapping[str, bool]) -> Split:
    """The split, but nothing for versions that cannot answer while another can.

    Their share goes to those of the split that serve, in proportion; if none of it does, to the baseline if it serves,
    else to the first version that does. With nobody serving the split stays as it was asked for.
    """
    able = {version: weight for version, weight in split.items() if weight > 0 and serving.get(version)}
    if not any(serving.values()) or sum(able.values()) == sum(split.values()):
        return split
    if not able:
        heir = BASELINE if serving.get(BASELINE) else next(version for version in split if serving.get(version))
        return {version: 100 * (version == heir) for version in split}
    total = sum(able.values())
    shares = {version: able.get(version, 0) * 100 // total for version in split}
    shares[max(able, key=lambda version: able[version])] += 100 - sum(shares.values())
    return shares


async def forgo(world: World, record: Record) -> None:
    """The experiment is being deleted: restore the traffic to the baseline first, then let it go."""
    if record.holds_finalizer and not record.completed:
        try:
            experiment = validation.load(record.object)
        except InvalidInput as error:
            text = f"deleted with an invalid spec, traffic is left as it is: {error}"
            await world.sink.emit(record.object, "RoutingRulesError", text, Severity.WARNING)
        else:
            await _give_back(world, record, experiment)
    try:
        await record.drop_finalizer(world.objects)
    except NotFound:
        return


async def _give_back(world: World, record: Record, experiment: Experiment) -> None:
    """Release the rules of an experiment that is being deleted, if it has any, and say where its traffic went."""
    found, end = await _look(world, experiment), record.memory.ending
    routing = routing_of(experiment, record.key, found)
    if record.memory.core is None and not await world.router.holds(routing):
        return
    asked = end.split if end else {version: 100 * (version == BASELINE) for version in found.versions}
    split = safest(asked, {version: target.serving for version, target in found.versions.items()})
    text = "deleted before its end; its routing rules were gone, no traffic was moved"
    if await world.router.release(routing, split) is not None:
        names = defaults.version_names(experiment)
        shares = ", ".join(f"{names[version]}: {weight}%" for version, weight in split.items() if weight)
        text = f"deleted before its end; traffic: {shares}"
    await world.sink.emit(record.object, "ExperimentDeleted", text, Severity.WARNING)


async def _look(world: World, experiment: Experiment) -> workloads.Targets:
    kind = SERVICE if experiment.spec.service.kind is ServiceKind.SERVICE else DEPLOYMENT
    return await workloads.look(
        world.objects,
        kind,
        defaults.namespace(experiment),
        experiment.spec.service.name,
        defaults.version_names(experiment),
    )

"""One turn of an experiment: look at everything it depends on, read, let the core decide, act, and say so.

A turn never waits for the world to change. What it cannot do now it leaves with a `Hold`: the status says what is
waited for, and the next turn tries again. Every turn starts from what is stored, so that after a crash the next
process goes on where this one stopped:

    record the decision (conditional on resourceVersion)  ->  apply traffic (idempotent)  ->  record it as applied
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from serin.api.places import Problem
from serin.api.times import stamp
from serin.api.v1alpha2 import conditions, defaults, status, validation
from serin.api.v1alpha2.conditions import Message, Type
from serin.api.v1alpha2.types import Action, Experiment, ServiceKind
from serin.control import ending, neighbours, targets, telemetry, telling, workloads
from serin.control.experiments import Known, Record
from serin.control.recording import Tape
from serin.control.routes import routing_of
from serin.control.routing.router import Routing, RoutingRulesError
from serin.control.spec import Spec
from serin.control.telemetry import Questions
from serin.control.world import Hold, World
from serin.core import lifecycle
from serin.core.forgetting import forget
from serin.core.lifecycle import State
from serin.core.model import Decision, Outcome
from serin.core.observation import Snapshot
from serin.errors import Conflict, InvalidInput, NotFound, SerinError
from serin.ports import DEPLOYMENT, EXPERIMENT, SERVICE

IDLE = 3600.0
"""Seconds until the next look when only a change can make a difference; changes wake a worker at once."""

SOON = 0.05
"""Seconds until the next look when something has come in between."""


class Worker:
    """The turns of one experiment. What it keeps between turns can be lost without harm.

    It keeps the core's state with the readings since the last iteration, the weights that it has written last, how
    often something has failed in a row, and what it has already made of the text that is stored.
    """

    def __init__(self, world: World, namespace: str, name: str) -> None:
        self._world = world
        self._namespace = namespace
        self._name = name
        self._known = Known()
        self._spec = Spec()
        self._live: State | None = None
        self._written: Mapping[str, int] = {}
        self._read_at = 0.0
        self._failures = 0
        self._tape = Tape(world.recorder, namespace, name)
        self.news = asyncio.Event()
        """Set when something has changed since the turn began: then nothing slow is waited for any longer."""
        self.rules_touched = True
        """Set by whoever sees a routing rule change; the next turn puts right what is not as it should be."""

    async def turn(self) -> float | None:
        """Look and act once. Returns seconds until the next turn is due; None when the experiment is gone."""
        try:
            found = await self._world.objects.get(EXPERIMENT, self._namespace, self._name)
        except NotFound:
            return None
        record = Record(found, self._known)
        try:
            wait = await self._turn(record)
        except Hold as hold:
            return await self._held(record, hold)
        except RoutingRulesError as error:
            return await self._held(record, Hold(conditions.routing_rules_error(str(error))))
        except (Conflict, NotFound):
            return 0.05
        self._failures = 0
        return wait

    def backoff(self) -> float:
        """Seconds until something that failed is tried again: doubled each time, up to a cap."""
        patience = self._world.patience
        self._failures += 1
        return min(patience.retry * 2.0 ** min(self._failures - 1, 16), patience.retry_cap)

    async def _held(self, record: Record, hold: Hold) -> float:
        """Say what is waited for; nothing else moves."""
        now = self._world.clock.now()
        new = record.say(hold.message, now)
        try:
            await record.save(self._world.objects, now)
        except (Conflict, NotFound):
            return 0.05
        if new:
            await telling.tell(self._world.sink, record, hold.message)
        return self.backoff() if hold.retry is None else hold.retry

    async def _turn(self, record: Record) -> float:
        now = self._world.clock.now()
        if record.being_deleted:
            await ending.forgo(self._world, record)
            return IDLE
        if record.completed:
            return await self._after_the_end(record)
        experiment = await self._accepted(record, now)
        if record.memory.ending is not None:
            return await self._conclude(record, experiment)
        await record.hold_finalizer(self._world.objects)
        if await self._obeys(record, experiment, now):
            return 0.0
        asked = await self._questions(record, experiment, now)
        standing = await self._standing(record, experiment, asked)
        if record.memory.core is None and not self._may_start(standing):
            raise Hold(standing.trouble or conditions.targets_found(), standing.wake or IDLE)
        if standing.trouble is None:
            record.settle(conditions.targets_found(), now)
        routing = await self._routed(record, experiment)
        if record.memory.core is None:
            await self._start(record, asked, now)
        urgent = self._is_urgent(record, standing)
        if not await self._put_right(record, asked, routing, waits=not urgent) and not urgent:
            return SOON
        return await self._step(record, experiment, asked, standing, routing)

    async def _accepted(self, record: Record, now: float) -> Experiment:
        """The spec, if it is valid; whatever was said before about an invalid one is over."""
        try:
            experiment = self._spec.experiment(record.object)
        except InvalidInput:
            record.begin("", [], now)
            raise Hold(conditions.invalid_spec(validation.problems(record.object)), IDLE) from None
        hosts = defaults.effective_hosts(experiment)
        record.begin(defaults.experiment_type(experiment), hosts, now)
        return experiment

    async def _obeys(self, record: Record, experiment: Experiment, now: float) -> bool:
        """Carry out `manualOverride`, recorded first and cleared from the spec after it. True when there was one."""
        order = experiment.spec.manual_override
        if order is None:
            return False
        if order.action is Action.TERMINATE:
            end = ending.terminated(experiment, order.traffic_split, started=record.memory.core is not None)
            record.memory = replace(record.memory, ending=end)
            message = None
        else:
            pause = order.action is Action.PAUSE
            message = conditions.paused() if pause else conditions.resumed()
            record.memory = replace(record.memory, paused=pause, iterated_at=now)
            record.say(message, now)
        await record.save(self._world.objects, now)
        if order.action is Action.TERMINATE:
            self._tape.ended("terminated by hand")
        await record.write(self._world.objects, {"spec": {"manualOverride": None}})
        if message:
            await telling.tell(self._world.sink, record, message)
        return True

    async def _questions(self, record: Record, experiment: Experiment, now: float) -> Questions:
        """Plan and counters; the definitions used are written back to the spec where it has none."""
        core = record.memory.core
        asked = await self._spec.questions(self._world, experiment, now if core is None else core.started)
        refused = lifecycle.unsupported(asked.plan)
        if experiment.spec.service.kind is ServiceKind.DEPLOYMENT and not experiment.spec.service.name:
            refused.append("spec.service.name is needed to route to versions that are Deployments; name their Service")
        if record.memory.core is not None and record.memory.subject != asked.subject:
            refused = ["service and criteria cannot change while the experiment runs; put them back, or terminate it"]
        if refused:
            raise Hold(conditions.invalid_spec([Problem("", text) for text in refused]), IDLE)
        if experiment.spec.metrics is None:
            await record.write(self._world.objects, {"spec": {"metrics": asked.definitions.to_spec()}})
        record.settle(conditions.metrics_synced(), now)
        return asked

    async def _standing(self, record: Record, experiment: Experiment, asked: Questions) -> targets.Standing:
        """Where the versions stand; evidence about a program that was replaced is dropped."""
        kind = DEPLOYMENT if experiment.spec.service.kind is ServiceKind.DEPLOYMENT else SERVICE
        names = defaults.version_names(experiment)
        found = await workloads.look(
            self._world.objects, kind, defaults.namespace(experiment), experiment.spec.service.name, names
        )
        core = self._core(record)
        standing = targets.judge(
            found,
            record.memory,
            frozenset(core.rolled_back) if core else frozenset(),
            asked.plan.analysis.progress_deadline,
            self._world.clock.now(),
        )
        record.memory = standing.memory
        if core and standing.replaced:
            self._live = forget(asked.plan, core, standing.replaced)
            self._tape.forgotten(standing.replaced)
            ready = {v: found.versions[v].fingerprint for v in standing.replaced}
            record.memory = replace(
                record.memory, core=self._live, fingerprints={**record.memory.fingerprints, **ready}
            )
            names_replaced = ", ".join(sorted(asked.plan.name(v) for v in standing.replaced))
            await telling.event(
                self._world.sink, record, "EvidenceDropped", f"{names_replaced} was replaced; its evidence starts anew"
            )
        elif core is None:
            prints = {v: t.fingerprint for v, t in found.versions.items() if t.ready}
            record.memory = replace(record.memory, fingerprints=prints)
        self._found = found
        return standing

    def _may_start(self, standing: targets.Standing) -> bool:
        """Everybody who has not failed for good is there and ready."""
        return standing.trouble is None

    async def _routed(self, record: Record, experiment: Experiment) -> Routing:
        """The routing rules, taken and ours."""
        routing = routing_of(experiment, record.key, self._found)
        if not record.holds(Type.ROUTING_RULES_READY) or record.memory.core is None:
            if rival := await neighbours.in_the_way(
                self._world.objects, record, self._world.beside(record.namespace, record.name)
            ):
                raise RoutingRulesError(rival)
            rules = await self._world.router.take(routing)
            record.memory = replace(record.memory, created=record.memory.created or rules.created)
        record.settle(conditions.routing_rules_ready(), self._world.clock.now())
        return routing

    async def _start(self, record: Record, asked: Questions, now: float) -> None:
        """The first moment: from here on everything is counted."""
        core = lifecycle.begin(asked.plan, now, await telemetry.history(self._world, asked, record.object))
        self._live = core
        record.status.setdefault("startTimestamp", stamp(now))
        record.memory = replace(
            record.memory,
            core=core,
            applied=dict(core.weights),
            iterated_at=now,
            subject=asked.subject,
        )
        record.say(conditions.iteration_completed(0, asked.plan.iterations), now)
        record.status["assessment"] = status.assessment(lifecycle.assess(asked.plan, core))
        await record.save(self._world.objects, now)
        self._tape.begin(record.object, core)

    async def _put_right(self, record: Record, asked: Questions, routing: Routing, *, waits: bool) -> bool:
        """Write weights that were recorded but perhaps not applied; undo what somebody else changed in our route.

        False when the proxies do not all route by them yet and something else is to be looked at first.
        """
        core = record.memory.core
        assert core is not None
        cut_off = dict(record.memory.applied) != dict(core.weights)
        if not cut_off and not self.rules_touched:
            return True
        self.rules_touched = False  # from here on; whoever touches them meanwhile is looked after next
        try:
            rules = await self._world.router.set(routing, core.weights, self.news.is_set if waits else lambda: True)
        except SerinError:
            self.rules_touched = True
            raise
        self.rules_touched = self.rules_touched or not rules.applied
        foreign, self._written = rules.written and self._written == core.weights, core.weights
        if rules.written or (cut_off and rules.applied):
            self._followed(record)
        split = conditions.traffic_updated({asked.plan.name(v): w for v, w in core.weights.items()})
        if foreign or (rules.written and not cut_off):
            await telling.tell(self._world.sink, record, replace(split, text=f"put back to {split.text}, as decided"))
        if cut_off and not rules.applied:
            return False
        record.memory = replace(record.memory, applied=dict(core.weights))
        if cut_off:
            await telling.tell(self._world.sink, record, split)
        return True

    def _followed(self, record: Record) -> None:
        """Proxies route by the weights from now on: what is counted before says nothing about the split."""
        core, now = record.memory.core, self._world.clock.now()
        assert core is not None
        if now == core.moved:
            return
        record.memory = replace(record.memory, core=lifecycle.routed_late(core, now))
        self._live = lifecycle.routed_late(self._live or core, now)
        self._tape.routed(now)

    async def _step(
        self,
        record: Record,
        experiment: Experiment,
        asked: Questions,
        standing: targets.Standing,
        routing: Routing,
    ) -> float:
        """Read if it is time to; decide if there is something to decide; otherwise say when to come again."""
        world, plan = self._world, asked.plan
        core = self._core(record)
        assert core is not None
        now = world.clock.now()
        urgent_first = self._is_urgent(record, standing)
        if record.memory.paused and not self._withdraws(core, standing):
            raise Hold(conditions.paused(), standing.wake or IDLE)
        if not record.memory.paused and not urgent_first and now >= self._read_at + world.patience.reading:
            snapshot = await self._snapshot(asked)
            if snapshot is None:
                return 0.0
            self._read_at = now = world.clock.now()
            record.settle(conditions.analytics_running(), now)
            self._live, urgent = lifecycle.observe(plan, core, snapshot)
            self._tape.read(record.object, snapshot, self._live, urgent)
            if urgent is not None:
                return await self._carry_out(record, experiment, asked, routing, self._live, urgent, None)
            core = self._live
        due = record.memory.iterated_at + plan.interval
        if urgent_first or (now >= due and not record.memory.paused):
            live, decision = lifecycle.iterate(plan, core, now, standing.around)
            self._tape.iterated(record.object, now, standing.around, live, decision)
            world.observer.iterated(max(now - due, 0.0))
            return await self._carry_out(record, experiment, asked, routing, live, decision, standing.trouble)
        wait = max(min(self._read_at + world.patience.reading, due) - now, 0.0)
        if standing.trouble is not None:
            raise Hold(standing.trouble, wait)
        if record.waits_for() is not None:
            record.say(conditions.iteration_completed(core.iteration, plan.iterations), now)
        await record.save(world.objects, now)
        return wait

    async def _snapshot(self, asked: Questions) -> Snapshot | None:
        """A reading; None when something else is to be looked at before the source has answered."""
        reading = asyncio.ensure_future(telemetry.read(self._world, asked.request))
        news = asyncio.ensure_future(self.news.wait())
        try:
            await asyncio.wait({reading, news}, return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else None
        finally:
            for each in (reading, news):
                each.cancel()

    def _withdraws(self, core: State, standing: targets.Standing) -> bool:
        """Whether somebody who cannot take traffic still has a share of it while another could have it."""
        ready = standing.around.ready
        return bool(ready) and any(weight > 0 and version not in ready for version, weight in core.weights.items())

    def _is_urgent(self, record: Record, standing: targets.Standing) -> bool:
        """Whether to decide at once: a version is to lose what it cannot take, or has failed for good."""
        core = record.memory.core
        return core is not None and (bool(standing.around.failed) or self._withdraws(core, standing))

    async def _carry_out(
        self,
        record: Record,
        experiment: Experiment,
        asked: Questions,
        routing: Routing,
        live: State,
        decision: Decision,
        trouble: Message | None,
    ) -> float:
        """Record the decision, apply its weights, record that; or begin the end."""
        world, plan = self._world, asked.plan
        now = world.clock.now()
        before = dict(record.memory.core.weights) if record.memory.core else {}
        self._live = None  # until it is recorded, what counts is what is stored
        record.memory = replace(record.memory, core=live, iterated_at=now)
        record.status["currentIteration"] = live.iteration
        record.status["assessment"] = status.assessment(lifecycle.assess(plan, live))
        known = {(reason["reason"], reason.get("version")) for reason in record.status.get("reasons") or ()}
        record.status.update(status.outcome(decision))
        if decision.outcome is not Outcome.RUNNING:
            record.memory = replace(record.memory, ending=ending.decided(plan, decision))
        message = trouble or telling.word(plan, live, decision)
        new = record.say(message, now)
        await record.save(world.objects, now)
        self._tape.keep()
        self._live = live
        if new:
            await telling.tell(self._world.sink, record, message)
        await telling.findings(self._world.sink, record, plan, decision, known)
        if record.memory.ending is not None:
            return await self._conclude(record, experiment)
        if dict(live.weights) != before:
            rules = await world.router.set(routing, live.weights, self.news.is_set)
            self._written = live.weights
            if not rules.applied:
                return SOON
            self._followed(record)
            record.memory = replace(record.memory, applied=dict(live.weights))
            await record.save(world.objects, world.clock.now())
            names = {plan.name(v): w for v, w in live.weights.items()}
            await telling.tell(self._world.sink, record, conditions.traffic_updated(names))
            if trouble is not None or not decision.counted:
                return 0.0  # there may be more to say than that the iteration is done
            due = min(self._read_at + world.patience.reading, now + plan.interval)
            return max(due - world.clock.now(), 0.0)
        return min(world.patience.reading, plan.interval)

    async def _conclude(self, record: Record, experiment: Experiment) -> float:
        await ending.conclude(self._world, record, experiment)
        return IDLE

    async def _after_the_end(self, record: Record) -> float:
        """Nothing moves any more; an order that comes too late is cleared and answered."""
        await record.drop_finalizer(self._world.objects)
        if (record.object.get("spec") or {}).get("manualOverride"):
            await record.write(self._world.objects, {"spec": {"manualOverride": None}})
            text = "the experiment has ended; apply it under a new name to run again"
            await telling.event(self._world.sink, record, "OverrideIgnored", text)
        return IDLE

    def _core(self, record: Record) -> State | None:
        """The state with the readings since the last iteration, if it continues what is stored; else what is stored."""
        stored = record.memory.core
        if stored is None or self._live is None or self._live.iteration != stored.iteration:
            if stored is not None:
                stored = State.from_json(stored.to_json())  # as whoever replays the recording has it: nothing thawed
                self._tape.restored(record.object, stored)
            self._live = stored
            self._read_at = 0.0  # what was read since is lost: read again before anything is decided
        return self._live

"""What the control layer records of an experiment leads to the state that it stores, whatever has cut it off."""

import asyncio
import json

from serin.api.v1alpha2 import convert, validation
from serin.control.engine import Engine
from serin.control.memory import unpacked
from serin.control.world import Patience
from serin.core.recording import Ended, Planned, Read, Restored, read
from serin.core.replay import Replay
from serin.core.state import State
from tests.control.lab import Lab, deployment, experiment


class Recordings:
    """Recordings in memory, as JSON would keep them."""

    def __init__(self):
        self.begun, self.lines = 0, []

    def begin(self, namespace, name):
        assert (namespace, name) == ("default", "rollout")
        self.begun, self.lines = self.begun + 1, []

    def add(self, namespace, name, lines):
        self.lines += json.loads(json.dumps(list(lines), allow_nan=False))

    @property
    def steps(self):
        return list(read(self.lines))


class RecordedLab(Lab):
    """A lab whose engine records."""

    def __init__(self):
        super().__init__()
        self.objects.seed(deployment("v2"))
        self.recordings = Recordings()

    def start(self):
        patience = Patience(reading=1.0, drain=5.0)
        self._engine = Engine(
            self.objects, self.metrics, self.clock, self.sink, self.data_plane, patience, recorder=self.recordings
        )
        self._task = asyncio.create_task(self._engine.run())

    async def stored(self):
        return unpacked((await self.status())["analysisState"]["core"])


def plan_of(document):
    loaded = validation.load(document)
    definitions = convert.definitions(loaded)
    assert definitions is not None
    return convert.plan(loaded, definitions)


def replayed(recordings):
    life = Replay(plan_of)
    return life, list(life.run(recordings.steps))


async def test_an_experiment_that_ran_to_its_end_is_recorded_in_full():
    lab = RecordedLab()
    lab.start()
    await lab.objects.create(experiment())
    await lab.until(lab.completed)
    await lab.stop()
    life, happened = replayed(lab.recordings)
    assert lab.recordings.begun == 1
    assert life.state.to_json() == await lab.stored()
    assert [h.differs for h in happened if h.differs] == []
    assert sum(h.decision is not None and h.decision.counted for h in happened) == 12
    assert (life.holes, life.lost) == (0, 0)


async def test_a_violation_between_two_iterations_is_recorded_with_its_reading():
    lab = RecordedLab()
    lab.latency["v2"] = 400.0
    lab.start()
    await lab.objects.create(experiment())
    await lab.until(lab.completed)
    await lab.stop()
    life, happened = replayed(lab.recordings)
    assert life.state.to_json() == await lab.stored()
    at_once = [step for step in lab.recordings.steps if isinstance(step, Read) and step.decision]
    assert len(at_once) == 1
    assert happened[-1].decision == at_once[0].decision


async def test_whoever_takes_over_goes_on_with_the_recording():
    lab = RecordedLab()
    lab.start()
    await lab.objects.create(experiment())
    await lab.seconds(52)
    await lab.stop()
    lab.start()
    await lab.until(lab.completed)
    await lab.stop()
    life, happened = replayed(lab.recordings)
    assert lab.recordings.begun == 1
    assert life.state.to_json() == await lab.stored()
    assert (life.holes, [h.differs for h in happened if h.differs]) == (0, [])
    assert any(h.text.startswith("another process goes on from here") for h in happened)


async def test_a_decision_that_was_stored_and_not_recorded_is_a_hole():
    lab = RecordedLab()
    lab.start()
    await lab.objects.create(experiment())
    await lab.seconds(40)
    kept = list(lab.recordings.lines)
    await lab.seconds(20)
    await lab.stop()
    lab.recordings.lines = kept  # as if the process had died between two writes
    lab.start()
    await lab.until(lab.completed)
    await lab.stop()
    life, happened = replayed(lab.recordings)
    assert life.state.to_json() == await lab.stored()
    assert (life.holes, [h.differs for h in happened if h.differs]) == (1, [])


async def test_a_spec_that_is_changed_and_a_version_that_is_replaced_are_recorded():
    lab = RecordedLab()
    lab.start()
    await lab.objects.create(experiment())
    await lab.seconds(40)
    await lab.patch({"spec": {"duration": {"maxIterations": 8}}})
    await lab.seconds(20)
    await lab.set_ready("v2", True, image="another:1")
    await lab.until(lab.completed)
    await lab.stop()
    life, happened = replayed(lab.recordings)
    assert life.state.to_json() == await lab.stored()
    assert sum(isinstance(step, Planned) for step in lab.recordings.steps) == 2
    assert any("was replaced; its evidence starts anew" in h.text for h in happened)
    assert (life.holes, [h.differs for h in happened if h.differs]) == (0, [])


async def test_an_end_by_hand_is_recorded():
    lab = RecordedLab()
    lab.start()
    await lab.objects.create(experiment())
    await lab.seconds(40)
    await lab.patch({"spec": {"manualOverride": {"action": "terminate"}}})
    await lab.until(lab.completed)
    await lab.stop()
    assert lab.recordings.steps[-1] == Ended("terminated by hand")
    assert not any("manualOverride" in json.dumps(line) for line in lab.recordings.lines)
    life, _ = replayed(lab.recordings)
    assert State.from_json(await lab.stored()).iteration == life.state.iteration


async def test_a_decision_that_a_changed_spec_has_refused_is_made_anew_from_what_is_stored():
    lab = RecordedLab()
    lab.failing = {"v1": 0.01, "v2": 0.01}
    lab.start()
    limit = {"metric": "iter8_error_rate", "threshold": {"type": "absolute", "value": 0.05}}
    await lab.objects.create(experiment(criteria=[limit]))
    await lab.seconds(40)

    async def somebody_is_faster(call):
        if call.verb == "status" and "assessment" in call.body["status"]:
            lab.objects.before_write = None
            await lab.patch({"spec": {"analysis": {"burst": 2}}})

    lab.objects.before_write = somebody_is_faster
    await lab.until(lab.completed)
    await lab.stop()
    life, happened = replayed(lab.recordings)
    assert lab.objects.before_write is None
    assert life.state.to_json() == await lab.stored()
    assert (life.holes, [h.differs for h in happened if h.differs]) == (0, [])
    assert sum(isinstance(step, Restored) for step in lab.recordings.steps) == 2

"""What an experiment's spec says, worked out once: most turns find the spec that the turn before has found.

Nothing here outlives a change of the spec, and all of it can be lost without harm.
"""

from __future__ import annotations

from serin.api.v1alpha2 import validation
from serin.api.v1alpha2.types import Experiment
from serin.control import telemetry
from serin.control.telemetry import Questions
from serin.control.world import World
from serin.ports import Object


class Spec:
    """The spec of one experiment as it was last found."""

    def __init__(self) -> None:
        self._object: Object = {}
        self._experiment: Experiment | None = None
        self._questions: Questions | None = None

    def experiment(self, obj: Object) -> Experiment:
        """The experiment in an object, without its status. Raises InvalidInput, as `validation.load`."""
        if self._experiment is None or not _same(obj, self._object):
            self._experiment = self._questions = None
            said = {part: value for part, value in obj.items() if part != "status"}
            self._experiment = validation.load(said)
            self._object = said
        return self._experiment

    async def questions(self, world: World, experiment: Experiment, since: float) -> Questions:
        """As `telemetry.questions`, for an experiment that was given here."""
        asked = self._questions
        if asked is None or experiment is not self._experiment or asked.request.since != since:
            asked = await telemetry.questions(world, experiment, since)
            # definitions that are not in the spec are the installation's, and may be others tomorrow
            self._questions = None if experiment.spec.metrics is None else asked
        else:
            telemetry.refuse_unreadable(world, asked.request)
        return asked


def _same(one: Object, other: Object) -> bool:
    """Whether two objects say the same. A generation is compared, too: in Python 1 equals True, and in JSON not."""
    if not other:
        return False
    mine, theirs = one["metadata"], other["metadata"]
    alike = all(mine.get(field) == theirs.get(field) for field in ("uid", "generation", "name", "namespace"))
    return alike and all(one.get(part) == other.get(part) for part in ("apiVersion", "kind", "spec"))

"""The plays: which candidate, which experiment, and how it must end."""

from __future__ import annotations

from dataclasses import dataclass

from serin.errors import UsageError


@dataclass(frozen=True, slots=True)
class Scenario:
    """One play. Files are in the example's folder; `models` are those that it needs trained.

    candidate_file   None: there is no candidate, one version is judged; rivals: the files of further candidates
    production       what runs before the experiment
    group            the header of the users who take part, GROUP of all; None: all do
    feedback         seconds after which the true label of each prediction is told, on average; None: never
    """

    name: str
    about: str
    experiment_file: str
    candidate_file: str | None
    experiment: str
    winner: str
    models: tuple[str, ...]
    baseline: str = "fashionmnist-v1"
    candidate: str = "fashionmnist-v2"
    rivals: tuple[str, ...] = ()
    production: tuple[str, ...] = ("modelv1.yaml", "externalize.yaml")
    group: tuple[str, str] | None = None
    feedback: float | None = None


GROUP = 0.5
"""Share of the requests that those send who take part, where not all do."""


SUCCESS = Scenario(
    "success",
    "a better model is released",
    "fashionmnist-v2-rollout.yaml",
    "modelv2.yaml",
    "fashionmnist-v2-rollout",
    "fashionmnist-v2",
    ("v1", "v2"),
)
SLOW = Scenario(
    "slow",
    "the candidate answers too slowly",
    "fashionmnist-v2-rollout.yaml",
    "modelv2-slow.yaml",
    "fashionmnist-v2-rollout",
    "fashionmnist-v1",
    ("v1", "v2"),
)
ERRORS = Scenario(
    "errors",
    "the candidate fails a part of its requests",
    "fashionmnist-v2-errors.yaml",
    "modelv2-failing.yaml",
    "fashionmnist-v2-errors",
    "fashionmnist-v1",
    ("v1", "v2"),
)
CRASH = Scenario(
    "crash",
    "the candidate crashes at its start",
    "fashionmnist-v2-crash.yaml",
    "modelv2-crashing.yaml",
    "fashionmnist-v2-crash",
    "fashionmnist-v1",
    ("v1", "v2"),
)

MATCH = Scenario(
    "match",
    "a better model is released to the users of a group first",
    "fashionmnist-v2-match.yaml",
    "modelv2.yaml",
    "fashionmnist-v2-match",
    "fashionmnist-v2",
    ("v1", "v2"),
    group=("x-group", "beta"),
)
ACCURACY = Scenario(
    "accuracy",
    "a model is released if it is right often enough, by labels that come later",
    "fashionmnist-v2-accuracy.yaml",
    "modelv2.yaml",
    "fashionmnist-v2-accuracy",
    "fashionmnist-v2",
    ("v1", "v2"),
    production=("modelv1.yaml", "externalize.yaml", "feedback.yaml"),
    feedback=5.0,
)
AB = Scenario(
    "ab",
    "a small model competes with the one in production in how often it is right",
    "fashionmnist-v0-ab.yaml",
    "modelv0.yaml",
    "fashionmnist-v0-ab",
    "fashionmnist-v1",
    ("v0", "v1"),
    candidate="fashionmnist-v0",
    production=("modelv1.yaml", "externalize.yaml", "feedback.yaml"),
    feedback=5.0,
)
ABN = Scenario(
    "abn",
    "three models compete in how often they are right; one is often wrong, one too slow",
    "fashionmnist-abn.yaml",
    "modelv0.yaml",
    "fashionmnist-abn",
    "fashionmnist-v1",
    ("v0", "v1", "v2"),
    candidate="fashionmnist-v0",
    rivals=("modelv2-slow.yaml",),
    production=("modelv1.yaml", "externalize.yaml", "feedback.yaml"),
    feedback=5.0,
)
PERFORMANCE = Scenario(
    "performance",
    "the model in production is held against its limits, and no traffic is moved",
    "fashionmnist-v1-performance.yaml",
    None,
    "fashionmnist-v1-performance",
    "fashionmnist-v1",
    ("v1",),
)

PLAYS = {
    "success": (SUCCESS,),
    "slow": (SLOW,),
    "errors": (ERRORS,),
    "crash": (CRASH,),
    "failing": (SLOW, ERRORS, CRASH),
    "match": (MATCH,),
    "accuracy": (ACCURACY,),
    "ab": (AB,),
    "abn": (ABN,),
    "performance": (PERFORMANCE,),
}


def play(name: str) -> tuple[Scenario, ...]:
    """The scenarios that a name stands for. Raises UsageError."""
    if name not in PLAYS:
        raise UsageError(f"there is no scenario '{name}'; choose one of {', '.join(PLAYS)}")
    return PLAYS[name]

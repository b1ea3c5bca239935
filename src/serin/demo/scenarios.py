"""The plays: which candidate, which experiment, and how it must end."""

from __future__ import annotations

from dataclasses import dataclass

from serin.errors import UsageError


@dataclass(frozen=True, slots=True)
class Scenario:
    """One play. Files are in the example's folder; `models` are those that it needs trained."""

    name: str
    about: str
    experiment_file: str
    candidate_file: str
    experiment: str
    winner: str
    models: tuple[str, ...]
    baseline: str = "fashionmnist-v1"
    candidate: str = "fashionmnist-v2"


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

PLAYS = {
    "success": (SUCCESS,),
    "slow": (SLOW,),
    "errors": (ERRORS,),
    "crash": (CRASH,),
    "failing": (SLOW, ERRORS, CRASH),
}


def play(name: str) -> tuple[Scenario, ...]:
    """The scenarios that a name stands for. Raises UsageError."""
    if name not in PLAYS:
        raise UsageError(f"there is no scenario '{name}'; choose one of {', '.join(PLAYS)}")
    return PLAYS[name]

"""Whether the split that arrives is the one that was asked for."""

from __future__ import annotations

import math

import numpy as np

from serin.core.evidence.contract import Sums
from serin.core.evidence.mismatch import ShareEvidence

ALARM = math.log(1000)


def seconds_to_alarm(seed: int, lost: float, readings: int = 120) -> float:
    rng = np.random.default_rng(seed)
    evidence = ShareEvidence()
    for i, total in enumerate(rng.poisson(600, readings).tolist()):
        own = int(rng.binomial(total, 0.25))
        kept = int(rng.binomial(own, 1.0 - lost))
        evidence = evidence.update(Sums(25, kept), Sums(75, total - own))
        if evidence.log_against >= ALARM:
            return 15.0 * (i + 1)
    return math.inf


def test_a_split_as_configured_raises_no_alarm() -> None:
    assert all(seconds_to_alarm(seed, 0.0) == math.inf for seed in range(30))


def test_lost_requests_are_found() -> None:
    assert np.median([seconds_to_alarm(seed, 0.1) for seed in range(20)]) <= 300
    assert np.median([seconds_to_alarm(seed, 0.2) for seed in range(20)]) <= 90


def test_a_reading_without_a_split_changes_nothing_and_state_survives() -> None:
    evidence = ShareEvidence().update(Sums(25, 30), Sums(75, 70))
    assert evidence.update(Sums(0, 5), Sums(100, 95)) == evidence
    assert ShareEvidence.from_json(evidence.to_json()) == evidence
    assert ShareEvidence().log_against == 0.0

"""A violation that dies away after the first requests condemns nobody; one that stays does, cold start or not."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from serin.core.evidence import of_mean
from serin.core.evidence.blocks import EMPTY
from serin.core.evidence.cold_start import ColdStart
from serin.core.evidence.contract import Sums
from serin.core.evidence.of_mean import MeanEvidence, MeanRule
from serin.core.model import Interval, Mode

NEEDED = math.log(20.0)


def begun(limit: float = 1.1, relative: bool = True, lower: bool = True, mode: Mode = Mode.ROBUST) -> MeanEvidence:
    rule = MeanRule(limit, lower, relative, mode)
    blocks = (EMPTY, EMPTY)
    return MeanEvidence(rule, paired=blocks if relative else None)


def readings(seed: int, factor: float, cold: float = 0.0, decay: float = 30.0, looks: int = 60, seconds: float = 15.0):
    """Lognormal latencies, 10 and 30 requests a second of both versions; the candidate takes longer at first."""
    rng = np.random.default_rng(seed)
    for look in range(looks):
        slower = factor * (1.0 + cold * math.exp(-(look + 0.5) * seconds / decay))
        n, m = (int(rng.poisson(rate * seconds)) for rate in (10.0, 30.0))
        own, base = (float(np.exp(rng.normal(math.log(100.0), 0.8, k)).sum()) for k in (n, m))
        yield Sums(n, slower * own), Sums(m, base), seconds


def verdict(evidence: MeanEvidence, stream) -> tuple[str, float, MeanEvidence]:
    passed = 0.0
    for own, baseline, seconds in stream:
        evidence, passed = evidence.update(own, baseline, seconds), passed + seconds
        if evidence.log_against >= NEEDED:
            return "rolled back", passed, evidence
        if evidence.enough and evidence.log_for >= NEEDED:
            return "promoted", passed, evidence
    return "undecided", passed, evidence


@pytest.mark.parametrize("seconds", [5.0, 15.0])
@pytest.mark.parametrize("mode", [Mode.ROBUST, Mode.STRICT])
def test_a_good_version_that_is_cold_at_first_is_promoted(mode: Mode, seconds: float) -> None:
    looks, found = int(1200 / seconds), []
    for seed in range(8):
        found.append(verdict(begun(mode=mode), readings(seed, 1.0, cold=2.0, looks=looks, seconds=seconds))[0])
    assert found.count("promoted") >= (7 if seconds == 15.0 else 5)  # at 20 s nobody can tell them apart for sure
    assert found.count("rolled back") == 0 or seconds < 15.0


def test_without_the_cold_start_as_an_explanation_it_would_be_condemned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ColdStart, "explains", lambda *_: 0.0)
    found = [verdict(begun(), readings(seed, 1.0, cold=2.0, looks=60))[0] for seed in range(8)]
    assert found.count("rolled back") >= 2


def _course(evidence: MeanEvidence, stream):
    for reading in stream:
        evidence = evidence.update(*reading)
        yield evidence


@pytest.mark.parametrize(
    ("limit", "relative", "lower"), [(120.0, False, True), (0.9, True, False), (125.0, False, False)]
)
def test_whatever_the_limit_is_and_on_whichever_side(limit: float, relative: bool, lower: bool) -> None:
    """Where higher is better a cold version has less at first; the mean of these latencies is 138 ms."""
    factor, cold = (0.6, 2.0) if lower else (1.1, -0.95)
    course = list(_course(begun(limit, relative, lower), readings(3, factor, cold=cold, looks=120)))
    assert max(e._explained for e in course[:8]) > 0.0
    assert verdict(begun(limit, relative, lower), readings(3, factor, cold=cold, looks=120))[0] == "promoted"


def test_a_steady_violation_is_no_cold_start() -> None:
    for seed in range(8):
        said, passed, evidence = verdict(begun(), readings(seed, 2.0))
        assert (said, evidence.cold.left_out) == ("rolled back", 0.0)
        assert passed <= 90.0


def test_a_version_that_stays_bad_after_its_cold_start_is_rolled_back() -> None:
    found = [verdict(begun(), readings(seed, 1.4, cold=2.0)) for seed in range(8)]
    assert {said for said, _, _ in found} == {"rolled back"}
    assert np.median([passed for _, passed, _ in found]) <= 180.0


def test_what_gets_slower_is_never_a_cold_start() -> None:
    for seed in range(6):
        said, _, evidence = verdict(begun(), readings(seed, 1.5, cold=-0.5, decay=60.0))
        assert (said, evidence.cold.left_out) == ("rolled back", 0.0)


def test_what_is_left_out_is_said_and_counts_nowhere() -> None:
    course = list(_course(begun(), readings(1, 1.0, cold=2.0, looks=12)))
    found = next(i for i, e in enumerate(course) if e.cold.left_out)
    fresh = course[found]
    assert (fresh.trials, fresh.value, fresh.log_for, fresh.log_against) == (0.0, None, 0.0, 0.0)
    text, _ = course[-1].missing(1e9, 10.0)
    assert text.endswith(f"; its first {15 * (found + 1)} s are left out as a cold start")
    later = sum(own.trials for own, _, _ in list(readings(1, 1.0, cold=2.0, looks=12))[found + 1 :])
    assert course[-1].trials == later


def test_the_limit_leaves_the_interval_exactly_when_the_violation_is_proven() -> None:
    checked = 0
    for seed, factor, cold in ((0, 1.0, 2.0), (1, 1.3, 0.0), (2, 1.5, 0.5), (3, 1.2, 1.0)):
        for evidence in _course(begun(), readings(seed, factor, cold=cold, looks=30)):
            found = evidence.anytime_ratio(0.1)
            if found is None or abs(evidence.log_against - NEEDED) < 0.05:
                continue
            assert isinstance(found, Interval)
            assert (found.lower > 1.1) == (evidence.log_against >= NEEDED)
            checked += evidence._explained > 0.0
    assert checked > 3


def test_it_survives_json_and_a_state_that_knows_of_none_is_read() -> None:
    evidence = begun()
    for reading in readings(4, 1.0, cold=1.0, looks=3):
        evidence = evidence.update(*reading)
    plain = json.loads(json.dumps(evidence.to_json()))
    assert of_mean.from_json(evidence.rule, plain) == evidence
    del plain["cold"]
    assert of_mean.from_json(evidence.rule, plain).cold == ColdStart()


def test_time_begins_with_the_first_request() -> None:
    waiting = ColdStart().passed(15.0, False)
    assert waiting == ColdStart()
    assert waiting.passed(15.0, True).passed(15.0, False).seconds == 30.0

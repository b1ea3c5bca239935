"""What an iteration concludes: a table of situations, each with its verdict and its words."""

from dataclasses import replace

import pytest

from serin.core import policies
from serin.core.decide import Standing
from serin.core.evidence.criterion import Sums, start
from serin.core.model import Analysis, Finding, Outcome, Plan, Reason
from serin.core.policies import Look, Surroundings
from tests.core.simulation import ERROR_COUNT, LATENCY, MEAN_LATENCY, REQUESTS, limit_on

LATENCY_LIMIT = limit_on(MEAN_LATENCY, 100.0)
PLAN = Plan("v1", ("v2",), (LATENCY_LIMIT,), interval=15.0, iterations=8, max_increment=20)
HARM = Finding(Reason.PROVEN_HARM, "mean latency 182 ms against a limit of 100 ms", criterion="0")
READY = Surroundings(frozenset(PLAN.ids), {})
COUNTS = {REQUESTS: 900.0, LATENCY: 3600.0}


def evidence(readings=0, mean=4.0, requests=60.0):
    """Real evidence about a latency: so many readings of 15 s that alternate a little around a mean."""
    found = start(LATENCY_LIMIT, Analysis(), 120)
    for i in range(readings):
        found = found.update(Sums(requests, requests * (mean + 0.1 * (-1) ** i)), None, 15.0)
    return {"0": found}


def look(**changes):
    standings = (Standing("baseline", evidence(3)), Standing("candidate-0", evidence(3)))
    base = Look(
        plan=PLAN,
        iteration=3,
        now=1045.0,
        started=1000.0,
        around=READY,
        weights={"baseline": 80, "candidate-0": 20},
        fresh={"baseline": COUNTS, "candidate-0": COUNTS},
        silent={"baseline": 0.0, "candidate-0": 0.0},
        standings=standings,
        rolled_back={},
        mismatched={},
        rates={"baseline": {REQUESTS: 60.0}, "candidate-0": {REQUESTS: 60.0}},
    )
    return replace(base, **changes)


def proven(**changes):
    found = Standing("candidate-0", evidence(12), proven=True, margin=3.0, satisfying=1.0)
    return look(standings=(look().standings[0], found), **changes)


def harmed(*versions):
    return tuple(replace(s, harm=HARM if s.version in versions else None) for s in look().standings)


OUT = {"candidate-0": replace(HARM, version="candidate-0")}
GOES_ON, HELD = (True, False), (False, True)
LAST = {"iteration": 8, "now": 1120.0}
PERFORMANCE = replace(PLAN, candidates=())
ALONE = {"plan": PERFORMANCE, "standings": look().standings[:1]}

SITUATIONS = {
    "goes on": (look(), Outcome.RUNNING, GOES_ON, Reason.NOT_ENOUGH_DATA, None),
    "baseline failed": (
        look(around=Surroundings(frozenset(), {"baseline": "crashed 5 times"})),
        Outcome.TERMINATED, GOES_ON, Reason.FAILED_TO_START, None,
    ),
    "the only candidate is out": (
        look(rolled_back=OUT), Outcome.BASELINE_WON, GOES_ON, None, "baseline",
    ),
    "everybody violates": (
        look(rolled_back=OUT, standings=harmed("baseline")), Outcome.NOBODY, GOES_ON, Reason.PROVEN_HARM, None,
    ),
    "a violating baseline alone ends nothing": (
        look(standings=harmed("baseline")), Outcome.RUNNING, GOES_ON, Reason.NOT_ENOUGH_DATA, None,
    ),
    "metrics are away": (
        look(around=replace(READY, waiting="Prometheus does not answer"), **LAST),
        Outcome.RUNNING, HELD, Reason.NO_DATA, None,
    ),
    "candidate not ready": (
        look(around=Surroundings(frozenset({"baseline"}), {}), **LAST), Outcome.RUNNING, HELD, Reason.NO_DATA, None,
    ),
    "unusable readings": (
        look(gaps=3, gap="baseline counted 3 of 2", **LAST), Outcome.RUNNING, HELD, Reason.UNUSABLE_READING, None,
    ),
    "two unusable readings are an accident": (
        look(gaps=2, gap="x"), Outcome.RUNNING, GOES_ON, Reason.NOT_ENOUGH_DATA, None,
    ),
    "no requests": (proven(fresh={}, **LAST), Outcome.RUNNING, HELD, Reason.NO_DATA, None),
    "requests but no latency": (
        proven(fresh={"baseline": {REQUESTS: 5.0}}, **LAST), Outcome.RUNNING, HELD, Reason.NO_DATA, None,
    ),
    "mismatch in mid-run": (
        proven(mismatched={"candidate-0": 9.0}), Outcome.RUNNING, (True, True), Reason.SAMPLE_RATIO_MISMATCH, None,
    ),
    "mismatch at the end": (
        proven(mismatched={"candidate-0": 9.0}, **LAST),
        Outcome.INCONCLUSIVE, (True, True), Reason.SAMPLE_RATIO_MISMATCH, None,
    ),
    "proven in mid-run": (proven(), Outcome.RUNNING, GOES_ON, Reason.PROVEN_SAFE, None),
    "proven at the end": (proven(**LAST), Outcome.PROMOTED, GOES_ON, Reason.PROVEN_SAFE, "candidate-0"),
    "proven, early stop": (
        proven(plan=replace(PLAN, analysis=Analysis(early_stop=True))),
        Outcome.PROMOTED, GOES_ON, Reason.PROVEN_SAFE, "candidate-0",
    ),
    "proven before the minimum duration": (
        proven(plan=replace(PLAN, analysis=Analysis(early_stop=True, min_duration=60.0))),
        Outcome.RUNNING, GOES_ON, Reason.PROVEN_SAFE, None,
    ),
    "at the end before the minimum duration": (
        proven(plan=replace(PLAN, analysis=Analysis(min_duration=600.0)), **LAST),
        Outcome.INCONCLUSIVE, GOES_ON, Reason.NO_PROOF, None,
    ),
    "nothing proven at the end": (look(**LAST), Outcome.INCONCLUSIVE, GOES_ON, Reason.NO_PROOF, None),
    "no criteria": (
        look(plan=replace(PLAN, criteria=()), fresh={}), Outcome.RUNNING, GOES_ON, Reason.NO_CRITERIA, None,
    ),
    "no criteria at the end": (
        look(plan=replace(PLAN, criteria=()), **LAST), Outcome.PROMOTED, GOES_ON, Reason.NO_CRITERIA, "candidate-0",
    ),
    "performance goes on": (look(**ALONE), Outcome.RUNNING, GOES_ON, Reason.NOT_ENOUGH_DATA, None),
    "performance violated": (
        look(plan=PERFORMANCE, standings=harmed("baseline")[:1]), Outcome.NOBODY, GOES_ON, Reason.PROVEN_HARM, None,
    ),
    "performance proven at the end": (
        look(plan=PERFORMANCE, standings=(replace(look().standings[0], proven=True),), **LAST),
        Outcome.BASELINE_WON, GOES_ON, Reason.PROVEN_SAFE, "baseline",
    ),
    "performance undecided": (look(**ALONE, **LAST), Outcome.INCONCLUSIVE, GOES_ON, Reason.NO_PROOF, None),
}  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "outcome", "counted_held", "reason", "winner"), SITUATIONS.values(), ids=list(SITUATIONS)
)
def test_what_is_concluded(seen, outcome, counted_held, reason, winner):
    verdict = policies.judge(seen)
    assert (verdict.outcome, (verdict.counted, verdict.held), verdict.winner) == (outcome, counted_held, winner)
    assert [f.reason for f in verdict.findings[:1]] == ([reason] if reason else [])


def test_no_requests_says_who_sends_nothing_and_since_when():
    seen = look(fresh={}, silent={"baseline": 43203.0, "candidate-0": None})
    assert policies.judge(seen).findings[0].text == (
        "no requests seen, of v1 none since 12:00:03 UTC and of v2 none ever; traffic stays as it is"
    )


def test_a_missing_metric_is_named_with_the_version_that_does_not_count_it():
    verdict = policies.judge(look(fresh={"baseline": {REQUESTS: 5.0}}))
    assert verdict.findings[0].text == (
        "no mean latency: iter8_total_latency of v1 is not counted; traffic stays as it is"
    )


def test_progress_says_the_estimate_the_limit_and_what_is_missing():
    text = policies.judge(look()).findings[0].text
    assert text.startswith("mean latency 4.03 ms against a limit of 100 ms; 3 of 4 blocks seen, about ")
    assert text.endswith(" to go")


@pytest.mark.parametrize(
    ("last_seen", "words"),
    [(None, "no requests yet"), (1040.0, "it has requests, but none that count for this metric yet")],
)
def test_no_requests_and_requests_without_the_metric_are_told_apart(last_seen, words):
    standings = (Standing("baseline", evidence(3)), Standing("candidate-0", evidence()))
    seen = look(standings=standings, silent={"baseline": 1040.0, "candidate-0": last_seen})
    assert policies.judge(seen).findings[0].text == f"no mean latency yet to hold against a limit of 100 ms; {words}"


def test_a_proof_says_how_strong_it_is_and_what_is_needed():
    text = policies.judge(proven(**LAST)).findings[0].text
    assert text.startswith("proven, mean latency 4 ms (")
    assert text.endswith("a version that violates it shows this with a chance of at most 1 in 2000 (1 in 100 needed)")


def test_an_end_before_the_minimum_duration_says_so():
    plan = replace(PLAN, analysis=Analysis(min_duration=600.0))
    text = policies.judge(proven(plan=plan, **LAST)).findings[0].text
    assert text == "the iterations are over 8 min before analysis.minDuration; nobody is promoted"


def test_each_version_that_is_not_ready_is_named_and_no_other():
    around = Surroundings(frozenset({"candidate-0"}), {})
    assert [f.version for f in policies.judge(look(around=around)).findings] == ["baseline"]


def test_a_count_kept_to_the_end_is_safe_only_then():
    criterion = limit_on(ERROR_COUNT, 5.0)
    counted = start(criterion, Analysis(), 120).update(Sums(0.0, 3.0), None, 15.0)
    assert counted.log_for == 0.0
    assert counted.at_end().log_for > 100.0

"""What an experiment is and what is known of it, in the core's own words: frozen, without clock and without I/O.

Versions have ids: `baseline`, `candidate-0`, `candidate-1`, … in the order of the spec. Weights are whole percents of
the traffic that takes part, for every version, adding up to 100. Times are epoch seconds, durations seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

BASELINE = "baseline"


def candidate_id(index: int) -> str:
    """The id of the candidate at `index` of the spec's list."""
    return f"candidate-{index}"


class MeasureKind(StrEnum):
    """What a metric is: a count, a share of requests (0 to 1), or any other ratio of two counters (a mean)."""

    COUNTER = "counter"
    RATE = "rate"
    MEAN = "mean"


class LimitKind(StrEnum):
    """Against a fixed value, or against the baseline's value times a factor."""

    ABSOLUTE = "absolute"
    RELATIVE = "relative"


class Strategy(StrEnum):
    """How the split follows what is known."""

    PROGRESSIVE = "progressive"
    TOP_2 = "top_2"
    UNIFORM = "uniform"
    TOP_TWO_TS = "top_two_ts"


class OnTermination(StrEnum):
    """The split after the end."""

    TO_WINNER = "to_winner"
    TO_BASELINE = "to_baseline"
    KEEP_LAST = "keep_last"


class Mode(StrEnum):
    """How cautious the evidence is about errors that come in bursts."""

    ROBUST = "robust"
    STRICT = "strict"
    INDEPENDENT = "independent"


class OnInconclusive(StrEnum):
    """What an undecided end does with the traffic."""

    BASELINE = "baseline"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric of a version: `numerator`, over `denominator` unless it is a counter; both name counters."""

    kind: MeasureKind
    numerator: str
    denominator: str | None = None
    lower_is_better: bool = True
    units: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit in the metric's preferred direction: an upper one when lower is better, a lower one otherwise."""

    kind: LimitKind
    value: float
    cutoff: bool = False


@dataclass(frozen=True, slots=True)
class Criterion:
    """One line of the spec's `criteria`. `id` is its index in that list, as text.

    A `quantile` is judged as a share: at least so many of the values are `within` the limit that the user wrote.
    """

    id: str
    metric: str
    measure: Measure
    limit: Limit | None = None
    is_reward: bool = False
    quantile: float | None = None
    within: float | None = None
    margin: float = 0.0
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Analysis:
    """The error rates that are guaranteed, and how patient the experiment is."""

    mode: Mode = Mode.ROBUST
    false_promotion: float = 0.01
    false_rollback: float = 0.05
    burst: float = 4.0
    history: float = 3600.0
    warmup: float = 0.0
    min_duration: float = 0.0
    progress_deadline: float = 600.0
    on_inconclusive: OnInconclusive = OnInconclusive.BASELINE
    early_stop: bool = False
    exposure_budget: float | None = None


@dataclass(frozen=True)
class Plan:
    """An experiment: which versions, which criteria, how fast. Without slots: what follows from it is found once.

    baseline, candidates   names of the versions
    requests               the counter that counts requests (`iter8_request_count`)
    partial                only some requests take part (those that match); the baseline answers all others too
    """

    baseline: str
    candidates: tuple[str, ...]
    criteria: tuple[Criterion, ...] = ()
    requests: str = "iter8_request_count"
    interval: float = 30.0
    iterations: int = 100
    strategy: Strategy = Strategy.PROGRESSIVE
    max_increment: int = 2
    percentage: int = 100
    on_termination: OnTermination = OnTermination.TO_WINNER
    partial: bool = False
    analysis: Analysis = field(default_factory=Analysis)

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """All version ids, the baseline's first."""
        return (BASELINE, *(candidate_id(i) for i in range(len(self.candidates))))

    @cached_property
    def limited(self) -> tuple[Criterion, ...]:
        """The criteria that judge."""
        return tuple(c for c in self.criteria if c.limit is not None)

    @cached_property
    def reward(self) -> Criterion | None:
        """The criterion in which the versions compete."""
        return next((c for c in self.criteria if c.is_reward), None)

    @cached_property
    def _names(self) -> dict[str, str]:
        return dict(zip(self.ids, (self.baseline, *self.candidates), strict=True))

    def name(self, version: str) -> str:
        """The name behind a version id."""
        return self._names[version]


class Outcome(StrEnum):
    """How an experiment stands or ended. The five that end it are kept apart."""

    RUNNING = "Running"
    PROMOTED = "Promoted"  # a candidate is proven to meet every criterion (and to be the best): it wins
    BASELINE_WON = "BaselineWon"  # every candidate was rolled back, or the baseline is proven best
    INCONCLUSIVE = "Inconclusive"  # the iterations are over and nothing is proven
    NOBODY = "Nobody"  # every candidate rolled back, and the baseline proven to violate a criterion too
    TERMINATED = "Terminated"  # by hand, or because a version is gone for good


class Reason(StrEnum):
    """Why: constants shared by decisions, conditions, events and logs."""

    NO_DATA = "NoData"
    UNUSABLE_READING = "UnusableReading"
    PROVEN_HARM = "ProvenHarm"
    COUNTER_BREACHED = "CounterBreached"
    FAILED_TO_START = "FailedToStart"
    SAMPLE_RATIO_MISMATCH = "SampleRatioMismatch"
    NOT_ENOUGH_DATA = "NotEnoughData"
    PROVEN_SAFE = "ProvenSafe"
    NO_PROOF = "NoProof"
    NO_CRITERIA = "NoCriteria"
    EXPOSURE_BUDGET = "ExposureBudget"
    PROGRESSING = "Progressing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason with its numbers, about one version (or the whole experiment: None). `text` is for people."""

    reason: Reason
    text: str
    version: str | None = None
    criterion: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What an iteration (or a proven violation between two) decided.

    weights    of every version id, whole numbers adding up to 100
    counted    whether the iteration counts: one in which nothing could be seen does not
    winner     version id, only with PROMOTED and BASELINE_WON
    best       the version that is likeliest the best so far
    """

    weights: Mapping[str, int]
    outcome: Outcome = Outcome.RUNNING
    counted: bool = True
    held: bool = False
    winner: str | None = None
    best: str = BASELINE
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed interval; infinite ends where nothing is known."""

    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class CriterionAssessment:
    """What is known about one criterion of one version. None where nothing can be said yet.

    value               the estimate: a count, a rate, a mean
    credible            95 % posterior interval of it (what the original shows)
    anytime             interval that stays valid however often one looks, at the level that decides
    evidence_for        nats (natural log of the e-value) for compliance; `needed_for` is where it is proven
    evidence_against    nats for violation; `needed_against` is where it is proven
    ratio_to_baseline   the same as `anytime` of the ratio to the baseline's value, where the two are compared directly
    difference          the same of the difference, from the intervals of both versions at half the level each
    dispersion          how many events (blocks, of a mean) tell as much as one independent one, as learned so far;
                        `dispersion_seconds` is the time scale at which it peaks, `history` the seconds of the
                        baseline's history that taught it
    eta                 seconds until a proof is to be expected if all goes on as it is, None when it cannot be said
    missing             in words: what is still needed
    """

    criterion: str
    metric: str
    value: float | None = None
    credible: Interval | None = None
    anytime: Interval | None = None
    ratio_to_baseline: Interval | None = None
    difference: Interval | None = None
    dispersion: float = 1.0
    dispersion_seconds: float = 0.0
    history: float = 0.0
    improvement_over_baseline: Interval | None = None
    probability_of_beating_baseline: float | None = None
    probability_of_being_best: float | None = None
    breached: bool = False
    probability_of_satisfying: float | None = None
    evidence_for: float = 0.0
    needed_for: float = 0.0
    evidence_against: float = 0.0
    needed_against: float = 0.0
    eta: float | None = None
    missing: str = ""


@dataclass(frozen=True, slots=True)
class VersionAssessment:
    """What is known about one version."""

    version: str
    name: str
    weight: int
    requests: float = 0.0
    win_probability: float | None = None
    rollback: bool = False
    safe: bool = False
    criteria: tuple[CriterionAssessment, ...] = ()


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is known about all versions, the baseline first, and who leads."""

    versions: tuple[VersionAssessment, ...]
    best: str = BASELINE
    winner: str | None = None
    probability_of_best: float | None = None

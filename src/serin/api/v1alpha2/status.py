"""From what the core knows to the JSON of `.status`: the contract's fields, and ours beside them.

Nothing here is NaN or infinite, since JSON has neither: what is not known, or is unbounded, is null. Our own fields are
left out when they say nothing, and numbers have six digits: a status is stored whole with every write.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from serin.core.model import (
    BASELINE,
    Assessment,
    CriterionAssessment,
    Decision,
    Finding,
    Interval,
    VersionAssessment,
)
from serin.core.words import one_in

Json = dict[str, Any]
DIGITS = 6


def assessment(known: Assessment) -> Json:
    """`status.assessment`: the baseline, the candidates in the order of the spec, and who leads."""
    baseline, *candidates = known.versions
    leader = known.winner or known.best
    names = {version.version: version.name for version in known.versions}
    return {
        "baseline": _version(baseline),
        "candidates": [_version(candidate) | {"rollback": candidate.rollback} for candidate in candidates],
        "winner": {
            "name": names[leader],
            "current_best_version": leader,
            "winning_version_found": known.winner is not None,
            "probability_of_winning_for_best_version": number(known.probability_of_best),
        },
    }


def _version(version: VersionAssessment) -> Json:
    return {
        "id": version.version,
        "name": version.name,
        "weight": version.weight,
        "request_count": number(version.requests),
        "win_probability": number(version.win_probability),
        "criterion_assessments": [_criterion(criterion) for criterion in version.criteria],
    } | ({"safe": True} if version.safe else {})


def _criterion(criterion: CriterionAssessment) -> Json:
    told: Json = {
        "id": criterion.criterion,
        "metric_id": criterion.metric,
        "statistics": {
            "value": number(criterion.value),
            "ratio_statistics": {
                "credible_interval": _interval(criterion.credible),
                "improvement_over_baseline": _interval(criterion.improvement_over_baseline),
                "probability_of_beating_baseline": number(criterion.probability_of_beating_baseline),
                "probability_of_being_best_version": number(criterion.probability_of_being_best),
            },
        },
    }
    if criterion.needed_against or criterion.breached or criterion.probability_of_satisfying is not None:
        told["threshold_assessment"] = {
            "threshold_breached": criterion.breached,
            "probability_of_satisfying_threshold": number(criterion.probability_of_satisfying),
        }
    return told | _evidence(criterion)


def _evidence(criterion: CriterionAssessment) -> Json:
    """Ours: what is proven, how far, what is missing and when to expect it."""
    told: Json = {}
    if criterion.anytime is not None:
        told["anytime_interval"] = _interval(criterion.anytime)
    if criterion.ratio_to_baseline is not None:
        told["ratio_to_baseline"] = _interval(criterion.ratio_to_baseline)
    if criterion.difference is not None:
        told["difference_to_baseline"] = _interval(criterion.difference)
    if criterion.dispersion > 1.0:
        told["dispersion"] = {
            "factor": number(criterion.dispersion),
            "seconds": number(criterion.dispersion_seconds),
            "history_seconds": number(criterion.history),
        }
    if criterion.needed_for:
        told["evidence_for"] = _proof(criterion.evidence_for, criterion.needed_for)
    if criterion.needed_against:
        told["evidence_against"] = _proof(criterion.evidence_against, criterion.needed_against)
    if criterion.missing:
        told["missing"] = criterion.missing
    if (eta := number(criterion.eta)) is not None:
        told["eta_seconds"] = eta
    return told


def _proof(nats: float, needed: float) -> Json:
    """Evidence in nats, what makes it a proof, and the same as the chance to see it by accident."""
    return {"nats": number(nats), "needed": number(needed), "chance": one_in(nats)}


def _interval(interval: Interval | None) -> Json | None:
    return None if interval is None else {"lower": number(interval.lower), "upper": number(interval.upper)}


def number(value: float | None) -> int | float | None:
    """A number for JSON: null for what is none, whole where it is whole, else to six significant digits."""
    if value is None or not math.isfinite(value):
        return None
    if value == int(value) and abs(value) < 2**53:
        return int(value)
    return float(f"{value:.{DIGITS}g}")


def outcome(decision: Decision) -> Json:
    """Ours: `outcome` and `reasons` of the latest decision, to be merged into `.status`."""
    return {"outcome": str(decision.outcome), "reasons": [_finding(finding) for finding in decision.findings]}


def _finding(finding: Finding) -> Json:
    told = {"reason": str(finding.reason), "text": finding.text}
    if finding.version is not None:
        told["version"] = finding.version
    if finding.criterion is not None:
        told["criterion"] = finding.criterion
    return told


def ended(before: Json | None, split: Mapping[str, int], winner: str | None) -> Json | None:
    """The assessment after the end: the weights of the final split, and no winner but the one that was declared.

    before    `.status.assessment` of the last look, None when there was none
    split     version id to percent
    winner    version id, None when nobody won (or a person ended the experiment by hand)
    """
    if before is None:
        return None
    told = deepcopy(before)
    versions = {version["id"]: version for version in (told["baseline"], *told["candidates"])}
    for identity, version in versions.items():
        version["weight"] = split.get(identity, 0)
    leader = winner or told["winner"].get("current_best_version") or BASELINE
    told["winner"] |= {
        "name": versions[leader]["name"],
        "current_best_version": leader,
        "winning_version_found": winner is not None,
    }
    return told

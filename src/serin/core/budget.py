"""How the promised error rates are divided among candidates and criteria: the nats that a proof needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from serin.core.model import Plan

MISMATCH_ALPHA = 0.001
"""How often requests that are split as configured may raise the alarm that they are not."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Where each proof is reached, in nats, and what may go wrong in all.

    promotion   each criterion of a candidate must reach it in favour: log(C/alpha_p) for C candidates. A wrong
                promotion needs a wrong proof for the very criterion that is violated, so the number of criteria costs
                nothing (intersection-union test, Berger 1982)
    rollback    any criterion may reach it against: log(C K/alpha_r) for K limits a candidate (Bonferroni)
    winner      a candidate must reach it against every other version that is alive: log((V-1)/alpha_w), V versions
    mismatch    of the split that was asked for
    spent       alpha_p + alpha_r + alpha_w + the alarm's: a bound on the chance that anything said is wrong
    """

    promotion: float
    rollback: float
    winner: float
    mismatch: float
    spent: float


def budget(plan: Plan) -> Budget:
    """The budget of an experiment. The chance that the wrong version wins is `falsePromotion` as well."""
    alphas = plan.analysis.false_promotion, plan.analysis.false_rollback
    return _divided(max(1, len(plan.candidates)), max(1, len(plan.limited)), plan.reward is not None, *alphas)


@lru_cache(maxsize=256)
def _divided(candidates: int, limits: int, choosing: bool, alpha_p: float, alpha_r: float) -> Budget:
    """Among so many candidates and limits a candidate: every reading and iteration asks several times."""
    return Budget(
        promotion=math.log(candidates / alpha_p),
        rollback=math.log(candidates * limits / alpha_r),
        winner=math.log(candidates / alpha_p),
        mismatch=math.log(candidates / MISMATCH_ALPHA),
        spent=alpha_p + alpha_r + MISMATCH_ALPHA + (alpha_p if choosing else 0.0),
    )

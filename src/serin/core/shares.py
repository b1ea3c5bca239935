"""Who should get how much of the traffic: the strategies, from what is believed of each version.

Beliefs come in, shares of the traffic that takes part go out, adding up to 1. Exploration, the largest increment and
whole percents come after, in `traffic`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from serin.core import decide
from serin.core.decide import Standing
from serin.core.evidence.posterior import Posterior, rank_probabilities
from serin.core.model import BASELINE, Plan, Strategy

_UNKNOWN = 0.5
"""The chance of a candidate to meet criteria about which nothing is known yet; it steers the first step only."""

_LEVEL = 1e-9
"""Chances to win that differ by less are equal."""

_ONE_SIGMA = 0.8413447460685429
"""The normal probability below one standard deviation."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One version as a strategy sees it.

    win      chance to win, on any scale, >= 0
    meets    chance to meet every criterion
    reward   what is believed of its reward; None in an experiment without one
    """

    win: float
    meets: float = 1.0
    reward: Posterior | None = None


def contenders(plan: Plan, standings: Sequence[Standing]) -> dict[str, Contender]:
    """The versions that take part, the baseline first, as they stand."""
    reward = plan.reward
    chances = decide.win_chances(standings)
    return {
        s.version: Contender(
            chances[s.version],
            (1.0 if s.version == BASELINE else _UNKNOWN) if s.satisfying is None else s.satisfying,
            s.evidence[reward.id].posterior if reward else None,
        )
        for s in standings
    }


def shares(strategy: Strategy, versions: Mapping[str, Contender], lower_is_better: bool = False) -> dict[str, float]:
    """The share each version should have, adding up to 1, for every input.

    `progressive`   the chance to win
    `uniform`       equal
    `top_2`         P(rank <= 2)/2, the rank among those that meet their criteria; what is left where fewer than two
                    may meet them is the baseline's. It converges to a half each for the best two
    `top_two_ts`    a half for the leader, the other half for its challengers by their chance to overtake it
                    (Russo 2016, with beta = 1/2), so that most is learned about who is best

    lower_is_better   of the reward
    """
    names = list(versions)
    if not names:
        return {}
    win = {v: max(0.0, c.win) if math.isfinite(c.win) else 0.0 for v, c in versions.items()}
    total = sum(sorted(win.values()))  # fsum would refuse what adds up to more than a float holds
    if strategy is Strategy.UNIFORM or total <= 0.0 or not math.isfinite(total):
        return dict.fromkeys(names, 1.0 / len(names))
    win = {v: chance / total for v, chance in win.items()}
    if strategy is Strategy.PROGRESSIVE or len(names) == 1:
        return win
    if strategy is Strategy.TOP_2:
        return _first_two(versions, lower_is_better)
    rewards = [c.reward for c in versions.values()]
    if any(r is None for r in rewards):
        return _top_two_by_chances(win)
    return _top_two(win, versions, lower_is_better)


def _first_two(versions: Mapping[str, Contender], lower_is_better: bool) -> dict[str, float]:
    """P(rank <= 2)/2 of each version; the baseline has the rest."""
    names, meets = list(versions), [min(1.0, max(0.0, c.meets)) for c in versions.values()]
    rewards = [c.reward for c in versions.values() if c.reward is not None]
    if len(rewards) == len(names):
        ranks = rank_probabilities(rewards, meets, lower_is_better)
        among = {v: min(1.0, sum(row[:2])) for v, row in zip(names, ranks, strict=True)}
    else:
        among = _first_two_of_equals({v: pi for v, pi in zip(names, meets, strict=True) if v != BASELINE})
    found = {v: among.get(v, 0.0) / 2.0 for v in names}
    refuge = BASELINE if BASELINE in found else names[0]
    found[refuge] += max(0.0, 1.0 - math.fsum(found.values()))
    return found


def _first_two_of_equals(meets: Mapping[str, float]) -> dict[str, float]:
    """P(rank <= 2) of candidates that differ in nothing but whether they meet their criteria: ties by chance.

    With K others that meet theirs it is min(1, 2/(K+1)); K is Poisson-binomial.
    """
    found = {}
    for v, pi in meets.items():
        others = np.ones(1)
        for other in sorted(p for u, p in meets.items() if u != v):
            others = np.convolve(others, [1.0 - other, other])
        found[v] = pi * float(others @ np.minimum(1.0, 2.0 / (np.arange(len(others)) + 1.0)))
    return found


def _top_two_by_chances(win: Mapping[str, float]) -> dict[str, float]:
    """psi_v = (p_v + sum over u != v of p_u p_v/(1 - p_u))/2: top-two sampling in closed form (Russo 2016).

    Where there is no reward the chances are all there is, and they are exact.
    """

    def given_another(version: str, first: str) -> float:
        rest = sum(win[u] for u in sorted(win) if u != first)
        return win[version] / rest if rest > 0.0 else 1.0 / (len(win) - 1)

    return {v: (win[v] + sum(win[u] * given_another(v, u) for u in win if u != v)) / 2.0 for v in win}


def _top_two(win: Mapping[str, float], versions: Mapping[str, Contender], lower_is_better: bool) -> dict[str, float]:
    """A half for the leader, the other half for its challengers; leaders that are level take turns."""
    best = max(win.values())
    level = [v for v, chance in win.items() if chance >= best - _LEVEL]
    found = dict.fromkeys(win, 0.0)
    for leader in level:
        for v, share in _challenged(leader, versions, lower_is_better).items():
            found[v] += share / len(level)
    return found


def _challenged(leader: str, versions: Mapping[str, Contender], lower_is_better: bool) -> dict[str, float]:
    """A half for the leader L; the other half by pi_u Phi((m_u - m_L)/sqrt(s_L^2 + s_u^2)), in logs.

    Draws would not do: a challenger that overtakes once in 10^6 must still keep its place among the challengers.
    """
    middle, spread = _located(versions[leader].reward)
    logs = {}
    for v, c in versions.items():
        if v == leader:
            continue
        m, s = _located(c.reward)
        ahead = (middle - m) if lower_is_better else (m - middle)
        scale = math.hypot(s, spread)
        overtakes = float(log_ndtr(ahead / scale)) if scale > 0.0 else 0.0
        logs[v] = overtakes + (math.log(c.meets) if c.meets > 0.0 else -math.inf)
    most = max(logs.values())
    odds = {v: math.exp(nats - most) if math.isfinite(most) else 1.0 for v, nats in logs.items()}
    total = math.fsum(odds.values())
    return {v: 0.5 if v == leader else 0.5 * odds[v] / total for v in versions}


def _located(reward: Posterior | None) -> tuple[float, float]:
    """Middle and scale of a belief, by its quantiles at one standard deviation; (0, 0) where nothing is known."""
    if reward is None or not reward.known:
        return 0.0, 0.0
    low, middle, high = reward.ppf(np.array([1.0 - _ONE_SIGMA, 0.5, _ONE_SIGMA]))
    return float(middle), float(high - low) / 2.0

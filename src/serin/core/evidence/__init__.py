"""How the evidence is weighed: what the counters of two versions say for and against a criterion.

Decisions rest on e-processes: evidence in nats (natural log) that stays valid however often it is looked at. If a
version violates its criterion throughout, the chance that the evidence for it *ever* reaches log(1/a) is at most `a`
(Ville's inequality), and the same holds for the other side. Posteriors drive the split and what people see; they never
decide.

Whoever has two columns of counts needs no experiment for it:

    >>> from serin.core.evidence import Sums, judge
    >>> evidence = judge("rate", at_most=0.02)
    >>> for requests, errors in [(400, 2), (380, 0), (410, 3), (395, 1), (405, 2), (390, 0), (400, 1), (398, 2)]:
    ...     evidence = evidence.update(Sums(requests, errors), seconds=15.0)
    >>> evidence.enough, evidence.log_for >= 3.0, evidence.anytime(0.05).upper < 0.02
    (True, True, True)

    criterion                  the one thing that a decision needs: `start`, then `update` at every reading
    contract                   what a reading brings and what evidence can be asked
    of_rate, of_mean, of_count the three kinds of criteria
    rate                       formulas: shares against a fixed limit or the baseline, confidence sequences
    dispersion, residuals      how much more than by chance errors scatter: against a limit, against the baseline
    learning                   the same, learned while an experiment runs
    mean, blocks, spread       means: formulas, memory of blocks of readings, how values scatter
    mixture                    effects and start times, mixed
    posterior                  Beta and Student posteriors, chances of meeting a criterion, of winning, of a rank
    mismatch                   whether the requests arrive in the shares that were asked for
    duel                       which of two versions has the better reward

Sources: Ville 1939; Robbins 1970; Howard, Ramdas, McAuliffe, Sekhon 2021 (time-uniform confidence sequences);
Ramdas, Grünwald, Vovk, Shafer 2023 (game-theoretic statistics and safe anytime-valid inference).
"""

from serin.core.evidence.contract import Dispersion, Evidence, Sums
from serin.core.evidence.criterion import Past, from_json, judge, learn, start

__all__ = ["Dispersion", "Evidence", "Past", "Sums", "from_json", "judge", "learn", "start"]

"""The tables: aligned in a terminal, as Markdown in `docs/guarantees.md`, as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from benchmarks.decisions import ours
from benchmarks.decisions.bounds import least_seconds_to_best
from benchmarks.decisions.measures import Measures, Share
from benchmarks.decisions.peers import PEERS
from benchmarks.decisions.run import ASIDE, Results
from benchmarks.decisions.scenarios import CASES, Truth
from benchmarks.decisions.targets import broken, reason, targets

PAGE = Path(__file__).parents[2] / "docs" / "guarantees.md"
BEGIN, END = "<!-- {0}: written by python -m benchmarks.decisions --write -->", "<!-- {0}: end -->"


@dataclass(frozen=True)
class Table:
    """One table: `block` says where in the page it goes."""

    block: str
    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        assert all(len(row) == len(self.head) for row in self.rows), self.title

    def aligned(self) -> str:
        """For a terminal."""
        widths = [max(len(row[i]) for row in (self.head, *self.rows)) for i in range(len(self.head))]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
            for row in (self.head, *self.rows)
        ]
        return "\n".join([f"== {self.title}", *([self.note] if self.note else []), "", *lines, ""])

    def markdown(self) -> str:
        """For the page."""
        rule = "|".join("---" for _ in self.head)
        lines = [f"| {' | '.join(row)} |" for row in (self.head, *self.rows)]
        lines.insert(1, f"|{rule}|")
        return "\n".join([f"**{self.title}.** {self.note}".rstrip(), "", *lines, ""])


def percents(share: Share) -> str:
    """`3.1 (2.4 to 4)`, in percent."""
    low, high = share.interval
    return f"{_short(100 * share.value)} ({_short(100 * low)} to {_short(100 * high)})"


def _short(x: float) -> str:
    return f"{x:.0f}" if x >= 9.95 or x == 0 else f"{x:.1f}" if x >= 0.95 else f"{x:.2f}".rstrip("0").rstrip(".")


def seconds(x: float) -> str:
    return f"{x:.0f}" if math.isfinite(x) else "–"


def tables(results: Results) -> list[Table]:
    """All that the results have."""
    found = [_of_targets(results), *_reasons(results)] if results.measures else []
    found += [*_wrong(results), *_right(results), *_costs(results), *_arms(results)]
    found += [*_loops(results), *_coverages(results), *_sources(results), *_speeds(results)]
    return found


def _of_targets(results: Results) -> Table:
    rows = tuple((t.what, t.wanted, t.measured, t.verdict, t.where) for t in targets(results))
    note = (
        f"{results.replications} replications, seed {results.seed}, at 5 % on each side unless said. Rates are met "
        "when the upper end of their 95 % interval is; `not shown` is a rate that is within its target but not surely "
        "so; the worst case is named."
    )
    return Table("targets", "Targets", note, ("target", "wanted", "measured", "", "worst, or by"), rows)


def _reasons(results: Results) -> list[Table]:
    missed = [t for t in targets(results) if t.verdict == "missed"]
    rows = tuple((t.what, reason(t) or "not understood yet") for t in missed)
    return [Table("targets", "Why targets are missed", "", ("target", "reason"), rows)] if rows else []


def _columns(measures: Sequence[Measures]) -> list[str]:
    shown = {m.rule for m in measures} - {"robust, 1 %"}
    return [rule for rule in (*ours.MODES, *PEERS) if rule in shown]


def _by_level(results: Results) -> Iterable[tuple[str, list[tuple[str, dict[str, Measures]]]]]:
    """Scenario family -> its levels -> rule -> measures; S9 apart."""
    usual = [m for m in results.measures if m.infeasible is None]
    for family, of_family in groupby(usual, key=lambda m: m.scenario.split(",")[0]):
        levels = [(key, {m.rule: m for m in of_level}) for key, of_level in groupby(of_family, key=lambda m: m.case)]
        yield family, levels


def _wrong(results: Results) -> list[Table]:
    note = (
        "In percent with exact 95 % intervals: of a good candidate rollbacks, of a bad one promotions, at the limit "
        f"promotions / rollbacks. {results.replications} experiments a case for `robust` and the peers, one in {ASIDE} "
        "of them for the other modes. Empty: not judged by this rule."
    )
    found = []
    for family, levels in _by_level(results):
        rules = _columns([m for _, by in levels for m in by.values()])
        rows = []
        for key, by in levels:
            truth = next(iter(by.values())).truth
            cells = [" / ".join(percents(w) for w in by[r].wrong) if r in by else "" for r in rules]
            rows.append((key, truth, *cells))
        found.append(Table("tables", f"{family}: wrong decisions", note, ("case", "candidate", *rules), tuple(rows)))
    return found


def _right(results: Results) -> list[Table]:
    note = "How many were decided rightly in percent, and the median / 90 % time to it in seconds over all experiments."
    found = []
    for family, levels in _by_level(results):
        told = [(key, by) for key, by in levels if next(iter(by.values())).truth != Truth.AT_LIMIT]
        rules = _columns([m for _, by in told for m in by.values()])
        rows = [(key, *[_found(by[r]) if r in by else "" for r in rules]) for key, by in told]
        if rows:
            found.append(Table("tables", f"{family}: right decisions", note, ("case", *rules), tuple(rows)))
    return found


def _found(m: Measures) -> str:
    assert m.right is not None
    return f"{_short(100 * m.right.value)}: {seconds(m.median)} / {seconds(m.p90)}"


def _costs(results: Results) -> list[Table]:
    head = (
        "case",
        "mode",
        "N",
        "right, %",
        "median s",
        "90 % s",
        "candidate's requests",
        "exposed, %",
        "efficiency",
        "ms a reading",
    )
    rows = []
    for m in results.measures:
        if m.rule in ours.MODES and m.right is not None and m.infeasible is None:
            rows.append((
                m.case, m.rule, str(m.replications), percents(m.right),
                seconds(m.median), seconds(m.p90), seconds(m.requests),
                f"{100 * m.exposed:.2f}" if m.truth == Truth.BAD else "",
                "" if m.efficiency is None else f"{m.efficiency:.2f}",
                "" if m.milliseconds is None else f"{m.milliseconds:.2f}",
            ))  # fmt: skip
    note = (
        "Requests of the candidate until the right decision (median); exposed: the share of all requests of the whole "
        "experiment that a bad candidate answered until the decision; efficiency: the least mean time of any rule with "
        "this power, by Wald's bound, over ours."
    )
    found = [Table("tables", "What ours costs", note, head, tuple(rows))] if rows else []
    if results.refused:
        refused = tuple((case, "not yet", why) for case, why in results.refused.items())
        found.append(Table("tables", "Not yet judged by ours", "", ("case", "", "why"), refused))
    return found


def _arms(results: Results) -> list[Table]:
    rows = []
    for m in results.measures:
        if m.infeasible is None or m.found is None:
            continue
        bound = least_seconds_to_best(next(c for c in CASES if c.key == m.case))
        rows.append((
            m.case, m.rule, str(m.replications), percents(m.promoted),
            percents(m.found) if m.truth == Truth.GOOD else "",
            percents(m.infeasible), f"{m.regret:.2f}", seconds(m.median), "" if bound is None else seconds(bound),
        ))  # fmt: skip
    note = (
        "Right: the best that keeps the limit, or one within the margin. Regret: rewards lost per 1,000 requests after "
        "the end, against the best. Bound: the least mean time of any rule, with the best of all splits, for the "
        "reward alone. The peers see equal shares (S5: a split that moves)."
    )
    head = ("case", "rule", "N", "a winner, %", "right, %", "one that violates, %", "regret", "median s", "bound s")
    return [Table("tables", "S5 and S9: the version that earns most", note, head, tuple(rows))] if rows else []


def _loops(results: Results) -> list[Table]:
    rows = []
    for x in results.loops:
        rows.append((
            x.case, x.level, x.truth, x.rule, str(x.replications), percents(x.promoted), percents(x.rolled_back),
            seconds(x.median), f"{100 * x.exposed:.2f}", f"{100 * x.exposed_p90:.2f}",
            "" if math.isnan(x.extra) else f"{x.extra:.1f}",
        ))  # fmt: skip
    head = (
        "case",
        "level",
        "candidate",
        "rule",
        "N",
        "promoted, %",
        "rolled back, %",
        "median s",
        "requests, %",
        "90 %",
        "extra failures",
    )
    note = (
        "The split follows the rule, for 30 minutes; `requests`: the share of all of them that the candidate answers, "
        "after a promotion all; extra failures: those beyond the limit, in the mean. Ours with `maxIncrement: 2` "
        "(where nothing else is said), an interval of 30 s and `earlyStop`."
    )
    return [Table("tables", "Closed loop", note, head, tuple(rows))] if rows else []


def _coverages(results: Results) -> list[Table]:
    rows = tuple((c.case, c.mode, str(c.missed.of), percents(c.missed), f"{c.width:.2f}") for c in results.coverages)
    note = (
        "Experiments in which the 95 % interval excluded the truth at any look; width: the last one's, over the truth."
    )
    head = ("case", "mode", "N", "excluded, %", "width")
    return [Table("tables", "Intervals at all looks together", note, head, rows)] if rows else []


def _sources(results: Results) -> list[Table]:
    found = []
    if results.invariances:
        rows = tuple(
            (x.disturbance, x.level, str(x.same.of), percents(x.same), percents(x.later), percents(x.other))
            for x in results.invariances
        )
        note = "The same experiments with and without what a source does wrong in every seventh reading, or in all."
        head = ("disturbance", "errors", "N", "same, %", "later or not, %", "another, %")
        found.append(Table("tables", "S10: disturbed sources", note, head, rows))
    if results.losses:
        lost = tuple((f"{100 * x.lost:g} %", percents(x.alarms), seconds(x.median)) for x in results.losses)
        note = "40 requests a second, 25/75, 30 minutes."
        found.append(
            Table("tables", "Requests that get lost", note, ("lost by the candidate", "alarms, %", "median s"), lost)
        )
    return found


def _speeds(results: Results) -> list[Table]:
    rows = tuple(
        (str(s.candidates), str(s.criteria), f"{s.reading:.2f}", f"{s.iteration:.2f}", f"{s.status:.1f}", str(s.state))
        for s in results.speeds
    )
    head = ("candidates", "criteria", "ms a reading", "ms an iteration", "ms a status", "bytes of state")
    return [Table("tables", "What the arithmetic costs", "On the machine of this run.", head, rows)] if rows else []


def plain(results: Results) -> dict[str, object]:
    """For JSON."""
    return {
        "seed": results.seed,
        "replications": results.replications,
        "seconds": results.seconds,
        "targets": [asdict(t) for t in targets(results)],
        "broken": [str(b) for b in broken(results.measures)],
        "measures": [m.plain() for m in results.measures],
        "notYet": results.refused,
        "closedLoops": [x.plain() for x in results.loops],
        "intervals": [asdict(c) for c in results.coverages],
        "disturbed": [asdict(x) for x in results.invariances],
        "lostRequests": [asdict(x) for x in results.losses],
        "speeds": [asdict(s) for s in results.speeds],
        "chances": results.chances,
    }


def written(page: str, found: Sequence[Table]) -> str:
    """The page with the tables between its markers. Raises ValueError where a marker is missing."""
    for block in dict.fromkeys(t.block for t in found):
        begin, end = BEGIN.format(block), END.format(block)
        if begin not in page or end not in page:
            raise ValueError(f"docs/guarantees.md has no '{begin}' with its '{end}'")
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        text = "\n".join(t.markdown() for t in found if t.block == block)
        page = f"{before}{begin}\n\n{text}\n{end}{after}"
    return page

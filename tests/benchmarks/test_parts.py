"""The parts of the benchmark of decisions: its data are what they say, its peers do what their documents say."""

from __future__ import annotations

import json
import math
import pickle
from xml.etree import ElementTree

import numpy as np
import pytest
from benchmarks.decisions import generators, loop, peers, picture, report, run
from benchmarks.decisions.__main__ import finite
from benchmarks.decisions.bounds import divergence, least_seconds, least_seconds_to_best
from benchmarks.decisions.disturbed import Invariance, Loss
from benchmarks.decisions.generators import BURSTS_OF_FIVE, Noise
from benchmarks.decisions.intervals import Coverage
from benchmarks.decisions.measures import Share, measure_loop
from benchmarks.decisions.readings import ERRORS, LATENCY, REQUESTS, REWARD, Array, Readings
from benchmarks.decisions.run import Results, Task
from benchmarks.decisions.scenarios import CASES, Case
from benchmarks.decisions.speed import Speed
from benchmarks.decisions.targets import rate_target
from benchmarks.decisions.traffic import Frame, path
from benchmarks.decisions.verdicts import PROMOTED, ROLLED_BACK, UNDECIDED, Verdicts, both


def case(key: str) -> Case:
    return next(c for c in CASES if c.key == key)


def random(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


# The data


@pytest.mark.parametrize("noise", [Noise(), Noise(cluster=5), Noise(cluster=5, geometric=True), BURSTS_OF_FIVE])
def test_errors_have_the_rates_that_they_say(noise: Noise) -> None:
    found = generators.errors(random(), 400, 0, Frame(), rate=0.02, base=0.005, noise=noise)
    rates = found.counts[ERRORS].sum(axis=(1, 2)) / found.counts[REQUESTS].sum(axis=(1, 2))
    assert rates == pytest.approx([0.005, 0.02], rel=0.06)
    assert found.counts[REQUESTS].mean(axis=(1, 2)) == pytest.approx([450.0, 150.0], rel=0.01)


def test_an_onset_comes_when_it_says() -> None:
    found = generators.errors(random(), 400, 0, Frame(), rate=0.005, base=0.005, onset=(600.0, 0.05))
    rate = found.counts[ERRORS][1].sum(axis=0) / found.counts[REQUESTS][1].sum(axis=0)
    assert rate[:40].mean() == pytest.approx(0.005, rel=0.1)
    assert rate[40:].mean() == pytest.approx(0.05, rel=0.05)


def test_latencies_have_the_ratio_that_they_say() -> None:
    found = generators.latency(random(), 50, 0, Frame(), factor=1.25, noise=Noise(common=(0.9, 0.1), own=(0.5, 0.02)))
    means = found.counts[LATENCY].sum(axis=(1, 2)) / found.counts[REQUESTS].sum(axis=(1, 2))
    assert means[1] / means[0] == pytest.approx(1.25, rel=0.01)
    assert means[0] == pytest.approx(100.0 * math.exp(0.8**2 / 2), rel=0.03)


def test_stalls_are_where_the_buckets_say() -> None:
    found = generators.stalls(random(), 20, 0, Frame(), share=0.03)
    above = found.counts["above_500"].sum(axis=(1, 2)) / found.counts[REQUESTS].sum(axis=(1, 2))
    assert above == pytest.approx([0.00064, 0.0306], rel=0.15)
    assert (found.counts["up_to_1000"] <= found.counts[REQUESTS]).all()
    assert (found.counts["up_to_250"] <= found.counts["up_to_500"]).all()


def test_rewards_come_late_and_never_more_than_requests() -> None:
    found = generators.delayed_rewards(random(), 50, 0, Frame(share=(0.5, 0.5)), lift=1.05)
    seen = found.so_far(REWARD)[:, :, -1].mean(axis=1) / found.so_far(REQUESTS)[:, :, -1].mean(axis=1)
    late = 1.0 - 600.0 / 1800.0 * (1.0 - math.exp(-1800.0 / 600.0))
    assert seen == pytest.approx([0.1 * late, 0.105 * late], rel=0.02)


def test_a_path_has_its_correlation_and_goes_on_from_its_neighbour() -> None:
    walk = path(random(), 4000, 20, 0.9)
    assert walk.std() == pytest.approx(1.0, abs=0.03)
    assert np.mean(walk[:, 1:] * walk[:, :-1]) == pytest.approx(0.9, abs=0.03)
    before = path(random(2), 4000, 5, 0.9, walk[:, 0])
    assert np.mean(before[:, 0] * walk[:, 0]) == pytest.approx(0.9, abs=0.05)


def test_the_past_changes_nothing_of_the_experiment() -> None:
    for one in ("S1 1 %", "S1c 1 %", "S2 x1.1", "S4, waves of its own x2", "S7 1.00 % above 500 ms"):
        alone, with_past = (case(one).make(random(), 3, past) for past in (0, 8))
        assert with_past.past[REQUESTS].shape == (2, 3, 8)
        for counter, counts in alone.counts.items():
            assert np.array_equal(counts, with_past.counts[counter]), (one, counter)


def test_the_same_seed_gives_the_same_results_on_any_number_of_processes() -> None:
    jobs = run.tasks([case("S1 5 %"), case("S8 5 % from 600 s on")], 60, 3)
    one, two = (run.run(jobs, 3, 60, processes, speeds=False).measures for processes in (1, 2))
    assert [m.plain() | {"milliseconds": None} for m in one] == [m.plain() | {"milliseconds": None} for m in two]


# The peers


def steady(rate: Array, base: float = 0.005) -> Readings:
    """Two minutes and more of exact counts: a rate for each look of the candidate."""
    n = np.full((2, 1, len(rate)), 1000.0)
    return Readings({REQUESTS: n, ERRORS: np.stack([np.full((1, len(rate)), 1000.0 * base), 1000.0 * rate[None, :]])})


@pytest.mark.parametrize(
    ("rule", "rate", "verdict", "seconds"),
    [
        (peers.flagger, 0.009, PROMOTED, 600),
        (peers.flagger, 0.011, ROLLED_BACK, 300),
        (peers.argo, 0.009, PROMOTED, 600),
        (peers.argo, 0.011, ROLLED_BACK, 240),
        (peers.iter8_at_the_end, 0.001, PROMOTED, 1800),
        (peers.iter8_at_any_look, 0.001, PROMOTED, 30),
    ],
)
def test_a_peer_says_what_its_documents_say(rule: peers.Peer, rate: float, verdict: int, seconds: int) -> None:
    found = rule(case("S1 1 %"), steady(np.full(120, rate)), random())
    assert found.verdict.tolist() == [verdict]
    assert 15 * (found.decided[0] + 1) == seconds


def test_flagger_counts_failed_checks_that_are_not_in_a_row() -> None:
    minutes = np.repeat([0.0, 0.02, 0.0, 0.02, 0.0, 0.02, 0.0, 0.02, 0.0, 0.02, 0.0], 4)
    found = peers.flagger(case("S1 1 %"), steady(minutes), random())
    assert (found.verdict[0], found.decided[0]) == (ROLLED_BACK, 39)


def test_argo_bears_three_failures() -> None:
    minutes = np.repeat([0.02, 0.0, 0.02, 0.0, 0.02, 0.0, 0.0, 0.0, 0.0, 0.0, 0.02], 4)
    found = peers.argo(case("S1 1 %"), steady(minutes), random())
    assert (found.verdict[0], found.decided[0]) == (PROMOTED, 39)


def test_the_original_lets_the_only_draw_that_complies_win_under_a_relative_limit() -> None:
    """The baseline has no assessment there, so nobody else can win."""
    found = peers.iter8_at_the_end(case("S4 x2"), steady(np.full(120, 0.0075), base=0.0045), random())
    assert found.verdict.tolist() == [PROMOTED]


def test_the_canary_judge_has_no_limit_but_the_baseline() -> None:
    """Both at twice the limit: no difference, so it passes."""
    noise = random(3).uniform(0.9, 1.1, 120)
    readings = steady(0.02 * noise, base=0.02)
    assert peers.kayenta(case("S1b both 2 %"), readings, random()).verdict.tolist() == [PROMOTED]
    worse = steady(0.06 * noise, base=0.02)
    found = peers.kayenta(case("S1b both 2 %"), worse, random())
    assert (found.verdict[0], found.decided[0]) == (ROLLED_BACK, 19)


def test_the_sequential_test_keeps_its_level_where_its_assumptions_hold() -> None:
    found = case("S1 1 %")
    verdicts = peers.msprt(found, found.make(random(5), 1000, 0), random())
    assert Share(int((verdicts.verdict == PROMOTED).sum()), 1000).by_chance(0.05) > 1e-3
    assert Share(int((verdicts.verdict == ROLLED_BACK).sum()), 1000).by_chance(0.05) > 1e-3


# What is made of them


def test_several_criteria_are_promoted_by_all_and_rolled_back_by_any() -> None:
    one = Verdicts(np.array([PROMOTED, PROMOTED, PROMOTED, UNDECIDED]), np.array([3, 3, 3, 9]))
    two = Verdicts(np.array([PROMOTED, ROLLED_BACK, UNDECIDED, UNDECIDED]), np.array([5, 7, 9, 9]))
    found = both([one, two], 9)
    assert found.verdict.tolist() == [PROMOTED, ROLLED_BACK, UNDECIDED, UNDECIDED]
    assert found.decided.tolist() == [5, 7, 9, 9]


def test_the_bound_is_wald_s() -> None:
    rate = 10.0 * divergence(0.005, 0.01)
    assert divergence(0.005, 0.01) == pytest.approx(0.005 * math.log(0.5) + 0.995 * math.log(0.995 / 0.99))
    assert least_seconds(case("S1 0.5 %"), 1.0, 0.05) == pytest.approx(math.log(20.0) / rate)
    assert least_seconds(case("S1 1 %"), 1.0, 0.05) is None


@pytest.mark.parametrize(("key", "seconds"), [("S2 x1", 83), ("S2 x1.05", 357), ("S2 x1.15", 407), ("S2 x1.25", 51)])
def test_the_bound_for_means_is_the_one_of_the_design(key: str, seconds: int) -> None:
    assert least_seconds(case(key), 1.0, 0.05) == pytest.approx(seconds, rel=0.03)


def test_intervals_of_shares_are_exact() -> None:
    low, high = Share(0, 2000).interval
    assert low == 0.0
    assert high == pytest.approx(1.0 - 0.025 ** (1 / 2000))


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [([(0, 2000)], "met"), ([(90, 2000)], "not shown"), ([(0, 2000), (120, 2000)], "missed"), ([], "not measured")],
)
def test_a_target_is_met_only_when_chance_cannot_have_helped(shares: list[tuple[int, int]], verdict: str) -> None:
    found = rate_target("something wrong", 0.05, [(f"case {n}", Share(n, of)) for n, of in shares])
    assert found.verdict == verdict
    assert found.where == (f"case {shares[-1][0]}" if shares else "")


def test_tables_are_written_between_their_markers_only() -> None:
    begin, end = (mark.format("tables") for mark in (report.BEGIN, report.END))
    table = report.Table("tables", "A table", "", ("a", "b"), (("1", "2"),))
    page = f"before\n\n{begin}\nold\n{end}\n\nafter\n"
    found = report.written(page, [table])
    assert "old" not in found
    assert found.startswith(f"before\n\n{begin}\n\n**A table.**")
    assert found.endswith(f"| 1 | 2 |\n\n{end}\n\nafter\n")
    assert report.written(found, [table]) == found
    with pytest.raises(ValueError, match="no '<!-- tables"):
        report.written("nothing", [table])


def everything() -> Results:
    """One of each kind of result, small."""
    half, none = Share(1, 2), Share(0, 2)
    jobs = run.tasks(
        [case("S1 2 %"), case("S1 0.5 %"), case("S1 1 %"), case("S9 gaps .050 .055 .065, infeasible .075")],
        2,
        1,
        short=True,
    )
    found = run.run(jobs, 1, 2, processes=1, speeds=False)
    setting = loop.settings()[0]
    looks, shares = np.array([3, 120]), np.array([0.1, 0.2])
    found.loops = [measure_loop(setting, "robust", np.array([1, 0]), looks, shares, shares)]
    found.coverages = [Coverage("S1 1 %", "robust", none, 0.5)]
    found.invariances = [Invariance("counters restart", "3 %", half, half, none)]
    found.losses = [Loss(0.0, none, math.inf)]
    found.speeds = [Speed(1, 1, 0.1, 0.2, 1.0, 1000), Speed(9, 4, 1.0, 2.0, 10.0, 9000)]
    found.chances = (1e-10, 5.0)
    found.refused = {"a case": "why"}
    return found


def test_all_results_become_tables_and_json_and_can_be_kept() -> None:
    found = everything()
    again = pickle.loads(pickle.dumps(found))
    tables = report.tables(again)
    assert len({t.title for t in tables}) == len(tables) >= 11
    for table in tables:
        assert len(table.aligned().splitlines()) >= 3 + len(table.rows)
        assert table.markdown().count("\n|") == 2 + len(table.rows)
    assert json.loads(json.dumps(finite(report.plain(again)), allow_nan=False))["replications"] == 2


def test_a_later_run_adds_to_an_earlier_one() -> None:
    one = everything()
    two = run.run(run.tasks([case("S1 5 %"), case("S1 2 %")], 3, 1, short=True), 1, 3, processes=1, speeds=False)
    both_of_them = one.with_more(two)
    counts = {m.case: m.replications for m in both_of_them.measures if m.rule == "robust"}
    assert counts == {"S1 0.5 %": 2, "S1 1 %": 2, "S1 2 %": 3, "S1 5 %": 3}
    assert both_of_them.loops == one.loops


def test_the_picture_shows_every_rule_where_all_were_measured() -> None:
    cases = [case(key) for key, _ in picture.PANELS]
    found = run.run(run.tasks(cases, 2, 1, short=True), 1, 2, processes=1, speeds=False).measures
    drawn = picture.drawn(found)
    assert drawn is not None
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
    assert all(rule in drawn for rule in ("Serin", *peers.PEERS))
    assert drawn.count("<circle") == len(picture.PANELS) * (1 + len(peers.PEERS))
    assert picture.drawn(found[1:]) is None


def test_the_papers_have_the_markers() -> None:
    page = report.PAGE.read_text()
    for block in ("targets", "tables"):
        assert report.BEGIN.format(block) in page
        assert report.END.format(block) in page


def test_every_batch_has_its_own_seed() -> None:
    jobs = [j for j in run.tasks(CASES[:3], 120, 1) if isinstance(j, Task)]
    seeds = {(j.case, j.batch): CASES[j.case].seed(1, j.batch).generate_state(2).tobytes() for j in jobs}
    assert len(set(seeds.values())) == len(seeds) == 9
    assert sum(j.size for j in jobs) == 360


def test_the_bound_for_two_arms_is_that_of_the_best_split() -> None:
    """Of two arms the best split is even for close rates: about 4 kl(p, q) each way from the middle."""
    found = least_seconds_to_best(case("S5 +5 %"))
    middle = 0.1025
    even = 0.5 * (divergence(0.1, middle) + divergence(0.105, middle))
    assert found == pytest.approx(divergence(0.05, 0.95) / (even * 40.0), rel=0.01)
    assert least_seconds_to_best(case("S9 A/A/A/A")) is None


def test_who_may_win() -> None:
    assert case("S9 gaps .050 .055 .065, infeasible .075").winners == {2}
    assert case("S9 near tie, margin 5 %").winners == {2, 3}
    assert case("S9 A/A/A/A").winners == frozenset()

"""`serin plan`: how long an experiment will take for what one assumes, before it is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from serin.cli.assuming import BAD, Assumptions, Pair, pairs_of
from serin.cli.checking import admitted, criteria_admitted, metrics_in, placed
from serin.cli.files import read_all
from serin.cli.options import command, common, filenames, pass_scope
from serin.cli.printing import document, print_document
from serin.cli.target import Scope
from serin.errors import UsageError
from serin.metrics.definitions import ALIASES, Definitions, built_in

if TYPE_CHECKING:  # numpy and scipy come with them
    from serin.api.manifest import Manifest
    from serin.cli.forecasting import Told


def _pair(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Pair | None:
    try:
        return None if value is None else Pair.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx=ctx, param=parameter) from None


def _seconds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    from serin.api.durations import seconds

    try:
        return None if value is None else seconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx=ctx, param=parameter) from None


@command(
    examples="""
    serin plan -f fashionmnist-v2-rollout.yaml --rate 40 --latency 4 --cv 0.6
    serin plan -f rollout.yaml --rate 40 --error-rate 0.2%
    serin plan -f rollout.yaml --rate 40 --error-rate 0.2%:0.4% --bad 3
    serin plan -f rollout.yaml --from-baseline
    """
)
@filenames
@click.option(
    "--rate", type=click.FloatRange(0, 1e9, min_open=True), metavar="N", help="Requests a second, all in all."
)
@click.option(
    "--error-rate", callback=_pair, metavar="SHARE[:SHARE]", help="Of the baseline, and of a good candidate: 0.2%."
)
@click.option("--latency", callback=_pair, metavar="MS[:MS]", help="The mean of both, in milliseconds.")
@click.option("--reward", callback=_pair, metavar="VALUE[:VALUE]", help="The reward of both.")
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME=VALUE[:VALUE]", help="Another metric of both; may be repeated."
)
@click.option(
    "--cv",
    type=click.FloatRange(0, 100, min_open=True),
    metavar="N",
    help="Standard deviation over mean of single latencies (default: 1).",
)
@click.option(
    "--burst", type=click.FloatRange(1, 1000), default=1.0, metavar="N", help="How many failures come at once (1)."
)
@click.option(
    "--bad",
    type=click.FloatRange(1, 1000, min_open=True),
    default=BAD,
    metavar="N",
    help="How many times over its limit a bad candidate is (2).",
)
@click.option(
    "--reading",
    callback=_seconds,
    default="1s",
    metavar="DURATION",
    help="Between two readings of the counters (1s, as in the local home).",
)
@click.option(
    "--history", callback=_seconds, metavar="DURATION", help="How much of the baseline's counters is kept (0s)."
)
@click.option("--from-baseline", is_flag=True, help="Take what is not given from the counters of the running home.")
@document
@common()
@pass_scope
def plan(
    scope: Scope,
    filenames: tuple[str, ...],
    rate: float | None,
    error_rate: Pair | None,
    latency: Pair | None,
    reward: Pair | None,
    metrics: tuple[str, ...],
    cv: float | None,
    burst: float,
    bad: float,
    reading: float,
    history: float | None,
    from_baseline: bool,
    output: str,
) -> None:
    """Say how long experiments will take to promote a good candidate and to roll back a bad one.

    Nothing is started. Where a proof is not to be expected in time, the least changes that make it so are told.
    """
    if rate is None and not from_baseline:
        raise UsageError("give --rate, or --from-baseline")
    if reading <= 0.0:
        raise UsageError("--reading must be above 0s")
    given = {"iter8_error_rate": error_rate, "iter8_mean_latency": latency, "reward": reward}
    values = {name: pair for name, pair in given.items() if pair is not None} | pairs_of(metrics, ALIASES)
    manifests = read_all(filenames)
    doubts = admitted(manifests)
    manifests = placed(manifests, scope.in_namespace, demanded=scope.namespace is not None)
    known = metrics_in(each.object for each in manifests) or built_in()
    doubts += criteria_admitted(manifests, known)
    experiments = [each for each in manifests if each.object["kind"] == "Experiment"]
    if not experiments:
        raise UsageError("none of the files holds an Experiment; give one with -f")
    typed = Assumptions(rate or 0.0, values, cv, burst, bad, reading, history or 0.0)
    told = [_planned(scope, each, known, typed, from_baseline) for each in experiments]
    if output:
        print_document(told[0].document() if len(told) == 1 else {"experiments": [t.document() for t in told]}, output)
        return
    click.echo("\n\n".join("\n".join(t.lines()) for t in told))
    for doubt in doubts:
        click.echo(f"warning: {doubt}", err=True)


def _planned(scope: Scope, manifest: Manifest, known: Definitions, typed: Assumptions, from_baseline: bool) -> Told:
    from serin.api.v1alpha2 import convert, validation
    from serin.cli.forecasting import Told
    from serin.core.forecast import forecast
    from serin.core.remedies import least_changes

    experiment = validation.load(manifest.object)
    definitions = convert.definitions(experiment) or known
    plan = convert.plan(experiment, definitions)
    assumptions, source = typed, "assumed"
    if from_baseline:
        from serin.cli.measuring import measured

        assumptions, source = measured(scope, manifest.object, plan, typed), "measured"
    assumed = assumptions.of(plan)
    found = forecast(plan, assumed)
    name = str(manifest.object["metadata"]["name"])
    return Told(name, plan, assumptions, assumed, found, least_changes(plan, assumed, found), source)

"""`serin demo`: the article on this machine, from the trained model to the end of the experiment."""

from __future__ import annotations

from pathlib import Path

import click

from serin.cli.options import command


@command(
    examples="""
    serin demo
    serin demo --scenario failing --report report.json
    """
)
@click.option(
    "--scenario", default="success", show_default=True, metavar="NAME",
    help="success, slow, errors, crash, failing for the last three in turn, match, accuracy, ab, abn or performance.",
)  # fmt: skip
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write what happened as JSON.")
@click.option(
    "--rate", type=click.FloatRange(0.1, 1000), default=40.0, show_default=True, metavar="N", help="Requests a second."
)
@click.option("--example", type=click.Path(path_type=Path), metavar="DIR", help="The folder of the example.")
@click.option("--gateway-port", type=click.IntRange(1, 65535), metavar="PORT", help="The port of the gateway.")
def demo(scenario: str, report: Path | None, rate: float, example: Path | None, gateway_port: int | None) -> None:
    """Release a model from end to end on this machine: real data, real models, a real proxy.

    Exit code 0 only if every experiment ended as its scenario says.
    """
    from serin.demo.running import run

    run(scenario, report, rate, example, gateway_port, say=click.echo)

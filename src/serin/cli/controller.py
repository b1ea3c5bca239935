"""`serin controller`: the engine of experiments in a Kubernetes cluster."""

from __future__ import annotations

import click

from serin.cli.options import command
from serin.errors import UsageError


@command(
    examples="""
    serin controller --prometheus http://prometheus.istio-system:9090
    serin controller --namespace team-a --lease-namespace team-a
    serin controller --selector 'team in (a,b)' --log-level debug
    serin controller --kubeconfig ~/.kube/config --context staging --metrics-port 0 --health-port 0
    """
)
@click.option(
    "--prometheus",
    envvar="SERIN_PROMETHEUS",
    metavar="URL",
    help="Prometheus, or what speaks its API (env SERIN_PROMETHEUS).",
)
@click.option("--namespace", "-n", metavar="NAME", help="Serve the experiments of one namespace only.")
@click.option("--selector", "-l", metavar="LABELS", default="", help="Serve experiments with these labels only.")
@click.option("--lease-namespace", metavar="NAME", help="Where the Lease is (default: the pod's own namespace).")
@click.option(
    "--scrape-interval",
    envvar="SERIN_SCRAPE_INTERVAL",
    type=click.FloatRange(1.0, 300.0),
    default=15.0,
    metavar="SECONDS",
    help="How often Prometheus scrapes; counters are read as often (default: 15; env SERIN_SCRAPE_INTERVAL).",
)
@click.option(
    "--propagation",
    type=click.FloatRange(0.0, 9.0),
    default=2.0,
    metavar="SECONDS",
    help="Until every proxy routes by a rule that was written (default: 2).",
)
@click.option(
    "--drain",
    type=click.FloatRange(0.0, 3600.0),
    default=10.0,
    metavar="SECONDS",
    help="Between the route away from a loser and its deletion (default: 10).",
)
@click.option(
    "--address", metavar="ADDRESS", default="0.0.0.0", help="Where the two ports listen; '::' for IPv6 (default: all)."
)
@click.option(
    "--health-port", type=click.IntRange(0, 65535), default=8081, metavar="PORT", help="/healthz, /readyz; 0: none."
)
@click.option("--metrics-port", type=click.IntRange(0, 65535), default=8080, metavar="PORT", help="/metrics; 0: none.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", help="What is logged."
)
@click.option("--kubeconfig", type=click.Path(), metavar="FILE", help="Another kubeconfig than kubectl's own.")
@click.option("--context", metavar="NAME", help="Another context than the current one.")
def controller(
    prometheus: str | None,
    namespace: str | None,
    selector: str,
    lease_namespace: str | None,
    scrape_interval: float,
    propagation: float,
    drain: float,
    address: str,
    health_port: int,
    metrics_port: int,
    log_level: str,
    kubeconfig: str | None,
    context: str | None,
) -> None:
    """Run the experiments of a Kubernetes cluster. Of several controllers one acts; the others stand by."""
    if not prometheus:
        raise UsageError("name Prometheus with --prometheus URL or in SERIN_PROMETHEUS")
    try:
        from serin.operator.running import run
        from serin.operator.settings import Settings
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed; install Serin with its extra 'cluster'") from None

    run(
        Settings(
            prometheus=prometheus,
            namespace=namespace,
            selector=selector,
            lease_namespace=lease_namespace,
            kubeconfig=kubeconfig,
            context=context,
            scrape_interval=scrape_interval,
            propagation=propagation,
            drain=drain,
            address=address,
            health_port=health_port,
            metrics_port=metrics_port,
            log_level=log_level,
        )
    )

"""`serin status`: what a home runs, and whether it is well."""

from __future__ import annotations

from collections.abc import Iterator

import click

from serin.cli.ages import duration
from serin.cli.layout import fields, paragraph, table
from serin.cli.options import command, common, pass_scope
from serin.cli.printing import document, print_document
from serin.cli.target import Scope
from serin.ports import Object


@command(
    examples="""
    serin status
    serin status -o jsonpath={.gateway.address}
    """
)
@document
@common(namespace=False)
@pass_scope
def status(scope: Scope, output: str) -> None:
    """Show what a home runs and whether it is well; exit code 6 when none runs."""
    found = scope.run(lambda home: home.status())
    if output:
        print_document(found, output)
    else:
        click.echo("\n".join(_lines(found)))


def _lines(status: Object) -> list[str]:
    lines = fields(_facts(status))
    for title, sentences in (("Problems", status.get("problems")), ("Warnings", status["gateway"].get("warnings"))):
        if sentences:
            lines += ["", f"{title}:"]
            lines += [line for sentence in sentences for line in paragraph(sentence, 2, "- ")]
    if status.get("pods"):
        lines += ["", "Pods:", *_pods(status)]
    return lines


def _facts(status: Object) -> Iterator[tuple[str, str]]:
    yield "Home", status["folder"]
    yield "State", f"{status['state']} for {duration(status['uptimeSeconds'])}, pid {status['pid']}"
    yield "Gateway", status["gateway"]["address"]
    yield "Images", status.get("images") or "none; name a file with 'serin up --images FILE'"
    yield "Log", status["log"]
    yield "Deployments", str(status["deployments"])
    experiments = dict(status["experiments"])
    total = experiments.pop("total", sum(experiments.values()))
    phases = ", ".join(f"{count} {phase}" for phase, count in sorted(experiments.items()))
    yield "Experiments", f"{total}{f': {phases}' if phases else ''}"


def _pods(status: Object) -> list[str]:
    rows = [["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "ADDRESS", "PID"]]
    for pod in status["pods"]:
        ports = ",".join(str(port) for port in pod["ports"])
        address = f"{pod['address']}{f':{ports}' if ports else ''}" if pod["address"] else ""
        ready = "yes" if pod["ready"] else "no"
        rows.append([pod["namespace"], pod["name"], ready, pod["phase"], str(pod["restarts"]), address])
        rows[-1].append(str(pod["pid"] or ""))
    return table(rows)

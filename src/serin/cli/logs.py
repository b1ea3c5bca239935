"""`serin logs`: what a pod has printed, or the pods of a deployment or of an experiment's versions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from serin.cli.completing import kinds_and_names
from serin.cli.options import command, common, pass_scope, selector
from serin.cli.port import Home
from serin.cli.selecting import Matches, Selection, find, label_selector, parse_one
from serin.cli.tables import dig, name, versions
from serin.cli.target import Scope
from serin.errors import NotFound, UsageError
from serin.ports import DEPLOYMENT, EXPERIMENT, POD, Object

TAIL_OF_SELECTED = 10


@command(
    examples="""
    serin logs deployment/fashionmnist-v2 --follow
    serin logs fashionmnist-v2-7d4b9c-x2x4q --tail=20
    serin logs pod/fashionmnist-v2-7d4b9c-x2x4q --previous
    serin logs experiment/fashionmnist-v2-rollout --prefix
    serin logs -l app=fashionmnist
    """
)
@click.argument("what", nargs=-1, metavar="[POD | KIND/NAME]", shell_complete=kinds_and_names)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on.")
@click.option(
    "--tail", type=click.IntRange(min=-1), metavar="LINES", help="Only the last lines (default: all; with -l 10)."
)
@click.option("-p", "--previous", is_flag=True, help="Of the process before the last restart.")
@click.option("--prefix", is_flag=True, help="Put the pod's name in front of each line.")
@selector
@common()
@pass_scope
def logs(
    scope: Scope, what: tuple[str, ...], follow: bool, tail: int | None, previous: bool, prefix: bool, selector: str
) -> None:
    """Show what pods have printed, on both of their outputs."""
    if bool(what) == bool(selector):
        raise UsageError("name a pod, KIND/NAME, or labels with -l")
    if previous and follow:
        raise UsageError("--previous has ended, so there is nothing to follow")
    if tail is None and selector:
        tail = TAIL_OF_SELECTED

    async def show(home: Home) -> None:
        pods = await _pods(home, scope.in_namespace, what, label_selector(selector))
        await _print(home, scope.in_namespace, pods, follow=follow, tail=tail, previous=previous, prefix=prefix)

    scope.run(show)


async def _pods(home: Home, namespace: str, what: Sequence[str], matches: Matches) -> list[str]:
    """Names of the pods that are meant. Raises NotFound when there is none."""
    if not what:
        found, _ = await find(home, Selection(POD), namespace, matches)
        if not found:
            raise NotFound(
                f"no pod in namespace '{namespace}' has these labels; 'serin get pods' lists those there are"
            )
        return [name(pod) for pod in found]
    kind, called = parse_one(what, POD)
    if kind is POD:
        await home.get(POD, namespace, called)
        return [called]
    if kind is DEPLOYMENT:
        pods = await _of_deployment(home, namespace, called)
        if len(pods) > 1:
            click.echo(f"Found {len(pods)} pods, using pod/{pods[0]}", err=True)
        return pods[:1]
    if kind is EXPERIMENT:
        return await _of_experiment(home, namespace, called)
    raise UsageError(f"a {kind.name} prints nothing; name a pod, a deployment or an experiment")


async def _of_deployment(home: Home, namespace: str, called: str) -> list[str]:
    deployment = await home.get(DEPLOYMENT, namespace, called)
    found, _ = await find(home, Selection(POD), namespace, _owned_by(deployment))
    if not found:
        raise NotFound(f"deployment {called} has no pods; 'serin describe deployment {called}' may say why")
    return [name(pod) for pod in found]


async def _of_experiment(home: Home, namespace: str, called: str) -> list[str]:
    experiment = await home.get(EXPERIMENT, namespace, called)
    service = dig(experiment, "spec", "service") or {}
    place = service.get("namespace") or namespace
    if place != namespace or service.get("kind", "Deployment") != "Deployment":
        raise UsageError(f"the versions of experiment {called} are no deployments here; name their pods with -l")
    pods: list[str] = []
    for version in dict.fromkeys(versions(experiment)):
        try:
            pods += await _of_deployment(home, namespace, version)
        except NotFound as error:
            click.echo(f"serin: {error}", err=True)
    if not pods:
        raise NotFound(f"no version of experiment {called} has pods")
    return pods


def _owned_by(deployment: Object) -> Matches:
    uid = deployment["metadata"].get("uid")
    return lambda pod: any(owner.get("uid") == uid for owner in pod["metadata"].get("ownerReferences") or ())


async def _print(
    home: Home, namespace: str, pods: Sequence[str], *, follow: bool, tail: int | None, previous: bool, prefix: bool
) -> None:
    lines_wanted = None if tail is None or tail < 0 else tail

    async def one(pod: str) -> None:
        start = f"[pod/{pod}] " if prefix else ""
        async for line in home.logs(namespace, pod, follow=follow, tail=lines_wanted, previous=previous):
            click.echo(f"{start}{line}")

    if follow:
        await asyncio.gather(*(one(pod) for pod in pods))
    else:
        for pod in pods:
            await one(pod)

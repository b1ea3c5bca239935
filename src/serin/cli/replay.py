"""`serin replay`: an experiment lived through again from what was recorded of it, each decision with its reasons."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from serin.cli.completing import names_of
from serin.cli.layout import paragraph
from serin.cli.options import command, common, pass_scope
from serin.cli.printing import document, print_document
from serin.cli.target import Scope
from serin.errors import InvalidInput, OutcomeError, StorageError, UsageError

if TYPE_CHECKING:  # numpy and scipy come with them
    from serin.core.model import Plan
    from serin.core.replay import Happened, Replay

FORMAT = 1
Steps = Sequence[Mapping[str, Any]]


@command(
    examples="""
    serin replay fashionmnist-v2-rollout
    serin replay fashionmnist-v2-rollout --save recording.json
    serin replay -f recording.json
    """
)
@click.argument("name", required=False, shell_complete=names_of("experiment"))
@click.option("-f", "--filename", metavar="FILE", type=click.Path(path_type=Path), help="A recording that was saved.")
@click.option(
    "--save", metavar="FILE", type=click.Path(path_type=Path), help="Write the recording to a file, and replay nothing."
)
@document
@common()
@pass_scope
def replay(scope: Scope, name: str | None, filename: Path | None, save: Path | None, output: str) -> None:
    """Decide anew from what was recorded of an experiment, and explain each decision.

    The same readings lead to the same bytes and the same decisions; where they do not, every difference is told and the
    exit code is 9.
    """
    if (name is None) == (filename is None):
        raise UsageError("name an experiment, or a file with -f")
    steps = _from_home(scope, name) if name is not None else _from_file(filename or Path())
    if save is not None:
        _save(save, steps)
        click.echo(f"{len(steps)} steps saved in {save}")
        return
    _replay(steps, output)


def _from_home(scope: Scope, name: str) -> Steps:
    return scope.run(lambda home: home.recording(scope.in_namespace, name))


def _from_file(path: Path) -> Steps:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        form, steps = found["format"], found["steps"]
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            raise TypeError("steps")
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError):
        raise InvalidInput(f"{path}: is no recording; 'serin replay NAME --save FILE' makes one") from None
    if form != FORMAT:
        raise InvalidInput(f"{path}: has format {form!r}, this serin reads {FORMAT}; use a newer serin")
    return steps


def _save(path: Path, steps: Steps) -> None:
    import serin

    lines = ",\n".join(json.dumps(step, separators=(",", ":"), ensure_ascii=False) for step in steps)
    text = f'{{"format":{FORMAT},"serin":"{serin.__version__}","steps":[\n{lines}\n]}}\n'
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path} cannot be written ({error.strerror}); choose another file with --save") from None


def _replay(steps: Steps, output: str) -> None:
    from serin.core.recording import read
    from serin.core.replay import Replay

    life = Replay(_plan)
    told = []
    for happened in life.run(read(steps)):
        told.append(happened)
        if not output:
            click.echo("\n".join(_lines(life.plan, happened)))
    if life.state is None:
        raise InvalidInput("the recording holds no experiment; record anew")
    if output:
        print_document(_document(life, told), output)
    elif told:
        click.echo("")
    differing = sum(bool(each.differs) for each in told)
    if not output:
        click.echo(_summary(life, told))
    if differing:
        raise OutcomeError(
            f"{differing} of {_decisions(told)} decisions come out otherwise than they were recorded; "
            "was the recording changed, or made by another version of serin?"
        )


def _plan(experiment: Mapping[str, Any]) -> Plan:
    from serin.api.v1alpha2 import convert, validation
    from serin.metrics.definitions import built_in

    read = validation.load(dict(experiment))
    return convert.plan(read, convert.definitions(read) or built_in())


def _lines(plan: Plan | None, happened: Happened) -> list[str]:
    """One step: when, which iteration, what was decided, why, and what differs."""
    time, decision = _clock(happened.time), happened.decision
    if decision is None or plan is None:
        return paragraph(happened.text or happened.differs[0], 0, f"{time}   ")
    weights = ", ".join(f"{plan.name(v)} {w}%" for v, w in decision.weights.items())
    what = f"iteration {happened.iteration}" if decision.counted else "held" if decision.held else "at once"
    winner = f", winner {plan.name(decision.winner)}" if decision.winner else ""
    lines = [f"{time}   {what}: {decision.outcome}{winner}; {weights}"]
    for finding in decision.findings:
        about = f"{plan.name(finding.version)}: " if finding.version in plan.ids else ""
        lines += paragraph(f"{about}{finding.text}", 11, "- ")
    for text in happened.differs:
        lines += paragraph(f"DIFFERS: {text}", 11)
    return lines


def _clock(time: float) -> str:
    whole = int(time) % 86_400
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def _decisions(told: Sequence[Happened]) -> int:
    return sum(each.decision is not None or bool(each.differs) for each in told)


def _summary(life: Replay, told: Sequence[Happened]) -> str:
    from serin.core.recording import digest

    assert life.state is not None
    differing = sum(bool(each.differs) for each in told)
    agree = "all as recorded" if not differing else f"{differing} otherwise than recorded"
    text = f"{life.readings} readings, {_decisions(told)} decisions, {agree}; state {digest(life.state)}"
    if life.holes:
        text += f"; {life.holes} hole{'s' if life.holes > 1 else ''} in the recording"
    return text


def _document(life: Replay, told: Sequence[Happened]) -> dict[str, Any]:
    """The same for programs."""
    from serin.core.recording import digest

    assert life.state is not None
    return {
        "readings": life.readings,
        "holes": life.holes,
        "state": digest(life.state),
        "same": not any(each.differs for each in told),
        "steps": [_step(each) for each in told],
    }


def _step(happened: Happened) -> dict[str, Any]:
    decision = happened.decision
    found: dict[str, Any] = {"time": happened.time, "iteration": happened.iteration, "differs": list(happened.differs)}
    if decision is None:
        return {**found, "text": happened.text}
    reasons = [{"reason": str(f.reason), "text": f.text, "version": f.version} for f in decision.findings]
    return {
        **found,
        "outcome": str(decision.outcome),
        "weights": dict(decision.weights),
        "counted": decision.counted,
        "winner": decision.winner,
        "reasons": reasons,
    }

"""`serin load`: a stream of requests to a gateway."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serin.cli.options import command
from serin.errors import InvalidInput, OutcomeError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from serin.load.plan import Feedback, LoadPlan
    from serin.load.report import LoadReport

INTERRUPTED = 130
_LIVE, _QUIET = 0.5, 5.0


def _seconds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A Go duration above 0."""
    if value is None:
        return None
    from serin.api.durations import seconds

    try:
        wanted = seconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx=ctx, param=parameter) from None
    if wanted <= 0:
        raise click.BadParameter(f"'{value}' is not above 0", ctx=ctx, param=parameter)
    return wanted


@command(
    examples="""
    serin load http://127.0.0.1:8080/v1/models/fashionmnist:predict --host-header fashionmnist.com --images data
    serin load http://127.0.0.1:8080/ --rate 50 --poisson --duration 5m
    serin load http://127.0.0.1:8080/ --concurrency 4 --count 1000 -o json --fail-on-error
    """
)
@click.argument("url")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True, max=100_000),
    metavar="N",
    help="Requests a second, whether answers come or not.",
)
@click.option("--poisson", is_flag=True, help="With --rate: at random times, as independent users come.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="Requests under way; the next follows an answer (default: 1, without --rate).",
)
@click.option(
    "--duration", metavar="DURATION", callback=_seconds, help="How long to send, as 30s or 5m (default: until Ctrl-C)."
)
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="How many requests to send.")
@click.option("-X", "--method", metavar="METHOD", help="The method (default: GET, or POST with a body).")
@click.option("-H", "--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="A header; may be repeated.")
@click.option("--host-header", metavar="HOST", help="The Host header: the gateway's host, as fashionmnist.com.")
@click.option("--body", metavar="FILE", type=click.Path(), help="The file to send as the body, - for standard input.")
@click.option(
    "--images",
    metavar="PATH",
    type=click.Path(),
    help="Send Fashion-MNIST test images, one at random each; the file or its folder.",
)
@click.option(
    "--feedback",
    metavar="DELAY",
    callback=_seconds,
    help="With --images: tell the true label of each so much later, for the version that answered.",
)
@click.option("--feedback-random", is_flag=True, help="Delays are exponential, with DELAY as their mean.")
@click.option(
    "--feedback-to", metavar="URL", help="Who counts feedback (default: URL, with :feedback in place of :predict)."
)
@click.option(
    "--timeout",
    metavar="DURATION",
    default="30s",
    show_default=True,
    callback=_seconds,
    help="How long an answer may take.",
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="For the choice of images and the times of --poisson."
)
@click.option("--fail-on-error", is_flag=True, help="Exit with 9 when a request failed.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="How to print the summary.")
def load(
    url: str,
    rate: float | None,
    poisson: bool,
    concurrency: int | None,
    duration: float | None,
    count: int | None,
    method: str | None,
    headers: tuple[str, ...],
    host_header: str | None,
    body: str | None,
    images: str | None,
    feedback: float | None,
    feedback_random: bool,
    feedback_to: str | None,
    timeout: float,
    seed: int,
    fail_on_error: bool,
    output: str,
) -> None:
    """Send a stream of requests to URL, and to no address that is not given, and say what became of them.

    Answers with a status of 400 and above, refused and broken connections and late answers count as failed. With
    --rate latency is measured from when a request was due, so that a slow server cannot hide its queue. Redirects are
    not followed. Ctrl-C ends it and prints the summary; the exit code is 0 then, but 130 when --duration or --count
    said another end.
    """
    from serin.load.plan import LoadPlan, parse_target

    if rate is not None and concurrency is not None:
        raise UsageError("--rate does not wait for answers, --concurrency does; give one of them")
    if poisson and rate is None:
        raise UsageError("--poisson needs --rate, the mean number of requests a second")
    if body is not None and images is not None:
        raise UsageError("a request has one body; give --body or --images")
    if feedback is None and (feedback_random or feedback_to):
        raise UsageError("--feedback-random and --feedback-to need --feedback, the delay")
    if feedback is not None and images is None:
        raise UsageError("--feedback needs --images: only of those the true label is known")
    told = None
    if feedback is not None and images is not None:
        told = _feedback(feedback_to or _to_feedback(url), feedback, Path(images), seed, random=feedback_random)
    bodies = _bodies(body, images, seed)
    plan = LoadPlan(
        target=parse_target(url),
        rate=rate,
        poisson=poisson,
        concurrency=concurrency or 1,
        duration=duration,
        count=count,
        method=(method or ("POST" if bodies else "GET")).upper(),
        headers=_headers(headers, host_header),
        bodies=bodies,
        timeout=timeout,
        seed=seed,
        feedback=told,
    )
    report, interrupted = _run(plan)
    click.echo(json.dumps(report.to_json(), indent=2) if output == "json" else _summary(report))
    if fail_on_error and report.failed:
        kinds = ", ".join(f"{count} {kind}" for kind, count in report.errors.items())
        raise OutcomeError(f"{report.failed} of {report.sent} requests failed ({kinds})")
    if interrupted and (duration is not None or count is not None):
        raise click.exceptions.Exit(INTERRUPTED)


def _bodies(body: str | None, images: str | None, seed: int) -> list[bytes]:
    if images is not None:
        from serin.load.images import bodies

        return bodies(Path(images), seed)
    if body is None:
        return []
    try:
        return [sys.stdin.buffer.read() if body == "-" else Path(body).read_bytes()]
    except OSError as error:
        raise InvalidInput(f"cannot read the body {body}: {error.strerror}") from None


def _to_feedback(url: str) -> str:
    """Where a model server that is asked at `url` takes feedback."""
    if not url.endswith(":predict"):
        raise UsageError(f"'{url}' does not end with :predict; name who counts feedback with --feedback-to")
    return url.removesuffix("predict") + "feedback"


def _feedback(url: str, delay: float, images: Path, seed: int, *, random: bool) -> Feedback:
    from serin.load.images import labelled
    from serin.load.plan import Feedback, parse_target

    return Feedback(parse_target(url), delay, labelled(images, seed), random)


def _headers(given: tuple[str, ...], host: str | None) -> tuple[tuple[str, str], ...]:
    headers = [] if host is None else [("Host", host)]
    for header in given:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise UsageError(f"header '{header}' has no colon; write 'NAME: VALUE'")
        if name.strip().lower() in ("content-length", "transfer-encoding", "connection"):
            raise UsageError(f"header '{name.strip()}' is set by the program itself; leave it out")
        headers.append((name.strip(), value.strip()))
    return tuple(headers)


def _run(plan: LoadPlan) -> tuple[LoadReport, bool]:
    """Send it all. Ctrl-C and SIGTERM end the sending; a second one does not wait for answers either."""
    import asyncio
    import signal

    from serin.load.stream import Load, watched

    async def main() -> tuple[LoadReport, bool]:
        stream, interrupted = Load(plan), False
        live = sys.stderr.isatty()
        show, clear = _progress(live)

        def interrupt() -> None:
            nonlocal interrupted
            stream.stop() if not interrupted else stream.drop()
            interrupted = True

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, interrupt)
        try:
            report = await watched(stream, show, every=_LIVE if live else _QUIET)
        finally:
            clear()
        return report, interrupted

    return asyncio.run(main())


def _progress(live: bool) -> tuple[Callable[[LoadReport], None], Callable[[], None]]:
    """How to show the counts so far, on standard error: one line that changes on a terminal, else a line at times."""
    shown = False

    def show(report: LoadReport) -> None:
        nonlocal shown
        shown = True
        line = _line(report)
        click.echo(f"\r\x1b[K{line}" if live else line, err=True, nl=not live)

    def clear() -> None:
        if live and shown:
            click.echo("\r\x1b[K", err=True, nl=False)

    return show, clear


def _line(report: LoadReport) -> str:
    parts = [f"{report.seconds:5.0f} s", f"{report.sent:,} sent", f"{report.failed:,} failed"]
    if (p50 := report.latency["p50"]) is not None and (p99 := report.latency["p99"]) is not None:
        parts.append(f"p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return "   ".join([*parts, *_shares(report)])


def _shares(report: LoadReport) -> list[str]:
    answered = sum(report.by_version.values())
    return [f"{version} {count / answered:.0%}" for version, count in report.by_version.items()]


def _summary(report: LoadReport) -> str:
    lines = [
        f"Target     {report.target}",
        f"Time       {report.seconds:.1f} s",
        f"Requests   {report.sent:,}, {report.sent / max(report.seconds, 1e-9):.1f} a second",
        f"Failed     {report.failed:,}",
    ]
    lines += [f"           {count:,} {kind}" for kind, count in report.errors.items()]
    lines += [f"Not known  {report.under_way:,} were still under way"] if report.under_way else []
    if report.latency["max"] is not None:
        shown = ", ".join(f"{name} {value:.1f}" for name, value in report.latency.items() if value is not None)
        lines.append(f"Latency    {shown} ms")
    answered = sum(report.by_version.values())
    widest = max(map(len, report.by_version), default=0)
    for title, (version, count) in zip(
        ["Versions", *[""] * len(report.by_version)], report.by_version.items(), strict=False
    ):
        failed = report.failed_by_version.get(version, 0)
        note = f", {failed:,} failed" if failed else ""
        lines.append(f"{title:<11}{version:<{widest}} {count / answered:7.1%}   {count:,}{note}")
    return "\n".join([*lines, *_labels(report)])


def _labels(report: LoadReport) -> list[str]:
    """What became of the true labels, and how often each version was right."""
    if (told := report.feedback) is None:
        return []
    missing = {"failed": told.failed, "not due": told.waiting, "dropped": told.dropped}
    lines = [f"Feedback   {told.sent:,} labels told" + "".join(f", {n:,} {what}" for what, n in missing.items() if n)]
    widest = max(map(len, told.judged), default=0)
    for version, judged in sorted(told.judged.items()):
        right = told.correct[version]
        lines.append(f"           {version:<{widest}} {right / judged:7.1%} right   {right:,} of {judged:,}")
    return lines

"""`serin serve`: a model server for TensorFlow SavedModels."""

from __future__ import annotations

import click

from serin.cli.options import command
from serin.errors import UsageError

_SIZES = {
    "B": 1,
    "K": 10**3,
    "KB": 10**3,
    "KIB": 2**10,
    "M": 10**6,
    "MB": 10**6,
    "MIB": 2**20,
    "GB": 10**9,
    "GIB": 2**30,
}


@command(
    examples="""
    serin serve --model-name fashionmnist --model-path models/v1
    serin serve --model-name fashionmnist --model-path models/v1 --fault latency=150ms --fault errors=20%
    curl -d '{"instances": [[1.0, 2.0]]}' http://127.0.0.1:8501/v1/models/NAME:predict
    """
)
@click.option("--model-name", metavar="NAME", required=True, help="The model's name in the paths.")
@click.option("--model-path", metavar="DIR", help="The model's folder; each version is a SavedModel in DIR/NUMBER.")
@click.option("--feedback-only", is_flag=True, help="Serve no model: only count feedback on predictions of others.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8501,
    show_default=True,
    help="The port to listen on; 0 for a free one.",
)
@click.option(
    "--model-version-policy",
    metavar="POLICY",
    default="latest",
    show_default=True,
    help="Which versions: latest, all, or numbers like 1,2.",
)
@click.option(
    "--version-label", "labels", metavar="LABEL=VERSION", multiple=True, help="A name for a version; may be repeated."
)
@click.option("--max-body-size", metavar="SIZE", default="64MiB", show_default=True, help="The largest request body.")
@click.option(
    "--drain",
    metavar="DURATION",
    default="30s",
    show_default=True,
    help="How long requests under way may take at the end.",
)
@click.option(
    "--model-threads",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Threads that one operation of the model may use.",
)
@click.option(
    "--fault",
    "faults",
    metavar="FAULT",
    multiple=True,
    help="For rehearsals: latency=150ms, latency=150ms±50ms, errors=20%, crash or start-delay=15s; may be repeated.",
)
def serve(
    model_name: str,
    model_path: str | None,
    feedback_only: bool,
    host: str,
    port: int,
    model_version_policy: str,
    labels: tuple[str, ...],
    max_body_size: str,
    drain: str,
    model_threads: int,
    faults: tuple[str, ...],
) -> None:
    """Serve TensorFlow models over HTTP, as TensorFlow Serving does.

    Speaks its REST protocol: predict, classify and regress, status, metadata, and metrics for Prometheus at
    /monitoring/prometheus/metrics; and feedback, which counts whether predictions were right. The port opens when the
    model is loaded. SIGTERM ends it gracefully.
    """
    from pathlib import Path

    from serin.serving.faults import parse
    from serin.serving.server import Settings
    from serin.serving.server import serve as run
    from serin.serving.versions import Served, choose

    if (model_path is None) != feedback_only:
        raise UsageError("give --model-path, the model's folder, or --feedback-only to serve no model")
    settings = Settings(
        name=model_name,
        served=choose(Path(model_path), model_version_policy, labels) if model_path else Served({}),
        host=host,
        port=port,
        faults=parse(faults),
        largest_body=_size(max_body_size),
        drain=_duration(drain),
        threads=model_threads,
    )
    run(settings, click.echo)


def _size(text: str) -> int:
    """Bytes of `64MiB`, `1GB` or `1000`."""
    number = text.rstrip("BbKkMmGgIi ")
    unit = text[len(number) :].strip().upper() or "B"
    if not number.isdigit() or unit not in _SIZES:
        raise click.BadParameter(f"'{text}' is no size; write for example 64MiB", param_hint="--max-body-size")
    return int(number) * _SIZES[unit]


def _duration(text: str) -> float:
    from serin.api import durations

    try:
        return durations.seconds(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--drain") from None

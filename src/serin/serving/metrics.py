"""The counters of a model server, under TensorFlow Serving's names and in the form of its Prometheus exporter.

Times are in microseconds there, buckets are 10 µs times powers of 1.8; names and labels are those of release 2.x.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

from serin.serving.protocol import Code

_TIMES = tuple(10 * 1.8**power for power in range(33))
_COUNTS = tuple(float(2**power) for power in range(15))

_REQUESTS = ":tensorflow:serving:request_count"
_LATENCY = ":tensorflow:serving:request_latency"
_RUNTIME = ":tensorflow:serving:runtime_latency"
_EXAMPLES = ":tensorflow:serving:request_example_counts"
_EXAMPLES_TOTAL = ":tensorflow:serving:request_example_count_total"
_RUNS = ":tensorflow:core:graph_runs"
_RUN_TIME = ":tensorflow:core:graph_run_time_usecs"
_FEEDBACK = "serin_feedback_total"
_CORRECT = "serin_feedback_correct_total"

MOST_PREDICTORS = 1000
"""Series of feedback at most; whoever may send feedback must not fill the memory."""

Labels = tuple[tuple[str, str], ...]


class _Histogram:
    def __init__(self, edges: tuple[float, ...]) -> None:
        self._edges = edges
        self._buckets = [0] * (len(edges) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        self._buckets[bisect_left(self._edges, value)] += 1
        self._sum += value

    def lines(self, name: str, labels: Labels) -> Iterable[str]:
        total = 0
        for edge, count in zip((*map(_number, self._edges), "+Inf"), self._buckets, strict=True):
            total += count
            yield f"{name}_bucket{_braces((*labels, ('le', edge)))} {total}"
        yield f"{name}_sum{_braces(labels)} {_number(self._sum)}"
        yield f"{name}_count{_braces(labels)} {total}"


class ServingMetrics:
    """All counters of one server. Not for threads: the HTTP side is the only one that counts."""

    def __init__(self, model: str) -> None:
        self._model = ("model_name", model)
        self._model_of_examples = ("model", model)
        # Feedback is announced before there is any, so that nothing counted yet is 0 and not unknown.
        self._counters: dict[str, dict[Labels, int]] = {_FEEDBACK: {}, _CORRECT: {}}
        self._histograms: dict[str, dict[Labels, _Histogram]] = {}

    def request(self, api: str, code: Code, seconds: float) -> None:
        """One request to `predict`, `classify` or `regress` was answered, so many seconds after it came."""
        self._count(_REQUESTS, (self._model, ("status", code.value)), 1)
        labels = (self._model, ("API", api), ("entrypoint", "REST"))
        self._observe(_LATENCY, labels, _TIMES, seconds * 1e6)

    def run(self, api: str, seconds: float, examples: int) -> None:
        """The model was run once; `examples` is how many examples classify or regress sent (0 for predict)."""
        labels = (self._model, ("API", api.capitalize()), ("runtime", "TF1"))
        self._observe(_RUNTIME, labels, _TIMES, seconds * 1e6)
        self._count(_RUNS, (), 1)
        self._count(_RUN_TIME, (), round(seconds * 1e6))
        if examples:
            self._observe(_EXAMPLES, (self._model_of_examples,), _COUNTS, examples)
            self._count(_EXAMPLES_TOTAL, (self._model_of_examples,), examples)

    def feedback(
        self, judged: int, correct: int, *, workload: str | None, namespace: str | None, version: int | None
    ) -> bool:
        """So many predictions were judged; False when there are too many predictors to count another one.

        workload, namespace   who predicted; None: this server
        version               the number in the path, None without one
        """
        given = (
            ("model_version", version),
            ("destination_workload", workload),
            ("destination_workload_namespace", namespace),
        )
        labels = (self._model, *((name, str(value)) for name, value in given if value is not None))
        known = self._counters[_FEEDBACK]
        if labels not in known and len(known) >= MOST_PREDICTORS:
            return False
        self._count(_FEEDBACK, labels, judged)
        self._count(_CORRECT, labels, correct)
        return True

    def text(self) -> str:
        """The page that Prometheus reads."""
        lines = []
        for name, series in sorted(self._counters.items()):
            lines.append(f"# TYPE {name} counter")
            lines += [f"{name}{_braces(labels)} {value}" for labels, value in series.items()]
        for name, histograms in sorted(self._histograms.items()):
            lines.append(f"# TYPE {name} histogram")
            for labels, histogram in histograms.items():
                lines += histogram.lines(name, labels)
        return "\n".join(lines) + "\n"

    def _count(self, name: str, labels: Labels, more: int) -> None:
        series = self._counters.setdefault(name, {})
        series[labels] = series.get(labels, 0) + more

    def _observe(self, name: str, labels: Labels, edges: tuple[float, ...], value: float) -> None:
        series = self._histograms.setdefault(name, {})
        if labels not in series:
            series[labels] = _Histogram(edges)
        series[labels].add(value)


def _braces(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return f"{value:g}" if abs(value) < 1e6 or value != int(value) else str(int(value))

"""The controller's own metrics, in Prometheus' format: what it does, how late, and what fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serin.errors import SerinError

if TYPE_CHECKING:
    from serin.adapters.kube.failures import Target

_LATE = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_ANSWER = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Figures:
    """Counts what it is told; what only others know (`facts`) is asked for at a scrape."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "serin_api_requests",
            "Requests to the Kubernetes API by verb, kind and status code (0: no answer)",
            ("verb", "kind", "code"),
            registry=self.registry,
        )
        self._answers = Histogram(
            "serin_api_request_seconds",
            "Until the Kubernetes API answered",
            ("verb",),
            buckets=_ANSWER,
            registry=self.registry,
        )
        self._iterations = Counter("serin_iterations", "Iterations decided", registry=self.registry)
        self._lag = Histogram(
            "serin_iteration_lag_seconds",
            "Seconds after which an iteration was decided that was due",
            buckets=_LATE,
            registry=self.registry,
        )
        self._errors = Counter(
            "serin_turn_errors", "Turns of experiments that failed and are retried", ("error",), registry=self.registry
        )

    def request(self, target: Target, code: int, seconds: float) -> None:
        """One answer of the API server."""
        self._requests.labels(target.verb, target.kind.plural, str(code)).inc()
        if target.verb != "watch":
            self._answers.labels(target.verb).observe(seconds)

    def iterated(self, late: float) -> None:
        """As `control.world.Observer.iterated`."""
        self._iterations.inc()
        self._lag.observe(late)

    def failed(self, error: Exception) -> None:
        """As `control.world.Observer.failed`."""
        known = type(error).__name__ if isinstance(error, SerinError) else "unexpected"
        self._errors.labels(known).inc()

    def show(self, facts: Facts) -> None:
        """From now on also show these."""
        self.registry.register(facts)


class Facts(Collector):
    """Gauges that are asked for when somebody scrapes.

    experiments   phase -> how many
    objects       kind -> how many are in memory
    plain         name -> help and value
    """

    def __init__(
        self,
        experiments: Callable[[], Mapping[str, int]],
        objects: Callable[[], Mapping[str, int]],
        plain: Mapping[str, tuple[str, Callable[[], float]]],
    ) -> None:
        self._experiments, self._objects, self._plain = experiments, objects, plain

    def collect(self) -> Iterator[Metric]:
        """As prometheus-client asks."""
        by_phase = GaugeMetricFamily("serin_experiments", "Experiments by phase", labels=("phase",))
        for phase, count in sorted(self._experiments().items()):
            by_phase.add_metric((phase,), count)
        yield by_phase
        held = GaugeMetricFamily("serin_objects", "Objects in memory by kind", labels=("kind",))
        for kind, count in sorted(self._objects().items()):
            held.add_metric((kind,), count)
        yield held
        for name, (text, value) in self._plain.items():
            yield GaugeMetricFamily(name, text, value())

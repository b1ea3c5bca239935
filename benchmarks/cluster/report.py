"""A row of figures as text, each beside its goal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.cluster.manifests import HELD, INTERVAL, MOVING
from benchmarks.cluster.running import Row

_START_OF = 1000
"""So many experiments are to be looked at within the goal; of more it takes as much longer."""


@dataclass(frozen=True, slots=True)
class Line:
    """One figure. `most`: the goal, in the same unit; None where there is none."""

    what: str
    value: float
    form: str
    most: float | None = None

    def __str__(self) -> str:
        shown = self.form.format(self.value)
        if self.most is None:
            return f"  {self.what:<52} {shown:>14}"
        verdict = "met" if self.value <= self.most else "MISSED"
        return f"  {self.what:<52} {shown:>14}   goal {self.form.format(self.most):>12}   {verdict}"


def lines(row: Row) -> Iterator[Line]:
    """The figures that have a name in the papers."""
    yield Line("CPU of the controller, an iteration", row.cpu, "{:.2f} ms", 4.0)
    yield Line("CPU of the controller, of a core", row.share, "{:.3f}", 0.004 * row.count / INTERVAL)
    yield Line("memory (RSS)", row.memory, "{:.0f} MB", 600.0)
    yield Line("lag of iterations, p50", row.lag_half, "{:.3f} s")
    yield Line("lag of iterations, p99", row.lag_most, "{:.3f} s", 1.0)
    for group, most in ((HELD, 1.0), (MOVING, 3.0)):
        yield Line(f"API requests, an iteration, weights {group}", requests(row, group), "{:.2f}", most + 0.05)
        yield Line(f"API bytes, an iteration, weights {group}", sum(row.traffic[group].values()) / 1e3, "{:.1f} kB")
    yield Line("bytes of all watches, an iteration", row.watched / 1e3, "{:.1f} kB")
    yield Line("status, half of them at most", row.status_half / 1e3, "{:.2f} kB", 4.0)
    yield Line("status, the largest", row.status_most / 1e3, "{:.2f} kB")
    yield Line("queries to Prometheus, an iteration", row.queries, "{:.3f}")
    yield Line("CPU of Prometheus, a reading", row.prometheus, "{:.3f} ms", 0.1)
    yield Line("all looked at after the first start", row.first, "{:.1f} s")
    yield Line("all looked at after a start", row.again, "{:.1f} s", 15.0 * max(row.count / _START_OF, 1.0))


def requests(row: Row, group: str) -> float:
    """An iteration's requests about experiments, versions and rules; Events are told of beside."""
    return sum(number for name, number in row.requests[group].items() if not name.endswith(" events"))


def printed(row: Row) -> str:
    """All of it."""
    head = f"\n{row.count} experiments, {row.iterations} iterations in {row.seconds:.0f} s, load {row.load:.1f}"
    shown = [head, *map(str, lines(row))]
    for group in (HELD, MOVING):
        shown += [
            f"  weights {group}: {name:<32} {number:8.2f} an iteration {row.traffic[group][name] / 1e3:8.1f} kB"
            for name, number in row.requests[group].items()
        ]
    shown += [f"  failures: {name}: {number:.0f}" for name, number in row.failures.items()]
    return "\n".join(shown)

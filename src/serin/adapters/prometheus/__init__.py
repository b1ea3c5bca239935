"""Prometheus behind the ports `Metrics` and `History`: raw counters of many experiments at one evaluation time.

    labels.py      which labels say who counted and which say what happened; text that is safe in PromQL
    batch.py       many requests -> one query, and its rows back to each request: pure functions
    computed.py    templates that are no plain counters: which of them count since the start, and their text
    missing.py     why a counter has no series, in a sentence
    auth.py        basic and bearer authentication
    past.py        the same counters as they were in the last hour, for an experiment that begins
    client.py      one query over HTTP: time limits, repetitions, what went wrong in a sentence
    metrics.py     `PrometheusMetrics`: gathers requests, asks, keeps each answer for one interval of scrapes

What Prometheus does not show is absent, never 0. Counters are read as they stand, one by one of every instance, and
the core differences them: `increase()` would extrapolate, and a sum over instances falls when one of them ends.

A series whose instance has died is shown by Prometheus for up to five minutes when Prometheus itself was away at that
moment (otherwise it ends with the first scrape that fails). It keeps its last value until then, so nothing is counted
for it; it is the same as a version without requests.
"""

from serin.adapters.prometheus.auth import Auth, Basic, Bearer
from serin.adapters.prometheus.metrics import PrometheusMetrics

__all__ = ["Auth", "Basic", "Bearer", "PrometheusMetrics"]

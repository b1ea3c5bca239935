"""Prometheus behind the port `Metrics`: raw counters of many experiments at one evaluation time."""

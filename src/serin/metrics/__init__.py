"""Metric definitions: which counters an experiment reads and what is made of them.

`definitions` reads the ConfigMap `iter8config-metrics` in its own format. `promql` finds the plain counter behind a
query template, so that it can be read raw and differenced instead of being extrapolated by `increase`.
"""

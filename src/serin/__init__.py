"""Serin releases a new version of a service or of a model safely, by itself, and says why.

The layers, top to bottom, arrows pointing down only (`import-linter` runs them):

    cli, demo          what a person types
    local              composition root of the home on one machine
    adapters           the outside world: sqlite, processes, Envoy, scraped counters
    control            one control layer over Kubernetes-shaped objects
    api, metrics       the Experiment API and the metric definitions
    ports              the protocols between control and adapters
    core               the pure core: model, evidence, decisions, weights
"""

__version__ = "0.1.0"

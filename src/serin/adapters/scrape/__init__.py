"""Counters read where they are counted, without a Prometheus between: the port `Metrics` of the local home.

    exposition.py   a page in Prometheus' text format -> samples
    istio.py        Envoy's samples under the names and labels of Istio's telemetry
    selection.py    PromQL's label matchers, and the sum over each version's series
    envoy.py        `EnvoyMetrics`: one scrape at most a second, shared by all who read
    keeping.py      the scrapes of the last hour, for experiments that start later
    pods.py         which pods show metrics of their own, where, and under which labels
    pages.py        such a page, fetched within bounds, and of it what is asked for
    applications.py `ApplicationMetrics`: the counters of the applications themselves
    local.py        `LocalMetrics`: each counter from who counts it

What a source does not show is absent, never 0.
"""

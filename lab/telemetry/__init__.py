"""The gateway's access log as Istio's metrics, which stock Envoy does not count, and what else there is to scrape.

requests    one line of the log -> whose request it was and how it ended                 (pure)
workloads   whose Pod has which address
targets     which Pods Prometheus is to scrape
counts      the metrics, with Istio's names and labels
"""

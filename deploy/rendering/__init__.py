"""What writes the generated files of `deploy/`: the resource, the metrics, `install.yaml` and the Helm chart.

`scripts/deploy` runs it. Sources are the API types, the metrics out of the box and the files of `deploy/base`.
"""

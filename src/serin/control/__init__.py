"""The control layer: looks and acts through Kubernetes-shaped objects, and lets the pure core decide.

A reader's way through it: `engine` gives every experiment a worker of its own and wakes it when something it depends on
changes; `iterate` is one turn of such a worker; `experiments` reads and writes the Experiment and what is remembered in
it; `workloads` says which versions are there and ready; `telemetry` asks for counters; `routing` moves traffic;
`ending` closes an experiment. Nothing here imports a vendor: the same code serves a cluster and one machine.
"""

"""`iter8.tools/v1alpha2`: the Experiment that users already have in their clusters and in git.

`types` is the shape, `defaults` what a missing field means, `validation` what can be said without looking elsewhere.
`convert` turns a valid experiment into the core's `Plan` and the counters to read; `conditions`, `status` and
`columns` turn what the core knows into what `kubectl` shows. The names on the wire are a contract: none is changed.
"""

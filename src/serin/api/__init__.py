"""The API that people write: manifests read with their places, and the kinds they may hold.

`manifest` reads YAML and JSON into plain objects and remembers the line of every field. `v1alpha2` is the
Experiment API: types, defaults, validation, conditions and status, and the way to the core's own words.
`kubernetes` checks the other kinds, and `acted` says which of their fields the local home acts on.
Everything here says what is wrong and where; nothing here looks at a store or at the clock.
"""

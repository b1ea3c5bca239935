"""The core: no fakes and no clock, so plain calls, tables, properties and simulated services."""

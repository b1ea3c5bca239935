"""The outside world behind the ports: sqlite, processes, Envoy and its counters. Vendors are imported here only."""

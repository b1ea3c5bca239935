"""Counters from Prometheus: the pure parts on tables, the adapter on a transport of the test's, and the real thing."""

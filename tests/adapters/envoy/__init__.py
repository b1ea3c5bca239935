"""The gateway: tables for the pure functions, and a real Envoy with real backends for what it does."""

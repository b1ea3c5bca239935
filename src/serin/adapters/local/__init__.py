"""One machine without a cluster: objects in sqlite, Deployments as processes, a real Envoy as the gateway."""

"""Kubernetes behind the ports: objects, leader election, what the proxies do."""

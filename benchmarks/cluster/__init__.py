"""What the controller costs by how many experiments it carries, on a real API server and a real Prometheus."""

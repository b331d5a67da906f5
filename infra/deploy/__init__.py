"""Deployment: what a container runs, and what Prometheus and Grafana are given."""

"""Pictures of the dashboards, from their JSON over a Prometheus that watches the demo: see `__main__`."""

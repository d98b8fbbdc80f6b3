"""The demo's machinery: its processes, the load, the faults, and the summary."""

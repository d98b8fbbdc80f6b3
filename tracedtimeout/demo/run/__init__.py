"""What runs the demo: its processes, the load, the faults, and what is shown of them."""

"""Loops in threads that run at once, on a Python without the global interpreter lock."""

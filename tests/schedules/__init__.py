"""Random programs under random schedules: who is ready runs in any order, and threads change at any line of the core.

Each seed is a program and a schedule; the same seed plays the same again. `python -m tests.schedules` plays many.
"""

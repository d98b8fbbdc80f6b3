"""The report `docs/reliability.md`: what looks for trouble, by which command, and what it saw when it was last run."""

"""Other packages beside ours, by cases that run: `python -m tests.comparison` writes docs/comparison.md."""

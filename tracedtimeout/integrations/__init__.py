"""The doors of a process: where a deadline comes in or goes out, each for one library."""

__all__: list[str] = []

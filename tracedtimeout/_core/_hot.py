"""The hot path's implementation. A page of names, and nothing else."""

from ._hot_py import aenter, aexit, enter, leave, left_by, timeout

IMPLEMENTATION = "python"

__all__ = ["IMPLEMENTATION", "aenter", "aexit", "enter", "leave", "left_by", "timeout"]

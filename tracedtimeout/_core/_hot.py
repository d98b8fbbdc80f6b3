"""Chooses the hot path's implementation: a page of names, and nothing else.

The compiled one where it was built and can be loaded, else the Python; ``TRACEDTIMEOUT_NO_EXTENSIONS=1`` asks for the
Python. Both make the same timeouts, and may leave each other's. Type checkers see the Python.
"""

from os import environ
from typing import TYPE_CHECKING, Any

from . import _hot_py
from ._hot_py import aenter, aexit, enter, leave, left_by, timeout

IMPLEMENTATION = "python"

compiled: Any = None
if not TYPE_CHECKING and environ.get("TRACEDTIMEOUT_NO_EXTENSIONS", "0") in {"", "0"}:
    try:
        from . import _hot_c as compiled
    except ImportError:  # not built, or not for this interpreter
        pass
    else:
        from ._hot_c import aenter, aexit, enter, leave, timeout

        IMPLEMENTATION = "c"


def bind(timeout_class: type) -> None:
    """Have the timeouts made be of `timeout_class`."""
    _hot_py.timeout_class = timeout_class
    if compiled is not None:
        compiled.bind(timeout_class)


__all__ = ["IMPLEMENTATION", "aenter", "aexit", "bind", "enter", "leave", "left_by", "timeout"]

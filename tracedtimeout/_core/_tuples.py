"""Named tuples that can be made wherever the garbage collector runs."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def importing(made: type[T]) -> type[T]:
    """Let the constructor of a NamedTuple import modules.

    It is generated with no builtins at all. So where the collector drops a coroutine in there that nobody awaited,
    CPython cannot import `warnings`, and writes ``KeyError: '__import__'`` to stderr for the warning.
    """
    made.__new__.__globals__["__builtins__"]["__import__"] = __import__
    return made

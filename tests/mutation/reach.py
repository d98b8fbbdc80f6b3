"""Which test comes to which lines of the core, and how long it takes."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

TOOL = 3
"""One of `sys.monitoring`'s free tool numbers, not those of `tests.faults`."""

Line = tuple[str, int]
"""A file and a line."""
Place = tuple[str, str, int]
"""A function: its file, its qualified name, its first line."""


def functions(package: str) -> dict[Place, list[FunctionType]]:
    """The functions of files below `package` that there are, whoever holds them."""
    found: dict[Place, list[FunctionType]] = {}
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(package):
            found.setdefault(place(each.__code__), []).append(each)
    return found


def place(code: CodeType) -> Place:
    return code.co_filename, code.co_qualname, code.co_firstlineno


def outermost(code: CodeType) -> Iterator[CodeType]:
    """The code of the functions of a module and of its classes, but of none that is inside another function."""
    for each in code.co_consts:
        if isinstance(each, CodeType):
            if each.co_flags & 0x1:  # CO_OPTIMIZED: a function, else a class
                yield each
            else:
                yield from outermost(each)


class Reach:
    """Notes the lines of functions as they are come to."""

    def __init__(self, whose: dict[Place, list[FunctionType]]) -> None:
        self.lines: set[Line] = set()
        self._monitoring: Any = sys.monitoring  # type: ignore[attr-defined,unused-ignore]  # 3.12
        self._monitoring.use_tool_id(TOOL, "tests.mutation")
        self._monitoring.register_callback(TOOL, self._monitoring.events.LINE, self._line)
        for made in whose.values():
            for code in _all(made[0].__code__):
                self._monitoring.set_local_events(TOOL, code, self._monitoring.events.LINE)

    def _line(self, code: CodeType, line: int) -> Any:
        self.lines.add((code.co_filename, line))
        return self._monitoring.DISABLE

    def anew(self) -> None:
        """Forget what was come to."""
        self.lines = set()
        self._monitoring.restart_events()


def _all(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _all(each)

"""Something done at a chosen line of chosen files: by `sys.monitoring`, or before 3.12 by `sys.settrace`."""

from __future__ import annotations

import asyncio.timeouts
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import tracedtimeout

OURS = str(Path(tracedtimeout.__file__).parent / "_core") + "/"
THEIRS = str(Path(asyncio.timeouts.__file__))

TOOL = 4
"""One of `sys.monitoring`'s free tool numbers: coverage has 1."""


@dataclass(frozen=True)
class Line:
    """A line about to be executed."""

    file: str
    number: int
    function: str
    called: bool
    """Whether it is the first of a call from outside: the instant of the call, before anything of it has run."""
    begins: bool = False
    """Whether it is the first of any call."""

    def __str__(self) -> str:
        return f"{self.file}:{self.number} {self.function}"


class Strikes:
    """Writes down each line executed in files under `prefix` between `start` and `stop`; acts at number `at`, once.

    The line is not executed yet as `act` is called; an exception that `act` raises is raised there.
    """

    def __init__(
        self, prefix: str | tuple[str, ...], at: int | None = None, act: Callable[[], None] = lambda: None
    ) -> None:
        self.lines: list[Line] = []
        self.struck: Line | None = None
        self._prefix = prefix
        self._at = at
        self._act = act
        self._frame: FrameType | None = None
        self._ready = False

    def start(self) -> None:
        self._ready = True
        if sys.version_info >= (3, 12):
            monitoring = sys.monitoring
            monitoring.use_tool_id(TOOL, "tests.faults")
            monitoring.register_callback(TOOL, monitoring.events.PY_START, self._starts)
            monitoring.register_callback(TOOL, monitoring.events.LINE, self._reaches)
            monitoring.set_events(TOOL, monitoring.events.LINE | monitoring.events.PY_START)
        else:
            sys.settrace(self._trace)

    def stop(self) -> None:
        self._ready = False
        self._frame = None
        if sys.version_info >= (3, 12):
            if sys.monitoring.get_tool(TOOL) is not None:
                sys.monitoring.set_events(TOOL, 0)
                sys.monitoring.free_tool_id(TOOL)
        else:
            sys.settrace(None)

    def _starts(self, code: CodeType, offset: int) -> Any:
        if not code.co_filename.startswith(self._prefix):
            return sys.monitoring.DISABLE  # type: ignore[attr-defined,unused-ignore]  # 3.12
        self._frame = sys._getframe(1)
        return None

    def _reaches(self, code: CodeType, number: int) -> Any:
        if not code.co_filename.startswith(self._prefix):
            return sys.monitoring.DISABLE  # type: ignore[attr-defined,unused-ignore]  # 3.12
        self._line(sys._getframe(1), number)
        return None

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if not frame.f_code.co_filename.startswith(self._prefix):
            return None
        if event == "call":
            self._frame = frame
        elif event == "line":
            self._line(frame, frame.f_lineno)
        return self._trace

    def _line(self, frame: FrameType, number: int) -> None:
        if not self._ready:
            return
        first, self._frame = frame is self._frame, None
        around = frame.f_back
        called = first and not (around is not None and around.f_code.co_filename.startswith(self._prefix))
        line = Line(Path(frame.f_code.co_filename).name, number, frame.f_code.co_name, called, first)
        self.lines.append(line)
        if self._at == len(self.lines) - 1:
            self._ready = False
            self.struck = line
            self._act()

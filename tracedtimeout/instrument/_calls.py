"""The code that made a timeout of asyncio's, and whether that code is watched."""

from __future__ import annotations

from collections.abc import Iterable
from types import CodeType, FrameType
from typing import NamedTuple, Protocol

from tracedtimeout._core import _observers
from tracedtimeout._core._tuples import importing


@importing
class Call(NamedTuple):
    """The call that made a timeout: what it is counted as, and the top-level package of the code."""

    name: str
    kind: str
    package: str


class Watcher(Protocol):
    """Decides which timeouts are watched, and which observers are told of them."""

    def name_of(self, caller: FrameType) -> str | None:
        """The name of the timeouts made by the code in that frame; None for those that are not watched."""

    def observers(self) -> Iterable[_observers.Observer]: ...


watcher: Watcher | None = None
"""Nothing new is watched while there is none."""

_WRAPPERS = ("opentelemetry.instrumentation.", "wrapt.")
"""Modules whose frames stand between a caller and what he calls."""

_seen_through: dict[int, tuple[str, CodeType]] = {}


def see_through(function: object, kind: str) -> None:
    """Have what `function` makes counted as its caller's, and of that kind."""
    code = getattr(function, "__code__", None)
    if isinstance(code, CodeType):
        _seen_through[id(code)] = (kind, code)  # by id: slow to hash; kept alive, so that its id stays its own


def call_of(frame: FrameType, kind: str = "timeout_at") -> Call | None:
    """The call that the code in `frame` is part of; None if it is not watched."""
    watching = watcher  # another thread may end it meanwhile
    if watching is None:
        return None
    while frame.f_back is not None:
        if (through := _seen_through.get(id(frame.f_code))) is not None:
            kind = through[0]
        elif not str(frame.f_globals.get("__name__", "")).startswith(_WRAPPERS):
            break
        frame = frame.f_back
    name = watching.name_of(frame)
    if name is None:
        return None
    return Call(name, kind, str(frame.f_globals.get("__name__", "")).partition(".")[0])

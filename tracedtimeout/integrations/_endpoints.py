"""The place that the endpoint of a request waits in as its deadline fires, in tasks and threads of its framework.

What a request's own task waits in is told by the traceback of the cancellation, as of every timeout. Frameworks put
tasks of anyio's groups in between (Starlette's BaseHTTPMiddleware, its streams), and threads (plain functions), which
no cancellation comes back from in time to tell. Those are looked at from the timer's callback.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from tracedtimeout import Timeout
from tracedtimeout._core import _firing, _where
from tracedtimeout._core._where import Place

from ._naming import packages

_DEEPEST, _MOST = 20, 64
"""Tasks that are followed one into another, and children of one group that are looked at."""


def when_fired(listener: Callable[[Timeout, asyncio.Task[Any] | None], None]) -> None:
    """Have `listener` called in the loop with each timeout that fires, and the task that it has just cancelled."""
    _firing.listeners.append(lambda request: listener(request, request._task))


def _fired(request: Timeout, task: asyncio.Task[Any] | None) -> None:
    """A deadline has: if it is a request's, take down where its endpoint waits, if that is not in its own task."""
    package = packages.get(request.name) if request.kind == "request" else None
    fired = request._fired
    if package is None or fired is None or task is None:
        return
    try:
        found = places(task, package)
    except Exception:  # foreign objects may raise anything when looked at
        return
    if found is not None:
        request._fired = fired._replace(places=found)


def places(task: asyncio.Task[Any], package: str, depth: int = 0) -> list[Place] | None:
    """The frames from `task` to the endpoint of `package`, outermost first; None if it is in no other task or thread.

    Of several children, those of the one that runs code of `package`.
    """
    if task.done() or depth > _DEEPEST:
        return None
    frames = list(_where._frames(task.get_coro()))
    mine = [_where._place(frame) for frame in frames]
    for frame in reversed(frames):
        beneath: list[Place] | None = None
        for child in _children(frame, package):
            if child is task:
                continue
            found = places(child, package, depth + 1) or _where.places(child)
            if beneath is None or _is_in(found, package):
                beneath = found
        if beneath is None and (thread := _thread(frame)) is not None:
            beneath = thread
        if beneath is not None and _is_in(beneath, package):
            return mine + beneath
    return None


def _is_in(found: list[Place], package: str) -> bool:
    return any(place.module.partition(".")[0] == package for place in found)


def _children(frame: FrameType, package: str) -> Iterator[asyncio.Task[Any]]:
    """The unfinished tasks of the groups that are local to `frame`: anyio's and asyncio's keep them alike.

    Of a framework's frame those that are local by themselves, too: Quart's connection waits for that of the request.
    """
    foreign = str(frame.f_globals.get("__name__", "")).partition(".")[0] not in (package, "anyio", "asyncio")
    for value in list(frame.f_locals.values()):
        grouped = type(value).__name__.endswith("TaskGroup")
        tasks = getattr(value, "_tasks", None) if grouped else (value,) if foreign else ()
        for task in list(tasks or ())[:_MOST]:
            if isinstance(task, asyncio.Task) and not task.done():
                yield task


def _thread(frame: FrameType) -> list[Place] | None:
    """The frames of the thread of anyio's that `frame` waits for, outermost first."""
    if frame.f_code.co_name != "run_sync_in_worker_thread":
        return None
    found: list[Place] = []
    step = sys._current_frames().get(getattr(frame.f_locals.get("worker"), "ident", None) or 0)
    while step is not None:
        found.append(_where._place(step))
        step = step.f_back
    return found[::-1]


when_fired(_fired)

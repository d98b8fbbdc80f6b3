"""Threads that run on after the request they served was given up: found, and counted until they end.

A thread cannot be cancelled: the coroutine that waits for it is, and what the thread does is lost. The frames that the
cancellation passed through tell that one was waiting, and hold what only the thread still refers to when they are gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import traceback
import weakref
from collections.abc import Iterator
from types import FrameType, TracebackType

from tracedtimeout._core.figures import _metrics, _process

_WORK = {
    ("a2wsgi.wsgi", "__call__"): "func",
    ("anyio._backends._asyncio", "run_sync_in_worker_thread"): "future",
    ("asgiref.sync", "__call__"): "child",
    ("asyncio.threads", "to_thread"): "func_call",
    ("litestar.concurrency", "_run_sync_asyncio"): "bound_fn",
}
"""The coroutines that wait for a thread, and the local of each that lives exactly as long as the thread's work."""


def count_abandoned(name: str, exc: BaseException) -> None:
    """Count the threads that the cancellation `exc` left running, under `name`, until each ends.

    Called in the event loop's thread when `exc` is done with: what its frames held is let go.
    """
    waiting = list(_waiting(exc.__traceback__))
    if not waiting:
        return
    loop = asyncio.get_running_loop()
    for frame, local in waiting:
        count(name, 1)
        weakref.finalize(frame.f_locals[local], _ended, loop, name).atexit = False
    traceback.clear_frames(exc.__traceback__)
    for frame, _ in waiting:
        frame.f_locals  # noqa: B018  # up to 3.12 a frame keeps what it last answered: it now has nothing to tell


def count(name: str, amount: int) -> None:
    """Count threads that run on after the request `name`, or that have ended."""
    _process.count(_metrics.THREADS_ABANDONED, (_process.label(name),), amount)


def _waiting(found: TracebackType | None) -> Iterator[tuple[FrameType, str]]:
    """The frames that waited for a thread, each with the name of its local."""
    for frame, _ in traceback.walk_tb(found):
        local = _WORK.get((frame.f_globals.get("__name__", ""), frame.f_code.co_name))
        if local is not None and local in frame.f_locals:
            yield frame, local


def _ended(loop: asyncio.AbstractEventLoop, name: str) -> None:
    """Not counted here: this may run in the garbage collector, in a thread that holds the lock of the figures."""
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
        loop.call_soon_threadsafe(count, name, -1)

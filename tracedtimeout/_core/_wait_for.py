"""`wait_for()` and what it shares with the decorator: one awaitable under a timeout, in the task that awaits it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Coroutine
from types import FunctionType
from typing import Any, TypeVar

from . import _names, _where
from ._arguments import seconds_of
from ._ended import Fired
from ._ending import broken_off
from ._hot import enter, leave, left_by
from ._link import ACTIVE, EXPIRING
from ._timeout import Timeout

T = TypeVar("T")


async def guard(  # noqa: PLR0917  # by position: 60 ns less
    fut: Awaitable[T],
    delay: float | None,
    name: str,
    kind: str,
    at_least: float,
    reserve: float | None,
    caller: dict[str, Any],
) -> T:
    """Await `fut` under a timeout. No `async with`: a failed entry disposes of `fut`, and an exit knows who called: the
    globals of that code tell its package, also where this runs in a task of its own."""
    self: Any = None
    try:
        try:
            self = enter(delay, name, kind, at_least, reserve)
            if delay is None or kind != "wait_for" or delay > 0:
                result = await fut
            else:
                result = await _take(self, fut)
            leave(self)
            return result
        except BaseException as exc:
            if self is None:
                _discard(fut)
                if delay is not None:
                    seconds_of("timeout" if kind == "wait_for" else "limit", delay)  # names what its user calls it
                raise
            if self._task is None:
                raise  # it is left
            lane = self._lane
            if self in lane:
                del lane[self]  # by operators, as in `aexit`: they work where the stack is at its end
            raised = left_by(self, exc, str(caller.get("__name__", "")).partition(".")[0])
            if raised is None:
                raise
            try:
                raise raised  # from `exc`: `close` has set its cause
            finally:
                self = raised = None
    except BaseException:
        if self is not None and (self._state is ACTIVE or self._state is EXPIRING):
            self._lane.pending[self] = None  # no sooner: it would be cleared up in the midst of being left
            broken_off(self)  # something broke the clause above off
        raise


# ``python -m asyncio pstree`` shows names of code.
guard.__code__ = guard.__code__.replace(co_name="wait_for", co_qualname="wait_for")
guard.__name__ = guard.__qualname__ = "wait_for"


def wait_for(
    fut: Awaitable[T],
    timeout: float | None,
    *,
    name: str | None = None,
    at_least: float = 0.0,
    reserve: float | None = None,
) -> Coroutine[Any, Any, T]:
    """Wait for `fut` for at most `timeout` seconds (None: for ever), as `asyncio.wait_for` of Python 3.13 does.

    The awaitable runs in the task that awaits. With 0 or less, a future that is not done is cancelled and a coroutine
    never starts.

    Args:
        fut: a coroutine, a future or any other awaitable.
        timeout: seconds.
        name, at_least, reserve: see `Timeout`.

    Raises:
        DeadlineExceeded: it did not end in time; it was cancelled, and has ended.
        TypeError, ValueError: bad input; the message names the parameter and the value.
    """
    given: object = fut
    if given.__class__ is FunctionType:
        raise TypeError(f"fut must be an awaitable, not {fut!r}: call it")
    frame = sys._getframe(1)
    if name is None:
        name = _names.of_caller(frame)  # here, not when it runs: `create_task` may have it by then
    return guard(fut, timeout, name, "wait_for", at_least, reserve, frame.f_globals)


async def _take(self: Timeout, fut: Awaitable[T]) -> T:
    """`wait_for` with no time: take a result that is there; else cancel the awaitable, and wait for it."""
    here = self._here
    self._lane.pop(self, None)  # no timer is to see to it
    self._lane = here.untimed
    future: asyncio.Future[T] = asyncio.ensure_future(fut)
    if not future.done():
        places = _where.places(future) if isinstance(future, asyncio.Task) else []
        fired = Fired(here.stopwatch(), self.name, True, True, 0, cancels=False, places=places)
        self._state, self._fired, self._stamp = EXPIRING, fired, None
        future.cancel()
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            self._fired = fired._replace(interrupted=True)
            raise
    return future.result()


def _discard(fut: Awaitable[object]) -> None:
    """Dispose of what is not going to be awaited: a coroutine never starts, a future is cancelled."""
    if asyncio.iscoroutine(fut):
        fut.close()
    elif asyncio.isfuture(fut):
        fut.cancel()

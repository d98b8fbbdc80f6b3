"""`wait_for()` and what it shares with the decorator: one awaitable under a timeout, in the task that awaits it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from . import _expiry, _names, _where
from ._arguments import seconds_of
from ._budget import State
from ._direct import enter, leave
from ._timeout import Timeout

T = TypeVar("T")


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
    if name is None:
        name = _names.of_caller(sys._getframe(1))  # here, not when it runs: `create_task` may have it by then
    return guard(fut, timeout, name, "wait_for", at_least, reserve)


async def guard(  # noqa: PLR0917  # by position: 60 ns less
    fut: Awaitable[T],
    delay: float | None,
    name: str,
    kind: str,
    at_least: float,
    reserve: float | None,
    package: str | None = None,
) -> T:
    """Await `fut` under a timeout. No `async with`: a failed entry disposes of `fut`, and an exit knows its package."""
    try:
        self = enter(delay, name, kind, at_least, reserve)
    except BaseException:
        _discard(fut)
        if delay is not None:
            seconds_of("timeout" if kind == "wait_for" else "limit", delay)  # names what its user calls it
        raise
    try:
        if self._details is None or kind != "wait_for" or delay is None or delay > 0:
            result = await fut
        else:
            result = await _take(self, fut)
    except BaseException as exc:
        self._leave(exc, package)
        raise
    leave(self)
    return result


async def _take(self: Timeout, fut: Awaitable[T]) -> T:
    """What `wait_for` does with no time at all: take what is done; cancel what is not, and wait for that."""
    self._unschedule()  # no timer is to see to it
    future: asyncio.Future[T] = asyncio.ensure_future(fut)
    if not future.done():
        places = _where.places(future) if isinstance(future, asyncio.Task) else []
        self._extend().expiry = expiry = _expiry.Expiry(
            self.name, True, True, self._here.stopwatch(), places, cancels=False
        )
        self._state = State.EXPIRING
        _expiry.note(self)
        future.cancel()
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            expiry.interrupted = True
            raise
    return future.result()


def _discard(fut: Awaitable[object]) -> None:
    """Dispose of what is not going to be awaited: a coroutine never starts, a future is cancelled."""
    if asyncio.iscoroutine(fut):
        fut.close()
    elif asyncio.isfuture(fut):
        fut.cancel()

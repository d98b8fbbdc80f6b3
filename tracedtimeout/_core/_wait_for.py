"""`wait_for()` and what it shares with the decorator: one awaitable under a timeout, in the task that awaits it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from . import _expiry, _names, _where
from ._budget import State
from ._timeout import INF, Options, Timeout, deadline_in, new, options_of, prepare

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
    given = _names.of_caller(sys._getframe(1)) if name is None else _names.checked(name)
    return guard(fut, timeout, given, "wait_for", options_of(at_least, reserve))


async def guard(
    fut: Awaitable[T], delay: float | None, name: str, kind: str, options: Options | None, package: str | None = None
) -> T:
    """Await `fut` under a timeout of `delay` seconds. On the hot path: no context manager, so one coroutine for three."""
    when = deadline_in(delay)
    if delay is not None and delay <= 0 and kind == "wait_for":
        return await _at_once(fut, when, name, options)
    self = prepare(new(Timeout), when, name, kind, options)
    try:
        self._enter()
    except BaseException:
        _discard(fut)
        raise
    try:
        result = await fut
    except BaseException as exc:
        self._exit(exc, package)
        raise
    self._exit(None)
    return result


async def _at_once(fut: Awaitable[T], when: float | None, name: str, options: Options | None) -> T:
    """What `wait_for` does with no time at all: take what is done, cancel what is not and wait for that."""
    self = prepare(new(Timeout), None, name, "wait_for", options)  # its deadline is seen to here, not by a timer
    try:
        self._enter()
    except BaseException:
        _discard(fut)
        raise
    self._when = when
    if self._limit == INF:
        self._series.record_limit(0.0)
    self._limit = 0.0
    try:
        result = await _taken(self, fut)
    except BaseException as exc:
        self._exit(exc)
        raise
    self._exit(None)
    return result


async def _taken(self: Timeout, fut: Awaitable[T]) -> T:
    future = asyncio.ensure_future(fut)
    if not future.done():
        places = _where.places(future) if isinstance(future, asyncio.Task) else []
        self._unschedule()
        self._expiry = _expiry.Expiry(self.name, True, self._here.stopwatch(), places, cancels=False)
        self._state = State.EXPIRING
        future.cancel()
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            self._expiry.interrupted = True
            raise
    return future.result()


def _discard(fut: Awaitable[object]) -> None:
    """Dispose of what is not going to be awaited: a coroutine never starts, a future is cancelled."""
    if asyncio.iscoroutine(fut):
        fut.close()
    elif asyncio.isfuture(fut):
        fut.cancel()

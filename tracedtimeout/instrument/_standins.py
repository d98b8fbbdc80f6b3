"""The stand-ins of asyncio's `timeout`, `timeout_at`, `Timeout` and `wait_for`, and the modules that get them."""

from __future__ import annotations

import asyncio
import asyncio.tasks
import asyncio.timeouts
import functools
import inspect
import sys
from asyncio import coroutines
from collections.abc import Awaitable, Coroutine
from types import ModuleType
from typing import Any, TypeVar, cast

from ._calls import Call, call_of, see_through
from ._watched import OriginalTimeout, Watched

T = TypeVar("T")

original_timeout = asyncio.timeout
original_timeout_at = asyncio.timeout_at
original_wait_for = asyncio.wait_for

_EXTRA_TASK = sys.version_info < (3, 12)
"""True where asyncio's `wait_for` runs its awaitable in a task of its own."""


@functools.wraps(original_timeout)
def timeout(delay: float | None) -> asyncio.Timeout:
    return original_timeout(delay)  # which makes an `asyncio.timeouts.Timeout`, whatever that is


@functools.wraps(original_timeout_at)
def timeout_at(when: float | None) -> asyncio.Timeout:
    return original_timeout_at(when)


@functools.wraps(original_wait_for)
def wait_for(fut: Awaitable[Any], timeout: float | None) -> Coroutine[Any, Any, Any]:
    return _waited(fut, timeout, call_of(sys._getframe(1), "wait_for"))


if sys.version_info >= (3, 12):
    inspect.markcoroutinefunction(wait_for)
else:
    cast(Any, wait_for)._is_coroutine = cast(Any, coroutines)._is_coroutine  # asyncio's own mark


async def _waited(fut: Awaitable[T], delay: float | None, call: Call | None) -> T:
    if call is None:
        return await original_wait_for(fut, delay)
    if delay is not None and (_EXTRA_TASK or delay <= 0):
        return await _beside(fut, delay, call)
    when = None if delay is None else asyncio.get_running_loop().time() + delay
    async with Watched(when, call):  # what asyncio's does since 3.12
        return await fut


_waited.__name__ = _waited.__qualname__ = "wait_for"  # what a coroutine is called in reprs and warnings


async def _beside(fut: Awaitable[T], delay: float, call: Call) -> T:
    """asyncio's `wait_for`, watched from beside it where it makes no `Timeout`."""
    loop = asyncio.get_running_loop()
    watched = Watched(loop.time() + delay, call)
    future = _future_of(fut)  # as it would itself
    watched.begin()
    task = future if isinstance(future, asyncio.Task) else None
    timer = None
    if delay > 0:
        timer = loop.call_later(delay, watched.fire, task)  # runs just before its own
    elif not future.done():
        watched.fire(task, timed=False)
    error: BaseException | None = None
    try:
        return await original_wait_for(future, delay)
    except BaseException as exc:
        error = exc
        raise
    finally:
        if timer is not None:
            timer.cancel()
        if not _was_ended(future):
            watched.done()  # just then
        watched.end(error, converted=isinstance(error, TimeoutError) and future.cancelled())


def _future_of(fut: Awaitable[T]) -> asyncio.Future[T]:
    return asyncio.ensure_future(fut)


def _was_ended(future: asyncio.Future[Any]) -> bool:
    """True if `future` was asked to end before it was done."""
    return future.cancelled() or (isinstance(future, asyncio.Task) and future.cancelling() > 0)


for _function, _kind in (
    (timeout, "timeout"),
    (original_timeout, "timeout"),
    (timeout_at, "timeout_at"),
    (original_timeout_at, "timeout_at"),
    (original_wait_for, "wait_for"),
):
    see_through(_function, _kind)

STANDINS: tuple[tuple[ModuleType, str, object, object], ...] = tuple(
    (module, name, original, standin)
    for name, original, standin in (
        ("timeout", original_timeout, timeout),
        ("timeout_at", original_timeout_at, timeout_at),
        ("Timeout", OriginalTimeout, Watched),
        ("wait_for", original_wait_for, wait_for),
    )
    for module in (asyncio, asyncio.timeouts, asyncio.tasks)
    if getattr(module, name, None) is original
)
"""Module, attribute, what is there by itself, and what takes its place."""


def replace(module: ModuleType, name: str, old: object, new: object) -> bool:
    """Put `new` where `old` is, at its name or within proxies of wrapt's around it; False if it is at neither.

    OpenTelemetry's own instrumentations wrap by wrapt, and take their proxy away again by its ``__wrapped__``: so both
    work whichever of them comes first, and goes first.
    """
    held = getattr(module, name)
    if held is old:
        setattr(module, name, new)
        return True
    wrapt = sys.modules.get("wrapt")
    proxy = getattr(wrapt, "BaseObjectProxy", getattr(wrapt, "ObjectProxy", ()))  # the former since 2.0
    while isinstance(held, proxy):
        if held.__wrapped__ is old:
            held.__wrapped__ = new
            return True
        held = held.__wrapped__
    return False

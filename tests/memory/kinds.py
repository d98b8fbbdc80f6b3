"""A timeout of each kind, once from beginning to end: in virtual time, and with nothing kept by who made it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from contextvars import ContextVar, copy_context
from itertools import cycle
from typing import Any

from tracedtimeout import Timeout, budget, timeout, wait_for, with_timeout
from tracedtimeout._core import _hot, _observers

Kind = Callable[[], Coroutine[Any, Any, object]]

FOR_EVER = 1e6
"""Virtual seconds that nothing here lasts."""

_delays = cycle((5.0, 6.0, 7, 8.0, 9.0))


class Mine(Timeout):  # type: ignore[misc]  # final for typing only
    """A class of a user's own."""


async def completed() -> None:
    async with timeout(5.0, name="kept"):
        pass


async def default_name() -> None:
    async with timeout(5.0):
        pass


async def slow() -> None:
    async with timeout(5.0, name="slow"):
        await asyncio.sleep(1.0)


async def unlimited() -> None:
    async with timeout(None, name="unlimited"):
        pass


async def another_limit() -> None:
    async with timeout(next(_delays), name="varying"):
        pass


async def falling() -> None:
    async with timeout(7.0, name="a"), timeout(6.0, name="b"), timeout(5.0, name="c"):
        pass


async def rising() -> None:
    async with timeout(5.0), timeout(6.0), timeout(7.0):
        pass


_stage = ContextVar("stage", default="any")
_noting: Any = (_observers.Noting(lambda noted, ended: None, _stage.get, str),)


async def noted() -> None:
    _observers.installed, before = _noting, _observers.installed
    try:
        async with timeout(5.0, name="noted"):
            pass
    finally:
        _observers.installed = before


async def beneath_a_budget() -> None:
    with budget(60.0):
        await completed()


async def raising() -> None:
    with suppress(LookupError):
        async with timeout(5.0, name="raising"):
            raise LookupError


async def expired() -> None:
    with suppress(TimeoutError):
        async with timeout(1.0, name="expired"):
            await asyncio.sleep(FOR_EVER)


async def inherited() -> None:
    with suppress(TimeoutError):
        async with timeout(1.0, name="a"), timeout(2.0, name="b"), timeout(3.0, name="c"):
            await asyncio.sleep(FOR_EVER)


async def overdue() -> None:
    with suppress(TimeoutError):
        async with timeout(-1.0, name="overdue"):
            pass


async def cancelled() -> None:
    task = asyncio.create_task(_opened())
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def closed() -> None:
    """A coroutine that is closed within its timeout, and one that is dropped there."""
    for close in (True, False):
        work = _opened()
        copy_context().run(work.send, None)
        if close:
            work.close()


async def abandoned() -> None:
    """A task that nobody holds waits for what nobody does: only the collector finds it. (A deadline would hold it, as
    asyncio's timer does.)"""
    asyncio.create_task(_waiting_for_nobody())  # noqa: RUF006  # that is the point
    await asyncio.sleep(0)


async def moved() -> None:
    async with timeout(5.0, name="moved") as each:
        each.reschedule(each.when() or 0.0 + 1.0)


async def never_entered() -> None:
    timeout(5.0, name="kept")


async def unawaited() -> None:
    """What `__aenter__` and `__aexit__` return is closed, or thrown into, before its first step."""
    made = timeout(5.0, name="kept")
    made.__aenter__().close()
    with suppress(LookupError):
        made.__aenter__().throw(LookupError())
    await made.__aenter__()
    made.__aexit__(None, None, None).close()
    await made.__aexit__(None, None, None)


async def entered_twice() -> None:
    async with timeout(5.0, name="kept") as each:
        with suppress(RuntimeError):
            await each.__aenter__()


async def refused() -> None:
    values: tuple[Any, ...] = ("x", float("nan"), [], 1 + 1j)
    for wrong in values:
        with suppress(TypeError, ValueError):
            timeout(wrong, name="kept")


async def stacked() -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(timeout(5.0, name="kept"))


async def as_a_task() -> None:
    with suppress(RuntimeError):  # it is entered by one task, and left by another
        each = await asyncio.create_task(timeout(5.0, name="kept").__aenter__())
        await each.__aexit__(None, None, None)


async def subclassed() -> None:
    async with Mine(asyncio.get_running_loop().time() + 5.0, name="mine"):
        pass


async def waited() -> None:
    await wait_for(_answer(), 5.0, name="waited")


async def waited_in_vain() -> None:
    for delay in (0, 1.0):
        with suppress(TimeoutError):
            await wait_for(asyncio.sleep(FOR_EVER), delay, name="in_vain")


async def called() -> None:
    _hot.leave(_hot.enter(5.0, "called", "timeout"))


@with_timeout(5.0, name="decorated")
async def decorated() -> None:
    pass


async def child() -> None:
    async with timeout(60.0, name="parent"):
        await asyncio.create_task(completed())


async def orphan() -> None:
    """A child that outlives the timeout it was made in."""
    async with timeout(60.0, name="parent"):
        task = asyncio.create_task(slow())
        await asyncio.sleep(0)
    await task


async def _answer() -> int:
    return 42


async def _opened() -> None:
    async with timeout(5.0, name="open"):
        await asyncio.Event().wait()


async def _waiting_for_nobody() -> None:
    async with timeout(None, name="open"):
        await asyncio.get_running_loop().create_future()


KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        completed,
        default_name,
        slow,
        unlimited,
        another_limit,
        falling,
        rising,
        noted,
        beneath_a_budget,
        raising,
        expired,
        inherited,
        overdue,
        cancelled,
        closed,
        abandoned,
        moved,
        never_entered,
        unawaited,
        entered_twice,
        refused,
        stacked,
        as_a_task,
        subclassed,
        waited,
        waited_in_vain,
        called,
        decorated,
        child,
        orphan,
    )
}


async def repeated(kind: Kind, times: int) -> None:
    for _ in range(times):
        await kind()
    gc.collect()

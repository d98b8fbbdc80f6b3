"""The functions that scenes run with: ours, and the same of bare asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import tracedtimeout

from .loops import running
from .strikes import OURS, THEIRS

Body = Callable[[], Coroutine[Any, Any, object]]


@dataclass(frozen=True)
class Library:
    """Functions that take delays in the loop's units; `prefix` is where their lines stand."""

    prefix: str
    kind: type[asyncio.Timeout]
    timeout: Callable[..., AbstractAsyncContextManager[asyncio.Timeout]]
    timeout_at: Callable[[float], AbstractAsyncContextManager[asyncio.Timeout]]
    wait_for: Callable[[Awaitable[Any], float | None], Coroutine[Any, Any, Any]]
    with_timeout: Callable[[float, Body], Body]
    budget: Callable[[float], AbstractContextManager[object]]
    detach: Callable[[], AbstractContextManager[object]]


def _real(delay: float | None) -> float | None:
    return None if delay is None else delay * running().unit


def _ours(delay: float | None, *, name: str = "faults", reserve: float | None = None) -> tracedtimeout.Timeout:
    return tracedtimeout.timeout(_real(delay), name=name, reserve=_real(reserve))


def _with_timeout(delay: float, body: Body) -> Body:
    return tracedtimeout.with_timeout(delay * running().unit, name="faults")(body)


def _by_hand(delay: float, body: Body) -> Body:
    async def guarded() -> object:
        async with asyncio.timeout(_real(delay)):
            return await body()

    return guarded


LIBRARIES = {
    "ours": Library(
        prefix=OURS,
        kind=tracedtimeout.Timeout,
        timeout=_ours,
        timeout_at=lambda when: tracedtimeout.timeout_at(when, name="faults"),
        wait_for=lambda awaitable, delay: tracedtimeout.wait_for(awaitable, _real(delay), name="faults"),
        with_timeout=_with_timeout,
        budget=lambda delay: tracedtimeout.budget(delay * running().unit),
        detach=tracedtimeout.detach,
    ),
    "asyncio": Library(
        prefix=THEIRS,
        kind=asyncio.Timeout,
        timeout=lambda delay, *, name="", reserve=None: asyncio.timeout(_real(delay)),
        timeout_at=asyncio.timeout_at,
        wait_for=lambda awaitable, delay: asyncio.wait_for(awaitable, _real(delay)),
        with_timeout=_by_hand,
        budget=lambda delay: nullcontext(),
        detach=nullcontext,
    ),
}

"""What random programs are held against first: asyncio with the semantics of Python 3.13."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Self

import tracedtimeout
from tracedtimeout._core._hot import enter, leave, left_by
from tracedtimeout._core._loop import state_of

from .programs import AnyTimeout, Library


class Reference:
    """A timeout as Python 3.13 has it, for the Pythons before."""

    def __init__(self, when: float | None) -> None:
        self._when = when
        self._state = "created"
        self._timer: asyncio.Handle | None = None

    def when(self) -> float | None:
        return self._when

    def expired(self) -> bool:
        return self._state in ("expiring", "expired")

    def __repr__(self) -> str:
        when = None if self._when is None else round(self._when, 3)
        return f"<Timeout [{self._state}]{f' when={when}' if self._state == 'active' else ''}>"

    def reschedule(self, when: float | None) -> None:
        if self._state == "created":
            raise RuntimeError("Timeout has not been entered")
        if self._state != "active":
            raise RuntimeError(f"Cannot change state of {self._state} Timeout")
        self._when = when
        self._start_timer()

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._count = task, task.cancelling()
        self._state = "active"
        self._start_timer()
        return self

    async def __aexit__(self, exc_type: object, exc: BaseException | None, exc_tb: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._state == "active":
            self._state = "finished"
            return
        self._state = "expired"
        ours_alone = self._task.uncancel() <= self._count
        if ours_alone and isinstance(exc, asyncio.CancelledError):
            raise self._error() from exc
        if ours_alone and exc is not None:
            for each in (exc, *(exc.exceptions if isinstance(exc, ExceptionGroup) else ())):
                self._explain(each)

    def _start_timer(self) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
        timed = self._timed()
        if timed is None:
            self._timer = None
        elif timed <= loop.time():
            self._timer = loop.call_soon(self._fire)
        else:
            self._timer = loop.call_at(timed, self._fire)

    def _timed(self) -> float | None:
        return self._when

    def _fire(self) -> None:
        self._task.cancel()
        self._state = "expiring"

    def _error(self) -> TimeoutError:
        return TimeoutError()

    def _explain(self, exc: BaseException) -> None:
        while exc.__context__ is not None:
            if isinstance(exc.__context__, asyncio.CancelledError):
                ours = self._error()
                ours.__cause__ = ours.__context__ = exc.__context__
                exc.__context__ = ours
                return
            exc = exc.__context__


def after(delay: float | None) -> float | None:
    return None if delay is None else asyncio.get_running_loop().time() + delay


async def wait_for(awaitable: Awaitable[Any], delay: float | None, timeout: AnyTimeout, error: Any) -> Any:
    if delay is None or delay > 0:
        async with timeout:
            return await awaitable
    future = asyncio.ensure_future(awaitable)
    if not future.done():
        future.cancel()
        await asyncio.wait([future])
        if future.cancelled():
            try:
                future.result()
            except asyncio.CancelledError as exc:
                raise error() from exc
    return future.result()


def _reference_wait_for(awaitable: Awaitable[Any], delay: float | None, name: str) -> Any:
    return wait_for(awaitable, delay, Reference(after(delay)), TimeoutError)


_BEFORE_313 = Library(
    timeout=lambda delay, name: Reference(after(delay)),
    timeout_at=lambda when, name: Reference(when),
    wait_for=_reference_wait_for,
    detach=nullcontext,
    budget=lambda seconds: nullcontext(),
)

_STANDARD = Library(
    timeout=lambda delay, name: asyncio.timeout(delay),
    timeout_at=lambda when, name: asyncio.timeout_at(when),
    wait_for=lambda awaitable, delay, name: asyncio.wait_for(awaitable, delay),
    detach=nullcontext,
    budget=lambda seconds: nullcontext(),
)

ASYNCIO = _STANDARD if sys.version_info >= (3, 13) else _BEFORE_313
"""asyncio with the semantics of Python 3.13."""

OURS_NAMED = Library(
    timeout=lambda delay, name: tracedtimeout.timeout(delay, name=name),
    timeout_at=lambda when, name: tracedtimeout.timeout_at(when, name=name),
    wait_for=lambda awaitable, delay, name: tracedtimeout.wait_for(awaitable, delay, name=name),
    detach=tracedtimeout.detach,
    budget=tracedtimeout.budget,
    owners=True,
)
"""Ourselves, with what our exceptions say."""

OURS = replace(OURS_NAMED, owners=False)
"""Ourselves, as far as asyncio can be compared."""


class Direct:
    """A timeout of ours, entered and left by plain calls, as doors do it; its name is no news to the loop."""

    def __init__(self, delay: float | None, name: str) -> None:
        self._delay, self._name = delay, name
        self._timeout = tracedtimeout.timeout(delay, name=name)  # until it is entered

    def when(self) -> float | None:
        return self._timeout.when()

    def reschedule(self, when: float | None) -> None:
        self._timeout.reschedule(when)

    def expired(self) -> bool:
        return self._timeout.expired()

    def __repr__(self) -> str:
        return repr(self._timeout)

    async def __aenter__(self) -> Self:
        make_usual(self._name, self._delay)
        self._timeout = enter(self._delay, self._name, "timeout")
        return self

    async def __aexit__(self, exc_type: object, exc: BaseException | None, exc_tb: object) -> None:
        if exc is None:
            leave(self._timeout)
        elif (raised := left_by(self._timeout, exc)) is not None:
            raise raised from exc


def make_usual(name: str, delay: float | None) -> None:
    """As if the loop had seen some timeouts of that name and limit: the common case from the first on."""
    for kind in ("timeout", "wait_for"):
        state_of(asyncio.get_running_loop()).series_of(kind, name)


def _wait_for_usual(awaitable: Awaitable[Any], delay: float | None, name: str) -> Any:
    make_usual(name, delay)
    return tracedtimeout.wait_for(awaitable, delay, name=name)


DIRECT = replace(OURS, timeout=Direct, wait_for=_wait_for_usual)
"""Ourselves, by plain calls and in the common case."""

"""The public names with TRACEDTIMEOUT_DISABLED=1: asyncio's own timeouts under them, uncounted, and no budget.

What ours add is accepted and does nothing, so that the program need not be changed to run without us.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import os
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from ._core._decorator import refuse

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

DISABLED = os.environ.get("TRACEDTIMEOUT_DISABLED", "").lower() in {"1", "true", "yes", "on"}
"""Read once: the names of the package are bound when it is imported."""


class Timeout(asyncio.Timeout):  # type: ignore[misc]  # final for typing only
    """asyncio's, with the names that ours adds."""

    outcome = None

    def __init__(
        self, when: float | None, *, name: str | None = None, at_least: float = 0.0, reserve: float | None = None
    ) -> None:
        super().__init__(when)
        self.name = name or ""

    def deadline(self) -> float | None:
        """Its own: there is no other."""
        return self.when()

    def remaining(self) -> float:
        """Seconds left to it; ``inf`` with none."""
        when = self.when()
        return math.inf if when is None else max(0.0, when - asyncio.get_running_loop().time())


def timeout(
    delay: float | None, *, name: str | None = None, at_least: float = 0.0, reserve: float | None = None
) -> Timeout:
    """`asyncio.timeout`."""
    loop = asyncio.get_running_loop()
    return Timeout(None if delay is None else loop.time() + delay, name=name)


def timeout_at(
    when: float | None, *, name: str | None = None, at_least: float = 0.0, reserve: float | None = None
) -> Timeout:
    """`asyncio.timeout_at`."""
    return Timeout(when, name=name)


def wait_for(
    fut: Awaitable[T],
    timeout: float | None,
    *,
    name: str | None = None,
    at_least: float = 0.0,
    reserve: float | None = None,
) -> Coroutine[Any, Any, T]:
    """`asyncio.wait_for`."""
    return asyncio.wait_for(fut, timeout)


def with_timeout(
    limit: float | Callable[[], float | None] | None,
    *,
    name: str | None = None,
    at_least: float = 0.0,
    reserve: float | None = None,
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """Each call under an `asyncio.timeout`."""

    def decorate(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        refuse(function)

        @functools.wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            async with asyncio.timeout(limit() if callable(limit) else limit):
                return await function(*args, **kwargs)

        return guarded

    return decorate


def remaining() -> float:
    """``inf``: there is no budget."""
    return math.inf


def checkpoint() -> None:
    """Nothing: there is no budget to be spent."""


def budget(seconds: float) -> contextlib.AbstractContextManager[None]:
    """Nothing is bound inside."""
    return contextlib.nullcontext()


def detach() -> contextlib.AbstractContextManager[None]:
    """Nothing is inherited anywhere."""
    return contextlib.nullcontext()

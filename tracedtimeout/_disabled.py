"""The public names with TRACEDTIMEOUT_DISABLED=1: asyncio's own timeouts under them, uncounted, and no budget.

What ours add is accepted and does nothing, so that the program need not be changed to run without us.
"""

from __future__ import annotations

import asyncio
import functools
import math
import os
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from ._core._decorator import refuse
from ._core._exceeded import Spent, Where
from ._core._outcome import Outcome

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

DISABLED = os.environ.get("TRACEDTIMEOUT_DISABLED", "").lower() in {"1", "true", "yes", "on"}
"""Read once: the names of the package are bound when it is imported."""


class Timeout(asyncio.Timeout):  # type: ignore[misc]  # final for typing only
    """asyncio's, with what a `View` shows: nothing is inherited, so its own deadline is the effective one."""

    kind = "timeout_at"

    @property
    def source(self) -> str:
        return "none" if self.when() is None else "own"

    @property
    def owner(self) -> str:
        return "" if self.when() is None else self.name

    error: BaseException | None = None
    """None: there are no observers."""
    where: Where | None = None
    spent: tuple[Spent, ...] = ()
    outcome: Outcome | None = None
    reschedules = 0

    def __init__(
        self, when: float | None, *, name: str | None = None, at_least: float = 0.0, reserve: float | None = None
    ) -> None:
        super().__init__(when)
        self.name = name or ""
        """The name that the caller gave; empty if none."""
        self._began: float | None = None
        self._took: float | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._began = _now()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self._took = self.elapsed
        try:
            await super().__aexit__(exc_type, exc_val, exc_tb)
        except TimeoutError:
            self.outcome = Outcome.EXPIRED
            raise
        self.outcome = self._left_by(exc_val)

    def _left_by(self, error: BaseException | None) -> Outcome:
        if isinstance(error, asyncio.CancelledError):
            return Outcome.CANCELLED
        if error is not None:
            return Outcome.REPLACED if self.expired() else Outcome.FAILED
        if self.expired():
            return Outcome.SUPPRESSED
        return Outcome.LATE if self.overrun and self.limit else Outcome.COMPLETED

    def reschedule(self, when: float | None) -> None:
        super().reschedule(when)
        self.reschedules += self._began is not None  # asyncio's calls it on entry

    def deadline(self) -> float | None:
        """The timeout's own deadline: there is no other."""
        return self.when()

    def remaining(self) -> float:
        """Seconds to the deadline, or that were left as the timeout was left; ``inf`` with no deadline."""
        when = self.when()
        if when is None:
            return math.inf
        return max(0.0, when - (_now() if self._took is None or self._began is None else self._began + self._took))

    @property
    def requested(self) -> float | None:
        """Seconds from entry to the deadline; None with no deadline."""
        when = self.when()
        return None if when is None else when - (_now() if self._began is None else self._began)

    @property
    def limit(self) -> float:
        """Seconds from entry to the deadline; ``inf`` with no deadline."""
        requested = self.requested
        return math.inf if requested is None else max(0.0, requested)

    @property
    def elapsed(self) -> float:
        """Seconds since the timeout was entered, or from entry to exit."""
        if self._began is None:
            return 0.0
        return _now() - self._began if self._took is None else self._took

    @property
    def overrun(self) -> float:
        """Seconds from the deadline to the exit; 0.0 for an exit in time."""
        return max(0.0, self.elapsed - self.limit)


def _now() -> float:
    return asyncio.get_running_loop().time()


def timeout(
    delay: float | None, *, name: str | None = None, at_least: float = 0.0, reserve: float | None = None
) -> Timeout:
    """`asyncio.timeout`."""
    made = Timeout(None if delay is None else _now() + delay, name=name)
    made.kind = "timeout"
    return made


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


def budget(seconds: float | None) -> Nothing:
    """Nothing is bound inside."""
    return Nothing()


def detach() -> Nothing:
    """Nothing is inherited anywhere."""
    return Nothing()


class Nothing:
    """A ``with`` block, an ``async with`` block and a decorator that do nothing."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        pass

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, *exc_info: object) -> None:
        pass

    def __call__(self, function: F) -> F:
        return function

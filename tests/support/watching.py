"""Helpers of the tests of the budget: what is seen from a child task, how a task ended, what a loop has yet to run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tracedtimeout import DeadlineExceeded, timeout


def now() -> float:
    return asyncio.get_running_loop().time()


async def in_child(function: Callable[[], Any]) -> Any:
    """What `function` gives in a child task."""

    async def child() -> Any:
        return function()

    return await asyncio.create_task(child())


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What `coroutine` gives, which awaits nothing, where there is no `await`."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError(f"{coroutine!r} did not end at once")


def deadline_within(delay: float | None = None) -> float | None:
    """The effective deadline that a timeout opened here has."""
    inner = timeout(delay, name="probe")
    at_once(inner.__aenter__())
    try:
        return inner.deadline()
    finally:
        at_once(inner.__aexit__(None, None, None))


class Ended:
    """How the task of `watch` ended, and when."""

    def __init__(self) -> None:
        self.at = -1.0
        self.error: BaseException | None = None

    async def watch(self, name: str = "child", delay: float | None = None, sleep: float = 100.0) -> None:
        """Sleep in a timeout of one's own."""
        try:
            async with timeout(delay, name=name) as self.timeout:
                await asyncio.sleep(sleep)
        except BaseException as exc:
            self.error = exc
        self.at = now()

    @property
    def owner(self) -> str:
        assert isinstance(self.error, DeadlineExceeded)
        return self.error.owner


def live_timers(loop: Any) -> list[asyncio.TimerHandle]:
    """The timers that the loop has yet to run: private, for there is no other way to see what is left behind."""
    return [timer for timer in loop._scheduled if not timer.cancelled()]

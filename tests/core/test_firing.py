"""Firing: an expiry goes on where the facts of the moment cannot be taken, and where a turn is broken off."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.faults.strikes import OURS, Strikes
from tests.support import figures, running_loop, running_task
from tests.support.watching import now
from tracedtimeout import DeadlineExceeded, Outcome, timeout
from tracedtimeout._core import _firing
from tracedtimeout._core._lanes import LINGER
from tracedtimeout._core._loop import state_of
from tracedtimeout._core.figures import _metrics, _process

pytestmark = pytest.mark.loops("virtual")


async def struck(function: str, error: BaseException, program: Callable[[], Awaitable[Any]]) -> Any:
    """The result of `program`, where `error` is raised at the first line of `function` that it comes to."""

    def strike() -> None:
        raise error

    await program()
    lines = Strikes(OURS)
    lines.start()
    await program()
    lines.stop()
    first = min(number for number, line in enumerate(lines.lines) if line.function == function)
    strikes = Strikes(OURS, at=first, act=strike)
    strikes.start()
    found = await program()
    strikes.stop()
    assert strikes.struck is not None
    return found


async def test_an_expiry_whose_facts_cannot_be_taken_is_one_all_the_same() -> None:
    """Where memory is short: it ends what it is to end, is its own owner, and is told of where it is swallowed."""

    async def expires() -> object:
        started = now()
        with suppress(TimeoutError):
            async with timeout(2.0) as outer, timeout(5.0) as inner:
                await asyncio.sleep(50.0)
        return outer.outcome, inner.outcome, {outer.owner, inner.owner} == {outer.name}, now() - started

    async def swallows() -> object:
        async with timeout(2.0) as swallowing:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(50.0)
        return swallowing.outcome

    async def cleans_up() -> object:
        with suppress(asyncio.CancelledError):
            async with timeout(2.0):
                try:
                    await asyncio.sleep(50.0)
                finally:
                    async with timeout(5.0) as inner:
                        asyncio.get_running_loop().call_soon(running_task().cancel)
                        await asyncio.sleep(50.0)
        return inner.outcome

    assert await struck("_facts", MemoryError(), expires) == (Outcome.EXPIRED, Outcome.INHERITED, True, 2.0)
    assert await struck("_facts", MemoryError(), swallows) is Outcome.SUPPRESSED
    program = asyncio.create_task(struck("_facts", MemoryError(), lambda: asyncio.create_task(cleans_up())))
    assert await program is Outcome.CANCELLED


@pytest.mark.parametrize("delay", [2.0, -1.0])
async def test_a_turn_that_is_broken_off_comes_again(delay: float) -> None:
    """Of the loop's timer, at once; of one due as it was entered, soon after. The loop is told of the error."""
    told: list[object] = []
    running_loop().set_exception_handler(lambda _, context: told.append(context.get("exception")))
    error = RuntimeError("struck")

    async def expires() -> object:
        started = now()
        with suppress(DeadlineExceeded):
            async with timeout(delay) as one:
                await asyncio.sleep(50.0)
        return one.outcome, now() - started

    assert await struck("fire", error, expires) == (Outcome.EXPIRED, 2.0 if delay > 0.0 else LINGER)
    assert told == [error]


async def test_listeners_are_told_of_each_that_fires() -> None:
    """Once its task is cancelled, and before it runs."""
    told: list[tuple[str, int]] = []

    def listen(fired: Any) -> None:
        told.append((fired.name, task.cancelling()))

    task = running_task()
    _firing.listeners.append(listen)
    try:
        with suppress(TimeoutError):
            async with timeout(1.0, name="fires"), timeout(5.0, name="does not"):
                await asyncio.sleep(9.0)
    finally:
        _firing.listeners.remove(listen)
    assert told == [("fires", 1)]


async def test_one_that_fired_and_was_dropped_is_counted_as_cancelled() -> None:
    """In no time of no limit: nobody left it."""

    async def opens() -> None:
        with suppress(asyncio.CancelledError):
            await timeout(1.0, name="dropped").__aenter__()
            await asyncio.sleep(9.0)

    await asyncio.create_task(opens())
    await asyncio.sleep(0)
    gc.collect()
    counted = _process.snapshot()[_metrics.DURATION]["dropped", "cancelled"]
    assert isinstance(counted, _process.Histogram)
    assert (figures("dropped"), counted.total) == ({"duration": {"cancelled": 1}, "limit": 1}, 0.0)


async def test_one_that_fired_and_whose_coroutine_is_dropped_is_counted_once() -> None:
    """The collector tells of the timeout, and then closes the coroutine, which leaves it."""

    async def opens() -> None:
        async with timeout(1.0, name="closed"):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(9.0)
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(opens())
    await asyncio.sleep(2.0)
    running_loop().set_exception_handler(lambda _, context: None)  # it was pending
    del task
    gc.collect()
    assert figures("closed")["duration"] == {"cancelled": 1}


async def test_one_that_was_dropped_and_counted_is_not_counted_again() -> None:
    """What breaks off after the count is done again as another fires that stands at the same place in memory."""
    here = state_of(running_loop())
    async with timeout(1.0, name="next") as following:
        gone = _firing._Unwinding(timeout(1.0, name="dropped"), here)
        gone.counted, gone.key = True, id(following)
        here.unwinding[gone.key] = gone
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(9.0)
    assert following.outcome is Outcome.SUPPRESSED
    assert figures("dropped").get("duration") is None
    assert here.unwinding == {}


async def test_of_several_that_are_due_none_fires_twice() -> None:
    """Whoever is told of the outermost may have what is inside fire; and what has time left is no one that is due."""
    fired: list[str] = []

    def listen(told: Any) -> None:
        fired.append(told.name)
        if told.name == "outermost":
            _firing.end(second, "listener")

    _firing.listeners.append(listen)
    try:
        with suppress(TimeoutError):
            async with timeout(2.0, name="outermost"), timeout(1.5, name="second") as second:
                async with timeout(9.0, name="has time"), timeout(1.0, name="inner"):
                    running_loop().call_soon(running_loop().block, 3.0)
                    await asyncio.sleep(50.0)
    finally:
        _firing.listeners.remove(listen)
    assert fired == ["outermost", "second", "inner"]

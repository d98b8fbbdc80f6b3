"""What is entered and left by plain calls is what `async with` would have made of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import pytest

from tests.support import VIRTUAL, running_task
from tracedtimeout import DeadlineExceeded, Timeout, View, budget, detach, timeout
from tracedtimeout._core import _context, _observers
from tracedtimeout._core._hot import enter, leave, left_by
from tracedtimeout._core._open import open_timeouts
from tracedtimeout._core.figures import _process
from tracedtimeout.testing import run

Body = Callable[[], Awaitable[None]]
Way = Callable[[float | None, Body], Awaitable[Timeout]]


async def by_async_with(delay: float | None, body: Body) -> Timeout:
    t = timeout(delay, name="t")
    with suppress(TimeoutError, LookupError):
        async with t:
            await body()
    return t


async def by_plain_calls(delay: float | None, body: Body) -> Timeout:
    t: Timeout = enter(delay, "t", "timeout")
    try:
        await body()
        leave(t)
    except BaseException as exc:
        with suppress(TimeoutError):
            if (raised := left_by(t, exc)) is not None:
                raise raised from exc
    return t


async def returns() -> None:
    pass


async def sleeps() -> None:
    await asyncio.sleep(1.0)


async def fails() -> None:
    raise LookupError


async def times_out() -> None:
    raise TimeoutError


async def swallows() -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(5.0)


async def nests() -> None:
    for _ in range(3):
        async with timeout(2.0, name="inner"):
            await asyncio.sleep(0.25)


async def reschedules() -> None:
    await asyncio.sleep(0)
    _context.current.get().reschedule(asyncio.get_running_loop().time() + 0.5)
    await asyncio.sleep(1.0)


def _open() -> list[Timeout]:
    return open_timeouts()


DELAYS = (None, 2.0, 2.0, 2.0, 0.5, 0.0, -1.0, math.inf, 2, True, 3.5, 2.0, 1e9)
"""The same thrice, so that it becomes the usual one; and others."""


@contextmanager
def observed() -> Iterator[None]:
    def closes(t: View) -> None: ...

    def opens(t: View) -> Callable[[View], None]:
        return closes

    _observers.add(opens)
    try:
        yield
    finally:
        _observers.remove(opens)


AROUND: dict[str, Callable[[], Any]] = {
    "nothing": nullcontext,
    "a budget": lambda: budget(1.5),
    "a budget in a budget": lambda: budget(1.5),
    "a timeout": lambda: timeout(1.5, name="outer"),
    "two timeouts": lambda: timeout(1.5, name="outer"),
    "a fired timeout": nullcontext,
    "a child task": nullcontext,
    "detach": detach,
    "an observer": observed,
}


async def enclosed(around: str, way: Way, delay: float | None, body: Body) -> Timeout:
    """The timeout made of `delay` and `body` in that `way`, with that `around` it."""
    if around == "a budget in a budget":
        with budget(1.75), budget(1.5):
            return await way(delay, body)
    if around == "two timeouts":
        async with timeout(9.0, name="outermost"), timeout(8.0, name="outer"):
            return await way(delay, body)
    if around == "a fired timeout":
        made: list[Timeout] = []
        with suppress(TimeoutError):
            async with timeout(0.25, name="outer"):
                try:
                    await asyncio.sleep(1.0)
                finally:
                    made.append(await way(delay, body))
        return made[0]
    if around == "a child task":
        async with timeout(8.0, name="outer"):
            return await asyncio.create_task(_coroutine(way(delay, body)))
    manager = AROUND[around]()
    if hasattr(manager, "__aenter__"):
        made = []
        with suppress(TimeoutError):
            async with manager:
                made.append(await way(delay, body))
        return made[0] if made else timeout(None, name="cut short")
    with manager:
        return await way(delay, body)


async def _coroutine(awaitable: Awaitable[Timeout]) -> Timeout:
    return await awaitable


def seen(around: str, way: Way, body: Body) -> tuple[object, ...]:
    """All that can be told of such timeouts, one after the other in one virtual loop."""
    _process.reset()

    async def main() -> list[tuple[object, ...]]:
        facts: list[tuple[object, ...]] = []
        for delay in DELAYS:
            t = await enclosed(around, way, delay, body)
            task = running_task()
            facts.append((repr(t), t.when(), t.expired(), t.outcome, t.name, t.kind, t.reschedules, t.spent))
            facts.append((asyncio.get_running_loop().time(), task.cancelling(), len(_open())))
            if t.outcome is not None:
                facts.append((t.elapsed, t.limit, t.owner, t.overrun))
        return facts

    facts = run(main())
    figures = {
        (metric.name, labels): (value.counts, value.total) if isinstance(value, _process.Histogram) else value
        for metric, values in _process.snapshot().items()
        for labels, value in values.items()
    }
    return facts, figures


@pytest.mark.parametrize("body", [returns, sleeps, fails, times_out, swallows, nests, reschedules])
@pytest.mark.parametrize("around", AROUND)
def test_both_ways_show_the_same(around: str, body: Body) -> None:
    """Facts, counts of cancellations and every figure are the same, whatever is around and whatever the body does."""
    assert seen(around, by_plain_calls, body) == seen(around, by_async_with, body)


@pytest.mark.loops(*VIRTUAL, "plain", "uvloop", "eager")
async def test_it_is_entered_where_it_is_made() -> None:
    """It has no state before it is active, and the budget is its own at once."""
    for _ in range(3):
        t = enter(5.0, "t", "request")
        assert repr(t).startswith("<Timeout [active] when=")
        assert 4.0 < t.remaining() <= 5.0
        assert t.kind == "request"
        leave(t)
        assert repr(t) == "<Timeout [finished]>"


@pytest.mark.parametrize(("delay", "error"), [(math.nan, ValueError), ("1", TypeError), (1j, TypeError)])
def test_bad_delays_are_refused(delay: Any, error: type[Exception]) -> None:
    """As by `timeout()`, with nothing left behind; whether the name is known yet or not."""

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(error, match="delay must be a number of seconds"):
                enter(delay, "t", "request")
            leave(enter(1.0, "t", "request"))
        assert _open() == []

    run(main())


def test_a_refusal_comes_from_nowhere() -> None:
    """What is refused on entry is raised with no context, the first of a name too."""

    async def main() -> None:
        with budget(0.01):
            for _ in range(2):
                with pytest.raises(DeadlineExceeded, match="needs") as caught:
                    enter(1.0, "t", "request", 0.5)
                assert caught.value.__context__ is None

    run(main())


def test_outside_of_a_task_it_is_refused() -> None:
    """In a callback of the loop, or with no loop at all, there is no task to guard."""
    raised: list[str] = []

    def callback() -> None:
        try:
            enter(1.0, "t", "request")
        except RuntimeError as exc:
            raised.append(str(exc))

    async def main() -> None:
        leave(enter(1.0, "t", "request"))  # so that the name is known
        asyncio.get_running_loop().call_soon(callback)
        await asyncio.sleep(0)

    run(main())
    callback()
    assert raised == ["Timeout should be used inside a task", "no running event loop"]

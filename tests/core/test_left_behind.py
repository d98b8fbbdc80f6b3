"""What timeouts leave behind when they are left, and their loops when they are closed: no timer, no memory."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from tests.support import FLAVOURS, figures, running_loop
from tests.support.watching import at_once, live_timers
from tracedtimeout import budget, checkpoint, timeout, wait_for
from tracedtimeout._core._lanes import LINGER, Lanes
from tracedtimeout._core._loop import LoopState, state_of
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout.testing import VirtualClockLoop, run


@pytest.mark.parametrize(
    "leave",
    [
        lambda t: None,
        lambda t: t.reschedule(None),
        lambda t: t.reschedule(running_loop().time() - 1.0),
        lambda t: t.reschedule(running_loop().time() + 1e6),
    ],
    ids=["left", "moved to none", "moved to the past", "moved later"],
)
def test_no_timer_is_left_behind(leave: Callable[[Any], None]) -> None:
    """In virtual time the loop has no timer of ours the moment the last timeout is left, however it ended."""

    async def main() -> None:
        with suppress(TimeoutError):
            async with timeout(1000.0) as outer:
                leave(outer)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        assert live_timers(running_loop()) == []

    run(main())


def test_no_timer_is_left_behind_by_what_ended_with_another() -> None:
    """Nor when a timeout was ended for one that fired around it, long before its own deadline."""

    async def main() -> None:
        with suppress(TimeoutError):
            async with timeout(1.0):
                task = asyncio.create_task(child())
                await asyncio.sleep(50.0)
        with suppress(TimeoutError):
            await task
        assert live_timers(running_loop()) == []

    async def child() -> None:
        async with timeout(1000.0):
            await asyncio.sleep(50.0)

    run(main())


@pytest.mark.slow  # what lingers on the real clock is measured there
@pytest.mark.parametrize("flavour", ["plain", "debug"])
def test_on_a_real_clock_the_timer_goes_soon_after(flavour: str) -> None:
    """An emptied lane keeps the loop's timer for a fiftieth of a second, so that a busy one need not make it anew."""
    loop = FLAVOURS[flavour]()

    async def main() -> list[asyncio.TimerHandle]:
        async with timeout(1000.0):
            await asyncio.sleep(0)
        await asyncio.sleep(LINGER * 3)
        return live_timers(loop)

    try:
        assert loop.run_until_complete(main()) == []
    finally:
        loop.close()


def test_a_loop_can_be_closed_with_timeouts_open() -> None:
    """Its timeouts are left without a word when they are collected; nothing is logged and nothing raised."""
    loop = VirtualClockLoop()
    reached: list[int] = []

    async def main() -> None:
        async with timeout(100.0), timeout(50.0), timeout(None):
            reached.append(1)
            await asyncio.sleep(60.0)

    main_task = loop.create_task(main())
    loop.call_later(1.0, loop.stop)
    loop.run_forever()
    coroutine: Any = main_task.get_coro()
    main_task.cancel()
    loop.run_until_complete(asyncio.wait([main_task]))
    loop.close()
    assert (reached, coroutine.cr_frame) == ([1], None)


def test_a_timeout_can_be_left_after_its_loop_was_closed() -> None:
    """A generator that is closed when its loop is gone leaves its timeout in peace, and it is counted."""
    loop = VirtualClockLoop()
    held = timeout_before(loop)
    loop.close()
    at_once(held.__aexit__(None, None, None))
    assert (held.outcome, state_of(loop).entries()) == ("completed", [])


class ClosedAsItIsTold(VirtualClockLoop):
    """A loop that is closed in its own thread just as another thread hands something over."""

    def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]  # typed by what it takes
        self.close()
        return super().call_soon_threadsafe(*args, **kwargs)


def left_elsewhere(held: Any, exc: BaseException | None) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(at_once, held.__aexit__(type(exc), exc, None)).result()


@pytest.mark.parametrize("read_first", [True, False])
@pytest.mark.parametrize("make_loop", [VirtualClockLoop, ClosedAsItIsTold])
def test_an_exit_in_another_thread_is_counted_though_its_loop_has_no_turn_left(
    make_loop: Callable[[], VirtualClockLoop], read_first: bool
) -> None:
    """Once: as somebody reads, or as the loop goes. Nothing is kept by what was handed over."""
    loop = make_loop()
    held, state = timeout_before(loop), weakref.ref(state_of(loop))
    left_elsewhere(held, ValueError())
    if loop.is_closed():
        assert state_of(loop).handed == deque()
    else:
        assert figures("held") == {"limit": 1, "active": 1}
        loop.close()
    for _ in range(2 if read_first else 0):
        assert figures("held")["duration"] == {"failed": 1}
    del held, loop
    gc.collect()
    assert (figures("held")["duration"], state()) == ({"failed": 1}, None)


def test_an_exit_broken_off_is_counted_though_its_loop_has_no_turn_left() -> None:
    """As an exit that was broken off and waits for the next tick: once."""
    loop = VirtualClockLoop()
    held = timeout_before(loop)
    state_of(loop).pending[held] = None
    loop.close()
    for _ in range(2):
        assert figures("held")["duration"] == {"failed": 1}


def timeout_before(loop: asyncio.AbstractEventLoop) -> Any:
    async def enter() -> Any:
        return await timeout(5.0, name="held").__aenter__()

    return loop.run_until_complete(enter())


@pytest.mark.parametrize("reserve", [None, 0.5])
def test_a_loop_closed_over_an_open_timeout_goes(reserve: float | None) -> None:
    """Nothing that outlives the loop holds the timeout, whose task would hold the loop."""

    async def held() -> None:
        async with timeout(5.0, name="held", reserve=reserve):
            await asyncio.sleep(50.0)

    def close_over_one() -> weakref.ref[object]:
        loop = asyncio.SelectorEventLoop()
        task: Any = loop.create_task(held())
        loop.run_until_complete(asyncio.sleep(0))
        task._log_destroy_pending = False
        loop.close()
        return weakref.ref(loop)

    gone = [close_over_one() for _ in range(5)]
    _process.snapshot()
    gc.collect()
    assert [loop for loop in gone if loop() is not None] == []


async def test_what_is_raised_waits_for_no_garbage_collector() -> None:
    """Neither an expiry nor a rejection leaves a reference cycle."""

    async def expire() -> None:
        with suppress(TimeoutError):
            async with timeout(0.001, name="expires"):
                await asyncio.sleep(50.0)

    async def refuse() -> None:
        with suppress(TimeoutError):
            async with timeout(0.001, at_least=1.0, name="refused"):
                pytest.fail("not refused")

    for leave in (expire, refuse):
        await leave()
        gc.collect()
        gc.disable()
        try:
            await leave()
            assert gc.collect() == 0
        finally:
            gc.enable()


async def test_a_task_that_ends_with_what_is_raised_waits_for_no_garbage_collector() -> None:
    """It has the exception, whose traceback leads to frames of ours, and those not back to it."""

    async def expire() -> None:
        async with timeout(0.001, name="expires"):
            await asyncio.sleep(50.0)

    async def refuse() -> None:
        async with timeout(0.001, at_least=1.0, name="refused"):
            pytest.fail("not refused")

    async def find() -> None:
        with budget(-1.0):
            async with timeout(1.0, name="finds"):
                checkpoint()

    async def guard(at_least: float) -> None:
        await wait_for(expire(), 5.0, at_least=at_least)

    for work in (expire(), refuse(), find(), guard(0.0), guard(9.0)):
        tasks = [asyncio.create_task(work)]
        gc.collect()
        gc.disable()
        try:
            await asyncio.wait(tasks)
            assert isinstance(tasks[0].exception(), TimeoutError)
            ended = weakref.ref(tasks.pop())
            await asyncio.sleep(0)
            assert ended() is None
        finally:
            gc.enable()


@pytest.mark.loops("virtual")
async def test_a_nest_of_which_one_is_never_left_is_kept_until_another_fires() -> None:
    """What the exits within found around them is kept no longer; and the one that is dropped is counted."""

    async def nest() -> weakref.ref[object]:
        outer, middle, inner = (timeout(limit, name="dropped") for limit in (1.0, 2.0, 3.0))
        for each in (outer, middle, inner):
            await each.__aenter__()
        try:
            await asyncio.sleep(9.0)
        except asyncio.CancelledError as exc:
            for each in (inner, middle):
                await each.__aexit__(type(exc), exc, None)
        return weakref.ref(outer)

    dropped = await asyncio.create_task(nest())
    with suppress(TimeoutError):
        async with timeout(1.0):
            await asyncio.sleep(9.0)
    gc.collect()
    assert dropped() is None
    await asyncio.sleep(0)
    assert figures("dropped")["duration"] == {"cancelled": 1, "inherited": 2}


def test_loops_that_are_gone_leave_nothing() -> None:
    """Ten thousand loops, one after the other: their states go with them, their figures are folded into one."""
    states: list[weakref.ref[object]] = []
    gc.collect()
    before = len(_process.writers())

    async def main() -> None:
        async with timeout(5.0, name="one of many"):
            await asyncio.sleep(0)

    for _ in range(LOOPS):
        loop = asyncio.SelectorEventLoop()
        loop.run_until_complete(main())
        states.append(weakref.ref(state_of(loop)))
        loop.close()
    del loop
    gc.collect()
    figures = _process.snapshot()
    assert [state for state in states if state() is not None] == []
    assert len(_process.writers()) <= before  # those of the runner of these tests
    durations = figures[_metrics.DURATION]["one of many", "completed"]
    assert isinstance(durations, _process.Histogram)
    assert sum(durations.counts) == LOOPS
    assert figures[_metrics.ACTIVE]["one of many",] == 0


def test_the_figures_of_a_loop_that_is_gone_lead_to_no_loop() -> None:
    """They wait for a reader, perhaps for ever. Up to 3.14 no weak reference tells that they hold the loop."""

    async def main() -> None:
        for limit in (0.5, None, 3.0):
            async with timeout(limit, name="handed over"):
                await asyncio.sleep(0)
        with suppress(TimeoutError):  # on a busy machine
            async with timeout(5.0), timeout(9.0, name="handed over"), timeout(0.004):
                await asyncio.sleep(0)

    gc.collect()  # those of other tests
    loop = asyncio.SelectorEventLoop()
    loop.run_until_complete(main())
    loop.close()
    state = weakref.ref(state_of(loop))
    del loop
    with _process._folding:  # a reader in another thread would take what waits
        for _ in range(200):  # and one that has begun to read holds the state until it has read
            gc.collect()
            if state() is None:
                break
            time.sleep(0.01)
        assert "handed over" in {name for left in _process._gone for name in left.by_name}
        assert [found for found in all_that_is_held_by(_process._gone) if isinstance(found, (LoopState, Lanes))] == []


def all_that_is_held_by(start: object) -> list[object]:
    """What the garbage collector reaches from `start`, but for classes and what they hold."""
    found, ahead = {id(start): start}, [start]
    while ahead:
        for each in gc.get_referents(ahead.pop()):
            if id(each) not in found and not isinstance(each, type):
                found[id(each)] = each
                ahead.append(each)
    return list(found.values())


LOOPS = 10_000


@pytest.mark.long
@pytest.mark.slow  # a million timeouts take a while
@pytest.mark.parametrize("body", ["quick", "nested", "expired", "rescheduled"])
def test_a_million_timeouts_leave_nothing(body: str) -> None:
    """Memory does not grow with the number of timeouts that have been, completed, nested, expired or moved."""

    async def one() -> None:
        if body == "expired":
            with suppress(TimeoutError):
                async with timeout(0.0):
                    await asyncio.sleep(1.0)
            return
        async with timeout(5.0) as mine:
            if body == "nested":
                async with timeout(4.0):
                    pass
            elif body == "rescheduled":
                mine.reschedule(running_loop().time() + 3.0)

    async def some(count: int) -> None:
        for _ in range(count):
            await one()

    async def main() -> int:
        await asyncio.create_task(some(2000))
        gc.collect()
        before = sys.getallocatedblocks()
        await asyncio.create_task(some(250_000))
        gc.collect()
        return sys.getallocatedblocks() - before

    assert run(main()) < 500


def test_one_after_the_other_they_form_no_chain() -> None:
    """A task that opens timeouts for ever, that fire or not, holds but the last of them."""

    async def main() -> list[int]:
        return [await links() for _ in range(300)]

    async def links() -> int:
        with suppress(TimeoutError):
            async with timeout(1.0) as mine:
                async with timeout(5.0):
                    await asyncio.sleep(0.5)
                async with timeout(5.0):
                    await asyncio.sleep(5.0)
        return len(list(chain(mine)))

    assert run(main()) == [1] * 300


def chain(link: Any) -> Iterator[object]:
    while link is not None:
        yield link
        link = link._parent

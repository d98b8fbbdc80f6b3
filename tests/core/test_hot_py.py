"""The hot path: what is not left to others there, whichever way a timeout is entered and left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import Any

import pytest

from tests.faults.strikes import OURS, Strikes
from tests.support import figures, running_loop, running_task
from tests.support.watching import at_once, live_timers, now
from tracedtimeout import DeadlineExceeded, Outcome, Timeout, View, remaining, timeout, wait_for
from tracedtimeout._core import _observers
from tracedtimeout._core._hot import enter, leave, left_by
from tracedtimeout._core._loop import state_of
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout.testing import run

pytestmark = pytest.mark.loops("virtual")


def by_async_with(delay: float | None, name: str) -> Timeout:
    be_known(delay, name)
    entered: Timeout = at_once(timeout(delay, name=name).__aenter__())
    return entered


def by_plain_call(delay: float | None, name: str) -> Timeout:
    be_known(delay, name)
    entered: Timeout = enter(delay, name, "timeout")
    return entered


def be_known(delay: float | None, name: str) -> None:
    """Have the name and the delay be known: who uses them first takes another way."""
    state_of(running_loop()).series_of("timeout", name)[delay]


def left(opened: Callable[..., Timeout], entered: Timeout, exc: BaseException | None) -> None:
    """Leave what was `opened` so."""
    if opened is by_async_with:
        at_once(entered.__aexit__(None if exc is None else type(exc), exc, None))
    elif exc is None:
        leave(entered)
    elif (raised := left_by(entered, exc)) is not None:
        raise raised from exc


@contextmanager
def block(opened: Callable[..., Timeout], delay: float | None, name: str = "t") -> Iterator[Timeout]:
    """A block with a timeout that is `opened` so."""
    entered = opened(delay, name)
    try:
        yield entered
    except BaseException as exc:
        left(opened, entered, exc)
        raise
    left(opened, entered, None)


both_ways = pytest.mark.parametrize("opened", [by_async_with, by_plain_call])
Opened = Callable[[float | None, str], Timeout]


# What binds it


@both_ways
async def test_one_around_that_moves_is_its_deadline_at_once(opened: Opened) -> None:
    """Entered before the move, or after, beneath one that has not heard of it."""
    async with timeout(9.0) as outer, timeout(8.0):
        with block(opened, 7.0) as before:
            outer.reschedule(now() + 2.0)
            assert before.deadline() == 2.0
        outer.reschedule(now() + 3.0)
        with block(opened, 7.0) as after:
            assert after.deadline() == 3.0


@both_ways
async def test_one_directly_beneath_another_hears_of_its_move(opened: Opened) -> None:
    """That one knows it."""
    async with timeout(9.0) as outer:
        with block(opened, 7.0) as inner:
            outer.reschedule(now() + 2.0)
            assert inner.deadline() == 2.0


@both_ways
async def test_of_equal_deadlines_its_own_is_the_one(opened: Opened) -> None:
    """The one around it ends as it does."""
    async with timeout(5.0):
        with block(opened, 5.0) as inner:
            assert (inner.owner, inner.source) == ("t", "own")


@both_ways
async def test_all_that_are_open_beneath_one_that_expires_are_unfinished(opened: Opened) -> None:
    """Two of the same task, too, which do not lie within each other."""
    apart = list[Timeout]()
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(2.0):
            context = copy_context()
            with suppress(asyncio.CancelledError), block(opened, 9.0, "one"):
                apart.append(context.run(opened, 9.0, "another"))
                try:
                    await asyncio.sleep(50.0)
                finally:
                    with suppress(asyncio.CancelledError):
                        left(opened, apart[0], None)
            raise asyncio.CancelledError
    assert sorted(str(each) for each in caught.value.spent) == [
        "2.000 s in another (unfinished)",
        "2.000 s in one (unfinished)",
    ]


@both_ways
async def test_what_is_open_beneath_one_that_is_left_first_is_handed_on(opened: Opened) -> None:
    """It is unfinished work of the next one around."""
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(2.0):
            between = opened(5.0, "between")
            inner = opened(5.0, "inner")
            left(opened, between, None)
            await asyncio.sleep(50.0)
    left(opened, inner, None)
    assert [str(each) for each in caught.value.spent] == ["0.000 s in between", "2.000 s in inner (unfinished)"]


@both_ways
async def test_one_that_was_left_cannot_be_left_again(opened: Opened) -> None:
    """Nor is it counted again."""
    with block(opened, 5.0) as gone:
        pass
    for error in (None, LookupError()):
        with pytest.raises(AssertionError, match=r"^a Timeout that is finished cannot be left$"):
            left(opened, gone, error)
    assert figures("t")["duration"] == {"completed": 1}


@both_ways
async def test_one_of_a_child_task_tells_what_it_took(opened: Opened) -> None:
    """And is in force while it is open, there alone."""

    async def child() -> None:
        with block(opened, 5.0):
            assert remaining() == 5.0
            await asyncio.sleep(0.5)

    async with timeout(9.0) as around:
        await asyncio.gather(child(), child())
        assert remaining() == 8.5
    assert [str(each) for each in around.spent] == ["0.500 s in t (2 at once)"]


@both_ways
async def test_one_of_a_child_task_ends_as_the_one_around_is_left(opened: Opened) -> None:
    """Nobody waits for the task."""

    async def child() -> None:
        with block(opened, 50.0):
            await asyncio.sleep(99.0)

    with suppress(TimeoutError):
        async with timeout(2.0, name="around"):
            task = asyncio.create_task(child())
            await asyncio.sleep(99.0)
    with pytest.raises(DeadlineExceeded) as caught:
        await task
    assert (caught.value.owner, now()) == ("around", 2.0)


@both_ways
@pytest.mark.parametrize("around", [None, 9.0], ids=["alone", "nested"])
async def test_one_in_a_task_that_was_cancelled_before_expires(opened: Opened, around: float | None) -> None:
    """And takes back its own cancellation alone."""

    async def main() -> tuple[object, int]:
        running_task().cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        with suppress(TimeoutError), block(opened, 2.0) as inner:
            await asyncio.sleep(50.0)
        return inner.outcome, running_task().cancelling()

    async def nested() -> tuple[object, int]:
        async with timeout(around):
            return await main()

    assert await asyncio.create_task(main() if around is None else nested()) == (Outcome.EXPIRED, 1)


async def test_a_call_needs_what_it_says() -> None:
    """Whatever the figure."""
    for at_least in (1.0, 2.0):
        await wait_for(asyncio.sleep(0.0), 5.0, at_least=at_least)
        with pytest.raises(DeadlineExceeded, match=r"its own limit is 0\.500 s$"):
            await wait_for(asyncio.sleep(0.0), 0.5, at_least=at_least)


# When it is timed, and how long it took


def test_one_made_under_another_loop_is_timed_by_that_which_runs_it() -> None:
    """At the same instant on the clock of that."""

    async def makes() -> Timeout:
        return timeout(1.0, name="made")

    async def enters() -> float:
        async with timeout(1.0, name="made"):
            pass
        with pytest.raises(DeadlineExceeded):
            async with made:
                await asyncio.sleep(50.0)
        return now()

    made = run(makes())
    assert run(enters()) == 1.0


@both_ways
@pytest.mark.parametrize("apart", [False, True], ids=["one clock", "two clocks"])
@pytest.mark.parametrize("delay", [5.0, None])
async def test_durations_are_measured_by_the_stopwatch(opened: Opened, delay: float | None, *, apart: bool) -> None:
    """Where the loop's clock is another, too, such as uvloop's, which goes on by the millisecond."""
    here = state_of(running_loop())
    if apart:
        here.timed_apart, here.stopwatch = True, lambda: running_loop().time() + 0.25
    await asyncio.sleep(2.0)
    with block(opened, delay) as inner:
        await asyncio.sleep(0.5)
    assert inner.elapsed == 0.5


@both_ways
async def test_the_last_that_is_left_leaves_no_timer(opened: Opened) -> None:
    """Where none is open any more, and not before."""
    with block(opened, 5.0):
        with block(opened, 9.0):
            pass
        assert [timer.when() for timer in live_timers(running_loop())] == [5.0]
        with block(opened, 5.0):
            pass
        assert [timer.when() for timer in live_timers(running_loop())] == [5.0]
    assert live_timers(running_loop()) == []


async def test_one_with_no_name_has_that_of_the_code_that_made_it() -> None:
    """Not that of who called it, which makes some of its own."""

    def called() -> str:
        return timeout(1.0).name

    def calls() -> tuple[str, str]:
        return timeout(1.0).name, called()

    for _ in range(3):
        mine, its = calls()
        assert (mine.endswith(".calls"), its.endswith(".called")) == (True, True)


async def test_options_hold_each_time() -> None:
    """Also of a name and a delay that are known by then."""
    for _ in range(3):
        async with timeout(5.0) as around, timeout(9.0, name="r", reserve=1.0) as reserving:
            assert (around.remaining(), reserving.remaining()) == (5.0, 4.0)
            with pytest.raises(DeadlineExceeded):
                async with timeout(9.0, name="r", at_least=7.0):
                    pytest.fail("its body ran")


@both_ways
async def test_one_that_was_made_a_moment_earlier_fires_at_its_own_instant(opened: Opened) -> None:
    """Though one of the same delay, made later, was entered before."""
    with block(opened, 1.0):  # the lane is theirs
        pass
    early = timeout(1.0)
    await asyncio.sleep(0.0005)
    with suppress(TimeoutError), block(opened, 1.0):
        with suppress(TimeoutError):
            async with early:
                await asyncio.sleep(50.0)
    assert (early.outcome, now()) == (Outcome.EXPIRED, 1.0)


@both_ways
@pytest.mark.parametrize(
    ("limit", "took", "share"), [(1.0, 0.004, 0.004), (1.0, 0.5, 0.5), (8.0, 0.5, 0.0625), (100.0, 0.004, 0.00004)]
)
@pytest.mark.parametrize("around", [None, 7.0])
async def test_what_it_took_is_counted(
    opened: Opened, limit: float, took: float, share: float, around: float | None
) -> None:
    """Its seconds, and the share of the limit that it was granted: its own, or that of the one around it."""
    async with timeout(around):
        await asyncio.sleep(2.0)
        granted = limit if around is None else min(limit, 5.0)
        with block(opened, limit):
            await asyncio.sleep(took)
    durations, shares = recorded(_metrics.DURATION, "t", "completed"), recorded(_metrics.UTILIZATION, "t")
    assert (durations.total, shares.total) == pytest.approx((took, share * limit / granted))


def recorded(metric: _metrics.Metric, *labels: str) -> _process.Histogram:
    found = _process.snapshot()[metric][labels]
    assert isinstance(found, _process.Histogram)
    return found


# Broken off


@both_ways
async def test_an_entry_that_is_broken_off_is_over(opened: Opened) -> None:
    """It is timed no more, and nothing lies beneath the one around."""
    made = list[Any]()

    def interrupts(view: View, /) -> None:
        made.append(view)
        raise KeyboardInterrupt

    async with timeout(9.0) as around:
        _observers.add(interrupts)
        with pytest.raises(KeyboardInterrupt):
            opened(5.0, "t")
        assert (repr(made[0]), made[0].outcome) == ("<Timeout [finished]>", Outcome.FAILED)
        assert (state_of(running_loop()).entries(), around._has_beneath()) == ([around], False)


@both_ways
@pytest.mark.parametrize("error", [None, LookupError()], ids=["completes", "fails"])
async def test_observers_hear_of_an_exit_that_is_broken_off_as_they_are_told(
    opened: Opened, error: Exception | None
) -> None:
    """Once: it had ended by then."""
    told: list[object] = []

    def observer(view: View, /) -> Callable[[View], None]:
        return lambda ended: told.append((ended.outcome, ended.error))

    def strike() -> None:
        raise MemoryError

    def program() -> None:
        with suppress(LookupError), block(opened, 5.0):
            if error is not None:
                raise error

    _observers.add(observer)
    program()
    lines = Strikes(OURS)
    lines.start()
    program()
    lines.stop()
    at = min(number for number, line in enumerate(lines.lines) if line.function in {"tell", "tell_end"})
    told.clear()
    strikes = Strikes(OURS, at=at, act=strike)
    strikes.start()
    with pytest.raises(MemoryError):
        program()
    strikes.stop()
    assert told == [(Outcome.COMPLETED if error is None else Outcome.FAILED, error)]

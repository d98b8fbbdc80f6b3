"""Firing: an expiry goes on where the facts of the moment cannot be taken, and where a turn is broken off."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest

from tests.faults.strikes import OURS, Strikes
from tests.support import figures, running_loop, running_task
from tests.support.watching import now
from tracedtimeout import DeadlineExceeded, Outcome, budget, timeout
from tracedtimeout._core import _firing
from tracedtimeout._core._lane import Lane
from tracedtimeout._core._lanes import LINGER, MOST
from tracedtimeout._core._loop import state_of
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout._core.figures._series import Figures
from tracedtimeout.testing import run

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

    async def expires(delay: float) -> object:
        started = now()
        with suppress(TimeoutError):
            async with timeout(delay) as outer, timeout(5.0) as inner:
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

    for delay in (2.0, 0.0):
        ended = await struck("_facts", MemoryError(), partial(expires, delay))
        assert ended == (Outcome.EXPIRED, Outcome.INHERITED, True, delay)
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


@pytest.mark.parametrize("closes", [False, True])
def test_one_that_another_thread_drops_is_counted_by_its_loop(closes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads at one figure would lose a count, or count twice; a loop that is closed before its turn is counted by
    who reads."""
    threads = list[int]()
    record = Figures.record_exit

    def recorded(self: Figures, *args: Any) -> None:
        threads.append(threading.get_ident())
        record(self, *args)

    async def opens() -> None:
        with suppress(asyncio.CancelledError):
            await timeout(1.0, name="elsewhere").__aenter__()
            await asyncio.sleep(9.0)

    async def main() -> object:
        gc.disable()
        await asyncio.create_task(opens())
        await asyncio.sleep(0)
        monkeypatch.setattr(Figures, "record_exit", recorded)
        thread = threading.Thread(target=gc.collect)
        thread.start()
        thread.join()
        gc.enable()
        told = list(threads)
        if not closes:
            await asyncio.sleep(0)
        return told

    assert run(main()) == []
    assert figures("elsewhere")["duration"] == {"cancelled": 1}
    assert threads == [threading.get_ident()]


async def test_one_that_was_dropped_and_counted_is_not_counted_again() -> None:
    """What breaks off after the count is done again as another fires that stands at the same place in memory."""
    here = state_of(running_loop())
    async with timeout(1.0, name="next") as following:
        gone = here.unwinding.reference(timeout(1.0, name="dropped"))
        gone.figures, gone.key = None, id(following)
        here.unwinding[gone.key] = gone
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(9.0)
    assert following.outcome is Outcome.SUPPRESSED
    assert figures("dropped").get("duration") is None
    assert here.unwinding == {}


@pytest.mark.parametrize("another", ["second", "inner"])
async def test_of_several_that_are_due_none_fires_twice(another: str) -> None:
    """Whoever is told of the outermost may have what is inside fire; and what has time left is no one that is due."""
    fired: list[str] = []

    def listen(told: Any) -> None:
        fired.append(told.name)
        if told.name == "outermost":
            _firing.fire(second if another == "second" else inner, now())

    _firing.listeners.append(listen)
    try:
        with suppress(TimeoutError):
            async with timeout(2.0, name="outermost"), timeout(1.5, name="second") as second:
                async with timeout(9.0, name="has time"), timeout(1.0, name="inner") as inner:
                    running_loop().call_soon(running_loop().block, 3.0)
                    await asyncio.sleep(50.0)
    finally:
        _firing.listeners.remove(listen)
    assert fired == ["outermost", another, *({"second", "inner"} - {another})]


@asynccontextmanager
async def order_of_firing() -> AsyncIterator[list[str]]:
    """The names of those that fire inside, in the order in which they do."""
    fired: list[str] = []

    def listen(told: Any) -> None:
        fired.append(told.name)

    _firing.listeners.append(listen)
    try:
        with suppress(TimeoutError):
            yield fired
    finally:
        _firing.listeners.remove(listen)


async def test_of_several_that_are_due_the_outermost_fires_first() -> None:
    """The loop was blocked past all of them, and the timer of the innermost is the first to run."""
    async with order_of_firing() as fired:
        async with timeout(3.0, name="outermost"), timeout(2.5, name="outer"), timeout(1.0, name="inner"):
            running_loop().call_soon(running_loop().block, 4.0)
            await asyncio.sleep(50.0)
    assert fired == ["outermost", "outer", "inner"]


async def test_who_was_entered_at_the_instant_of_the_firing_is_ended_by_it() -> None:
    """Before it: what was asked of the task since then is what the firing asked."""
    with suppress(TimeoutError):
        async with timeout(0.0, name="outer"), timeout(5.0) as inner:
            await asyncio.sleep(50.0)
    assert (now(), inner.outcome, inner.owner) == (0.0, Outcome.INHERITED, "outer")


async def test_who_is_not_due_does_not_fire_nor_who_lies_around_it() -> None:
    """Each of those further out has at least as much time."""
    async with order_of_firing() as fired:
        async with timeout(9.0, name="outermost"), timeout(8.0, name="outer"), timeout(1.0, name="inner"):
            running_loop().call_soon(running_loop().block, 2.0)
            await asyncio.sleep(50.0)
    assert fired == ["inner"]


async def test_who_had_no_time_as_it_was_entered_takes_its_turn_as_in_asyncio() -> None:
    """Its turn is due already, and the timer of the one around it runs after that."""
    async with order_of_firing() as fired:
        async with timeout(1.0, name="outer"):
            running_loop().block(2.0)
            async with timeout(-1.0, name="inner"):
                await asyncio.sleep(50.0)
    assert fired == ["inner", "outer"]


async def test_the_timeouts_of_another_task_do_not_fire_for_a_child_s() -> None:
    """Its own timer will, or has: it comes first where its deadline does."""
    async with order_of_firing() as fired:
        async with timeout(2.0, name="parent"):
            child = asyncio.create_task(expires_in(1.0, "child"))
            await asyncio.sleep(0)
            running_loop().call_soon(running_loop().block, 3.0)
            await child
    assert fired == ["child", "parent"]


async def expires_in(seconds: float, name: str) -> None:
    async with timeout(seconds, name=name):
        await asyncio.sleep(50.0)


@pytest.mark.parametrize("lanes", [0, MOST])
async def test_who_is_handed_to_a_budget_ends_by_that_and_has_lasted_as_long_as_it_did(lanes: int) -> None:
    """The timeout between the two is left first: from then on the budget has no other timer. Whatever timed it."""
    here = state_of(running_loop())
    for number in range(lanes):  # all that there may be are in use
        here.lane_of(100.0 + number)[object()] = 1e6
        mixed = Lane(here)
        mixed.tail = mixed[object()] = 1e6
        here.lanes.append(mixed)
    with budget(3.0):
        between, inner = timeout(9.0, name="between"), timeout(8.0, name="inner")
        await between.__aenter__()
        await asyncio.sleep(0.5)
        with suppress(TimeoutError):
            async with inner:
                assert (inner._lane is here.loose) == bool(lanes)
                await between.__aexit__(None, None, None)
                await asyncio.sleep(50.0)
    assert (now(), inner.outcome, inner.owner, inner.elapsed) == (3.0, Outcome.INHERITED, "_budget", 2.5)
    for lane in here.lanes:
        lane.clear()


async def test_who_was_moved_to_where_it_is_due_fires_first() -> None:
    """Through those between, which knew of a later one."""
    async with order_of_firing() as fired:
        async with timeout(9.0, name="outer") as outer, timeout(8.0), timeout(1.0, name="inner"):
            outer.reschedule(1.5)
            running_loop().call_soon(running_loop().block, 3.0)
            await asyncio.sleep(50.0)
    assert fired == ["outer", "inner"]


async def test_who_had_no_time_keeps_its_turn_where_what_lies_around_it_is_left() -> None:
    """What is due already is not timed anew for the budget that it is handed to."""
    async with order_of_firing() as fired:
        with budget(30.0):
            between = timeout(9.0, name="between")
            await between.__aenter__()
            async with timeout(-1.0, name="inner"):
                running_loop().call_soon(fired.append, "callback")
                await between.__aexit__(None, None, None)
                await asyncio.sleep(50.0)
    assert fired == ["inner", "callback"]


async def test_who_lies_around_one_that_cleans_up_is_ended_by_what_is_left_above() -> None:
    """The cancellations of its own task's timeouts are no other's, however far inside they fired."""
    cut: list[float] = []

    async def works() -> None:
        async with timeout(30.0, name="outermost"), timeout(20.0), timeout(15.0):
            async with timeout(2.0):
                try:
                    await asyncio.sleep(50.0)
                finally:
                    try:
                        await asyncio.sleep(10.0)
                    finally:
                        cut.append(now())

    with suppress(TimeoutError):
        async with timeout(3.0, name="above"):
            task = asyncio.create_task(works())
            await asyncio.sleep(50.0)
    with pytest.raises(DeadlineExceeded) as caught:
        await task
    assert (cut, caught.value.name, caught.value.owner) == ([3.0], "outermost", "above")


async def test_a_clean_up_is_bound_by_those_around_that_have_not_fired() -> None:
    """What it opens directly beneath one that is open has its own limit, though one further out has fired."""
    with suppress(DeadlineExceeded):
        async with timeout(1.0), timeout(9.0):
            try:
                await asyncio.sleep(50.0)
            finally:
                async with timeout(5.0) as cleaning:
                    assert cleaning.deadline() == now() + 5.0
                    await asyncio.sleep(2.0)
    assert cleaning.outcome == "completed"

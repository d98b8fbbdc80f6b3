"""Entering: what is timed for what lies around it, and what an entry that is broken off takes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.faults.strikes import OURS, Strikes
from tests.support import figures, running_loop, running_task
from tests.support.watching import Ended, now
from tracedtimeout import DeadlineExceeded, Outcome, Timeout, View, budget, remaining, timeout, timeout_at, wait_for
from tracedtimeout._core import _entering, _observers
from tracedtimeout._core._lanes import MOST
from tracedtimeout._core._link import Link
from tracedtimeout._core._loop import state_of
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout.testing import run

pytestmark = pytest.mark.loops("virtual")


def test_one_made_without_a_loop_tells_its_times_once_entered() -> None:
    """On the clock of the loop that it is entered on, from that moment."""
    made = Timeout(5.0, name="made")

    async def main() -> None:
        await asyncio.sleep(2.0)
        async with made:
            await asyncio.sleep(0.5)
            assert (made.requested, made.limit, made.elapsed, made.deadline()) == (3.0, 3.0, 0.5, 5.0)

    run(main())


# What is needed


async def test_what_is_needed_exactly_is_enough() -> None:
    """`at_least` refuses less, and not as much."""
    async with timeout(1.0), timeout(5.0, at_least=1.0) as inner:
        assert inner.remaining() == 1.0


async def test_what_is_needed_is_compared_with_a_deadline_that_was_moved() -> None:
    """That of the outermost, which the one between does not know yet."""
    async with timeout(9.0) as outer, timeout(9.0):
        outer.reschedule(now() + 0.5)
        with pytest.raises(DeadlineExceeded) as caught:
            async with timeout(9.0, at_least=1.0):
                pytest.fail("its body ran")
        assert (caught.value.rejected, caught.value.limit) == (True, 0.5)


@pytest.mark.parametrize("at_least", [0.0, 0.5])
async def test_of_deadlines_that_are_equal_its_own_is_the_one_it_names(at_least: float) -> None:
    """However it is entered."""
    async with timeout_at(5.0, name="outer"), timeout_at(5.0, at_least=at_least, name="inner") as inner:
        assert (inner.owner, inner.source) == ("inner", "own")
        child = Ended()
        task = asyncio.create_task(child.watch(name="child", delay=5.0))
        await asyncio.sleep(0)
        assert (child.timeout.owner, child.timeout.source) == ("child", "own")
        task.cancel()
        await asyncio.wait([task])


# What is counted


async def test_limits_that_are_those_of_others_are_counted_as_they_are() -> None:
    """What was granted, and the share of that which was used, and not what the code asked for."""
    for _ in range(3):
        async with timeout(0.5), timeout(5.0, name="inner"):
            await asyncio.sleep(0.125)
    found = _process.snapshot()
    limits, used = found[_metrics.LIMIT]["inner",], found[_metrics.UTILIZATION]["inner",]
    assert isinstance(limits, _process.Histogram)
    assert isinstance(used, _process.Histogram)
    assert (limits.total, used.total, sum(limits.counts), sum(used.counts)) == (1.5, 0.75, 3, 3)


# When it is timed


async def cancellations() -> int:
    """How often the task had been cancelled, when it is."""
    try:
        await asyncio.sleep(50.0)
    except asyncio.CancelledError:
        return running_task().cancelling()
    pytest.fail("not cancelled")


async def test_one_inside_a_budget_is_timed_for_that_alone() -> None:
    """Not for the timeouts around the budget, nor for what is around those: they time themselves, and cancel once."""
    for outermost, outer in ((None, 1.0), (1.0, 5.0)):
        with budget(outermost), suppress(TimeoutError):
            async with timeout(outer):
                with budget(8.0):
                    async with timeout(9.0) as inner:
                        times = await cancellations()
        assert (times, inner.expired()) == (1, False)


async def test_a_budget_around_one_that_was_left_first_ends_what_is_inside() -> None:
    """The timeout between them is passed by."""
    outermost, between = budget(1.0), timeout(5.0)
    with outermost:
        await between.__aenter__()
        with budget(3.0):
            await between.__aexit__(None, None, None)
            with pytest.raises(DeadlineExceeded):
                async with timeout(9.0) as inner:
                    await asyncio.sleep(50.0)
    assert (now(), inner.outcome, inner.owner) == (1.0, Outcome.INHERITED, "_budget")


async def test_clean_up_inside_a_budget_is_timed_for_that() -> None:
    """Beneath a timeout that has fired, the budget is what binds; and one around that, as its deadline says."""
    with budget(3.0), suppress(TimeoutError):
        async with timeout(1.0):
            try:
                await asyncio.sleep(50.0)
            finally:
                with budget(9.0), suppress(TimeoutError):
                    async with timeout(9.5) as inner:
                        deadline = inner.deadline()
                        await asyncio.sleep(50.0)
                assert (now(), deadline) == (3.0, 3.0)


# A lane of its own


@pytest.mark.parametrize("delay", [0.5, 5.0])
async def test_a_delay_whose_lane_was_given_away_has_one_again(delay: float) -> None:
    """The next time that it is used, while there are few."""
    here = state_of(asyncio.get_running_loop())
    async with timeout(delay, name="fetch"):
        pass
    for number in range(MOST):
        async with timeout(10.0 + number, name=f"name {number // 10}"):
            pass
    assert delay not in here.by_delay
    async with timeout(delay, name="fetch"):
        pass
    async with timeout(delay, name="fetch") as again:
        assert again in here.by_delay[delay]


# Broken off


class Strike(BaseException):
    """As a signal's handler raises."""


async def test_an_entry_that_is_broken_off_once_it_is_made_is_left() -> None:
    """Nothing is in force, or counted as open, of a `wait_for` that was struck as it had entered its timeout."""

    async def waits() -> None:
        await wait_for(asyncio.sleep(0), 5.0, reserve=1.0, name="waits")

    await waits()
    lines = Strikes(OURS)
    lines.start()
    await waits()
    lines.stop()
    last = max(number for number, line in enumerate(lines.lines) if line.function == "entered")

    def strike() -> None:
        raise Strike

    strikes = Strikes(OURS, at=last, act=strike)
    strikes.start()
    with pytest.raises(Strike):
        await waits()
    strikes.stop()
    assert strikes.struck is not None
    assert strikes.struck.function == "entered"
    assert (remaining(), state_of(running_loop()).entries()) == (float("inf"), [])
    assert figures("waits")["duration"] == {"completed": 2, "failed": 1}
    assert "active" not in figures("waits")


# Of many limits


async def test_one_name_may_have_any_number_of_limits() -> None:
    """Past a few they are counted together, those with none among them; what is no number is refused all the same."""
    for number in range(200):
        async with timeout(1.0 + number, name="many"):
            pass
    for delay in (None, 0.5):
        async with timeout(delay, name="many") as one:
            assert one.when() == (None if delay is None else now() + delay)
    with pytest.raises(TypeError):
        timeout("1", name="many")  # type: ignore[arg-type]
    assert figures("many")["duration"] == {"completed": 202}
    assert "active" not in figures("many")


async def test_who_was_told_of_an_entry_that_is_then_broken_off_is_told_of_its_end() -> None:
    """No memory is left to note who was told: they are told all the same."""

    slot: Any = vars(Link)["_more"]

    def put(self: Timeout, more: object) -> None:
        if isinstance(more, list):
            raise MemoryError
        slot.__set__(self, more)

    full: Any = type("Full", (Timeout,), {"__slots__": (), "_more": property(slot.__get__, put)})
    ends: list[object] = []

    def opened(view: View, /) -> Callable[[View], None]:
        return lambda ended: ends.append(ended.outcome)

    _observers.add(opened)
    async with timeout(9.0):
        with pytest.raises(MemoryError):
            async with full(5.0, name="full"):
                pytest.fail("its body ran")
        assert ends == [Outcome.FAILED]
    assert state_of(running_loop()).entries() == []


async def test_an_exit_that_the_compiled_path_hands_over_is_counted_as_others_are() -> None:
    """By the series of its limit, or of many."""
    for name, nested in (("of one limit", 9.0), ("of many", 0.75)):
        async with timeout(nested):
            left = timeout(1.0, name=name)
            await left.__aenter__()
            del left._lane[left]
            _entering.completed(left, left._series, 0.5)
            assert (left.outcome, left.elapsed) == (Outcome.COMPLETED, 0.5)
            assert figures(name)["duration"] == {"completed": 1}
            left._task = None  # which the compiled path does next


async def test_who_opens_a_timeout_with_no_name_is_found_at_once_the_next_time() -> None:
    """By its code; who gives a name is found by that."""
    sites = state_of(asyncio.get_running_loop()).sites

    def unnamed() -> Any:
        return timeout(1.0)

    def named() -> Any:
        return timeout(1.0, name="named")

    for make in (unnamed, named):
        async with make():
            pass
    assert (id(unnamed.__code__) in sites, id(named.__code__) in sites) == (True, False)
    assert sites[id(unnamed.__code__)].figures.name == unnamed().name


async def test_a_budget_around_a_timeout_is_timed_by_that_alone() -> None:
    """What is open beneath has its own deadline to see to."""
    here = state_of(asyncio.get_running_loop())
    with budget(1.0):
        async with timeout(9.0) as outer, timeout(8.0) as inner:
            assert [_entering.timed_at(each, here) for each in (outer, inner)] == [1.0, 8.0]


class InterruptsThe:
    """Told of the opening of the one of that name, it is interrupted."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, opened: View, /) -> None:
        if opened.name == self.name:
            raise KeyboardInterrupt


async def test_an_entry_that_is_broken_off_leaves_nothing_with_the_one_around() -> None:
    """Neither a child nor a reserve, nor a second spent; it is told as one that failed, at once."""
    told: list[Any] = []

    def opened(view: View, /) -> Callable[[View], None]:
        return lambda ended: told.append((ended.name, ended.outcome, ended.elapsed, type(ended.error)))

    _observers.add(opened, InterruptsThe("inner"))
    async with timeout(9.0, name="outer") as outer:
        await asyncio.sleep(2.0)
        inner = timeout(5.0, name="inner", reserve=1.0)
        with pytest.raises(KeyboardInterrupt):
            await inner.__aenter__()
        assert told == [("inner", Outcome.FAILED, 0.0, KeyboardInterrupt)]
        assert (inner._task, outer._has_beneath(), bool(outer._more.reserving)) == (None, False, False)
        assert [(each.name, each.seconds) for each in outer.spent] in ([], [("inner", 0.0)])

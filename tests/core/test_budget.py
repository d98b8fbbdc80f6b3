"""The budget: what a moved deadline moves, what is reserved of it, and those with no timer of their own."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

import tracedtimeout
from tests.support import VIRTUAL, running_loop
from tests.support.watching import Ended, deadline_within, now
from tracedtimeout import DeadlineExceeded, Outcome, budget, checkpoint, remaining, timeout, timeout_at
from tracedtimeout._core import _context

pytestmark = pytest.mark.loops(*VIRTUAL)


# Reschedule reaches down


@pytest.mark.parametrize("delay", [2.0, 8.0, None])
async def test_reschedule_reaches_nested_timeouts_and_child_tasks(delay: float | None) -> None:
    """The moment it returns, the deadline of every timeout inside is right: earlier, later, none."""
    child = Ended()
    async with timeout(5.0) as outer, timeout(6.0) as middle, timeout(None) as inner:
        task = asyncio.create_task(child.watch())
        await asyncio.sleep(0)
        seen = [each.deadline() for each in (middle, inner, child.timeout)]
        outer.reschedule(None if delay is None else now() + delay)
        least = 6.0 if delay is None else min(delay, 6.0)
        assert seen == [5.0, 5.0, 5.0]
        assert [each.deadline() for each in (middle, inner, child.timeout)] == [least, least, least]
        assert [remaining(), inner.remaining(), child.timeout.remaining()] == [least, least, least]
        assert outer.when() == delay
    task.cancel()
    await asyncio.wait([task])


async def test_a_moved_deadline_is_the_one_that_fires() -> None:
    """An outer deadline moved earlier ends what is inside at the new time, moved later at the later."""
    for delay in (1.0, 7.0):
        started = now()
        with pytest.raises(DeadlineExceeded) as caught:
            async with timeout(5.0, name="outer") as outer:
                async with timeout(None, name="inner") as inner:
                    outer.reschedule(started + delay)
                    await asyncio.sleep(50.0)
        assert (now() - started, caught.value.name, inner.outcome) == (delay, "outer", Outcome.INHERITED)


async def test_reserve_ends_before_the_enclosing_deadline() -> None:
    """Its seconds stay for the fallback; and it is armed anew when an outer deadline moves, in child tasks too."""
    child = Ended()
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(9.0, name="outermost") as outermost, timeout(None, name="around"):
            task = asyncio.create_task(reserving(child))
            await asyncio.sleep(0)
            async with timeout(None, reserve=2.0, name="inner") as inner:
                assert (inner.when(), inner.deadline(), child.timeout.when()) == (7.0, 7.0, 8.0)
                outermost.reschedule(5.0)
                assert (inner.when(), inner.deadline(), child.timeout.when()) == (3.0, 3.0, 4.0)
                await asyncio.sleep(50.0)
    assert (now(), caught.value.name, caught.value.owner) == (3.0, "inner", "inner")
    assert (child.timeout.when(), child.timeout.deadline()) == (None, None)  # left without firing, it binds nothing
    await task
    assert child.at == 50.0


async def reserving(child: Ended) -> None:
    async with timeout(None, reserve=1.0) as child.timeout:
        await asyncio.sleep(50.0)
    child.at = now()


async def test_reserve_keeps_what_was_asked() -> None:
    """With an own deadline that is earlier, that one stands, until an outer one moves before it."""
    async with timeout(9.0) as outer, timeout(3.0, reserve=1.0) as inner:
        assert inner.when() == 3.0
        outer.reschedule(2.0)
        assert inner.when() == 1.0
        outer.reschedule(None)
        assert inner.when() == 3.0


# A bare budget


async def test_a_budget_is_enforced_by_the_timeouts_directly_inside() -> None:
    """They are timed at the earlier of the two; the owner is _budget, the outcome inherited."""
    with budget(1.0):
        with pytest.raises(DeadlineExceeded) as caught:
            async with timeout(5.0, name="inside") as inside:
                assert (inside.when(), inside.deadline(), inside.owner) == (5.0, 1.0, "_budget")
                await asyncio.sleep(50.0)
        assert (now(), caught.value.owner, inside.outcome) == (1.0, "_budget", Outcome.INHERITED)
        assert remaining() == 0.0
    assert remaining() == float("inf")


async def test_a_budget_that_was_left_binds_nothing() -> None:
    """A timeout in a task that outlives the budget's block waits for its own deadline, and says that it was that."""
    child = Ended()
    with budget(1.0):
        task = asyncio.create_task(child.watch(delay=3.0))
        await asyncio.sleep(0.5)
    await task
    assert (child.at, child.owner, child.timeout.outcome) == (3.0, "child", Outcome.EXPIRED)


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.5])
@pytest.mark.parametrize("turns", range(4))
async def test_a_timeout_that_outlives_a_budget_fires(seconds: float, turns: int) -> None:
    """Entered beneath a budget that is spent, or soon will be, it ends by that or, once that is left, by its own."""
    child = Ended()
    with budget(seconds):
        task = asyncio.create_task(child.watch(delay=3.0))
        for _ in range(turns):
            await asyncio.sleep(0)
    await task
    enforced = child.timeout.outcome is Outcome.INHERITED
    assert child.at == (0.0 if enforced else 3.0)
    assert not enforced or seconds <= 0.0


async def test_a_generator_entered_beneath_a_spent_budget_fires_by_its_own() -> None:
    """The budget is left before the generator's turn has come."""

    async def held() -> AsyncGenerator[None, None]:
        async with timeout(3.0, name="held"):
            yield

    generator = held()
    with budget(0.0):
        await anext(generator)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(50.0)
    assert now() == 3.0
    with pytest.raises(DeadlineExceeded):
        await generator.athrow(asyncio.CancelledError)


async def test_clean_up_after_a_budget_has_passed_is_free_of_it() -> None:
    """The timeout that was timed for it has fired for it: a rollback has the next deadline out, code after it none."""
    with budget(9.0), suppress(TimeoutError):
        async with timeout(8.0, name="outer") as outer:
            with budget(1.0):
                with suppress(TimeoutError):
                    async with timeout(5.0, name="request"):
                        try:
                            await asyncio.sleep(50.0)
                        finally:
                            assert remaining() == 7.0
                            async with timeout(3.0, name="rollback") as rollback:
                                await asyncio.sleep(2.0)
                assert (now(), rollback.outcome, remaining()) == (3.0, Outcome.COMPLETED, 0.0)
            assert (remaining(), outer.deadline()) == (5.0, 8.0)


async def test_a_budget_only_shrinks_inwards() -> None:
    """A later budget inside an earlier one changes nothing; an earlier one does, until it is left."""
    with budget(5.0):
        with budget(9.0):
            assert (remaining(), deadline_within()) == (5.0, 5.0)
        with budget(2.0):
            assert (remaining(), deadline_within()) == (2.0, 2.0)
        assert (remaining(), deadline_within()) == (5.0, 5.0)


@pytest.mark.loops("virtual")
async def test_a_budget_is_spent_at_its_deadline_and_not_before() -> None:
    """A checkpoint at that very instant raises, with the seconds since the budget was opened."""
    await asyncio.sleep(2.0)
    with budget(1.0):
        await asyncio.sleep(0.75)
        checkpoint()
        await asyncio.sleep(0.25)
        with pytest.raises(DeadlineExceeded) as caught:
            checkpoint()
    assert (caught.value.limit, caught.value.elapsed) == (1.0, 1.0)


@pytest.mark.loops("virtual")
async def test_a_checkpoint_expires_the_timeout_whose_deadline_it_is() -> None:
    """What it raises tells which one that was: the one inside is ended by it, the one around by itself."""
    with pytest.raises(DeadlineExceeded):
        async with timeout(1.0) as outer, timeout(5.0) as between, timeout(9.0) as inner:
            running_loop().block(1.5)
            checkpoint()
    assert [each.outcome for each in (outer, between, inner)] == [
        Outcome.EXPIRED,
        Outcome.INHERITED,
        Outcome.INHERITED,
    ]


@pytest.mark.loops("virtual")
async def test_those_inside_a_budget_follow_one_another() -> None:
    """Timeouts of the same task are never at once, however their instants are rounded."""
    async with timeout(99.0) as outer:
        with budget(50.0):
            for _ in range(40):
                async with timeout(2.0, name="q"):
                    await asyncio.sleep(0.1)
    assert [(each.name, each.count, each.at_once) for each in outer.spent] == [("q", 40, 1)]


@pytest.mark.loops("virtual")
async def test_a_budget_that_was_left_is_kept_by_nobody() -> None:
    """The context that it was opened in has what it had before; one that was copied meanwhile keeps no task alive."""
    copies = list[contextvars.Context]()
    before = _context.current.get()

    async def opens() -> None:
        with budget(5.0):
            copies.append(contextvars.copy_context())

    task = asyncio.create_task(opens())
    await task
    alive = weakref.ref(task)
    del task
    await asyncio.sleep(0)
    gc.collect()
    assert alive() is None
    with budget(5.0):
        assert _context.current.get() is not before
    assert _context.current.get() is before


def test_a_budget_needs_no_loop() -> None:
    """In synchronous code remaining() and checkpoint() see it, and a spent one is told by its owner."""
    with budget(3600.0):
        assert 3590.0 < remaining() <= 3600.0
        checkpoint()
        with budget(-1.0):
            assert remaining() == 0.0
            with pytest.raises(DeadlineExceeded) as caught:
                checkpoint()
    assert (caught.value.name, caught.value.owner, caught.value.limit) == ("_budget", "_budget", -1.0)
    assert remaining() == float("inf")
    checkpoint()


# Left out of order


async def test_budgets_left_out_of_order_keep_the_others() -> None:
    """The outer is left first: the inner one binds until it is left."""
    outer, inner = budget(5.0), budget(3.0)
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert remaining() == 3.0
    inner.__exit__(None, None, None)
    assert remaining() == float("inf")


async def test_a_budget_left_first_binds_nothing_that_was_opened_in_it() -> None:
    """A timeout of its task, and one of a child task, have their own deadlines from then on."""
    child, around, inside = Ended(), budget(1.0), timeout(3.0)
    around.__enter__()
    await inside.__aenter__()
    assert inside.deadline() == 1.0
    around.__exit__(None, None, None)
    assert inside.deadline() == 3.0
    await inside.__aexit__(None, None, None)
    with budget(1.0):
        task = asyncio.create_task(child.watch(delay=3.0))
        await asyncio.sleep(0)
        assert child.timeout.deadline() == 1.0
    assert child.timeout.deadline() == 3.0
    task.cancel()
    await asyncio.wait([task])


async def test_timeouts_left_out_of_order_keep_the_others_armed() -> None:
    """The outer is left first, as generators and fixtures do: the inner one stands and fires at its own deadline."""
    outer, inner = timeout(1.0, name="outer"), timeout(3.0, name="inner")
    with pytest.raises(DeadlineExceeded) as caught:
        await outer.__aenter__()
        async with inner:
            assert inner.deadline() == 1.0
            await outer.__aexit__(None, None, None)
            assert inner.deadline() == 3.0
            await asyncio.sleep(50.0)
    assert (now(), caught.value.owner, outer.outcome) == (3.0, "inner", Outcome.COMPLETED)


async def test_a_timeout_held_by_a_generator_keeps_those_around_it_armed() -> None:
    """A generator that is closed late leaves its timeout among others: each of them still fires at its own time."""

    async def ticks() -> AsyncGenerator[int, None]:
        async with timeout(9.0, name="generator"):
            for tick in range(100):
                yield tick
                await asyncio.sleep(1.0)

    generator = ticks()
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(2.0, name="around"):
            await anext(generator)
            async with timeout(1.0, name="inside"):
                await anext(generator)
                pytest.fail("not ended")
    assert (now(), caught.value.name) == (1.0, "inside")
    await generator.aclose()
    with pytest.raises(DeadlineExceeded) as after:
        async with timeout(1.0, name="after") as later_one:
            assert later_one.deadline() == 2.0
            await asyncio.sleep(50.0)
    assert (now(), after.value.name) == (2.0, "after")


async def test_a_fixture_left_in_another_task_ends_its_timeout_there() -> None:
    """Entered in one task and left in another: nothing is raised, and the other timeouts stay armed."""

    @asynccontextmanager
    async def fixture() -> AsyncIterator[tracedtimeout.Timeout]:
        async with timeout(5.0, name="fixture") as held:
            yield held

    manager = fixture()
    held = await asyncio.create_task(manager.__aenter__())
    with pytest.raises(DeadlineExceeded):
        async with timeout(1.0):
            await asyncio.create_task(manager.__aexit__(None, None, None))
            await asyncio.sleep(50.0)
    assert (held.outcome, now()) == (Outcome.COMPLETED, 1.0)


async def test_at_instants_that_are_equal_the_enclosing_one_is_the_owner() -> None:
    """Nested timeouts of equal deadlines: both have expired, and the outer one raises."""
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout_at(1.0, name="outer") as outer:
            async with timeout_at(1.0, name="inner") as inner:
                await asyncio.sleep(50.0)
    assert (caught.value.name, outer.expired(), inner.expired()) == ("outer", True, True)
    assert (outer.outcome, inner.outcome) == (Outcome.EXPIRED, Outcome.INHERITED)


@pytest.mark.loops("virtual")
async def test_a_reserve_that_moves_has_taken_what_it_took() -> None:
    """The time since it was entered is no other when the deadline around it, and so its own, is moved."""
    async with timeout(9.0) as outer:
        async with timeout(2.0, reserve=1.0, name="inner") as inner:
            await asyncio.sleep(0.5)
            outer.reschedule(asyncio.get_running_loop().time() + 1.25)
            assert inner.when() == 0.75
        assert inner.elapsed == 0.5

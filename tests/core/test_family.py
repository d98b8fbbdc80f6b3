"""Children in other tasks: those of a group that was there before go on, others end, grandchildren are handed on."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest

from tests.support.watching import Ended, now
from tracedtimeout import DeadlineExceeded, Timeout, budget, timeout
from tracedtimeout._core import _family
from tracedtimeout._core._budget import Budget
from tracedtimeout._core._family import listed
from tracedtimeout._core._link import FINISHED
from tracedtimeout.testing import VirtualClockLoop

pytestmark = pytest.mark.loops("virtual")


@asynccontextmanager
async def of_asyncio() -> AsyncIterator[Any]:
    async with asyncio.TaskGroup() as group:
        yield group.create_task


@asynccontextmanager
async def of_anyio() -> AsyncIterator[Any]:
    async with anyio.create_task_group() as group:
        yield lambda coroutine: group.start_soon(lambda: coroutine)


@pytest.mark.parametrize("group", [of_asyncio, of_anyio])
async def test_a_child_of_a_group_around_goes_on(group: Any) -> None:
    """The group waits for it, and it has its own deadline."""
    child = Ended()
    async with group() as start:
        with suppress(TimeoutError):
            async with timeout(1.0, name="outer"):
                start(child.watch(delay=3.0))
                await asyncio.sleep(50.0)
        assert (now(), child.at) == (1.0, -1.0)
    assert (now(), child.at, child.owner) == (3.0, 3.0, "child")


async def test_a_child_beside_one_of_the_task_itself_ends_with_what_fired() -> None:
    """Both were open as the one around them fired: the one is left, and the other, which nobody waits for, is ended."""
    child = Ended()
    with suppress(TimeoutError):
        async with timeout(1.0, name="outer"), timeout(9.0, name="inner"):
            task = asyncio.create_task(child.watch(delay=8.0))
            await asyncio.sleep(50.0)
    await task
    assert (child.at, child.owner) == (1.0, "outer")


def test_a_child_of_one_that_was_left_is_told_of_from_loop_to_loop() -> None:
    """The one around that is still open is of a third loop, which takes the child in, in its own thread."""
    loops = [VirtualClockLoop() for _ in range(3)]

    async def opened(around: Budget | None) -> Budget:
        made = Budget(5.0)
        made.open()
        made._parent = around
        return made

    outer = loops[0].run_until_complete(opened(None))
    between = loops[1].run_until_complete(opened(outer))
    child = loops[2].run_until_complete(opened(between))
    between._state = FINISHED
    _family._adopt_from_elsewhere(between, child)
    assert listed(outer) == []
    loops[0].run_until_complete(asyncio.sleep(0))
    assert (listed(outer), listed(between)) == ([child], [])
    for loop in loops:
        loop.close()


# What is known of those beneath


async def left_after_its_child(between: Timeout, inner: Timeout) -> None:
    """Enter both, and leave the one around first."""
    await between.__aenter__()
    await inner.__aenter__()
    await between.__aexit__(None, None, None)


async def test_what_is_opened_in_one_whose_parent_was_left_has_the_time_of_those_that_are_open() -> None:
    """Nothing that was known of the one that was left holds any more."""
    async with timeout(20.0, name="outer"):
        between, inner = timeout(2.0, name="between"), timeout(9.0, name="inner")
        await left_after_its_child(between, inner)
        async with timeout(30.0) as innermost:
            assert (inner.deadline(), innermost.deadline(), innermost.owner) == (9.0, 9.0, "inner")
        await inner.__aexit__(None, None, None)


async def test_a_reserve_goes_to_the_next_one_out_with_all_that_lies_beneath() -> None:
    """It stands before another deadline from then on, which those inside see at once."""
    async with timeout(20.0):
        between, inner = timeout(5.0), timeout(None, reserve=1.0)
        await between.__aenter__()
        async with inner, timeout(None) as innermost:
            assert innermost.deadline() == 4.0
            await between.__aexit__(None, None, None)
            assert (inner.deadline(), innermost.deadline()) == (19.0, 19.0)
            async with timeout(30.0) as another:
                assert (another.deadline(), another.limit) == (19.0, 19.0)


async def test_one_that_was_left_keeps_nobody_who_was_beneath_it() -> None:
    """Whoever holds it: a child of its task or of another, or one with a reserve."""
    between = timeout(9.0)
    gone: list[weakref.ref[Timeout]] = []

    async def child() -> None:
        async with timeout(8.0, reserve=0.5) as mine:
            gone.append(weakref.ref(mine))
            await asyncio.sleep(1.0)

    async def main() -> None:
        await between.__aenter__()
        task = asyncio.create_task(child())
        await asyncio.sleep(0.5)
        inner = timeout(7.0)
        gone.append(weakref.ref(inner))
        await inner.__aenter__()
        await between.__aexit__(None, None, None)
        await task
        await inner.__aexit__(None, None, None)
        async with timeout(1.0):  # the context leads to the last one
            pass

    async with timeout(20.0):
        others = [asyncio.create_task(Ended().watch(delay=9.0)) for _ in range(2)]
        await asyncio.sleep(0)
        await asyncio.create_task(main())
        for other in others:
            other.cancel()
        gc.collect()
        assert [reference() for reference in gone] == [None, None]


async def test_one_that_fired_hands_on_whom_others_wait_for() -> None:
    """A child of a group around it is the next one's from then on, for whoever asks where time goes."""
    child = Ended()
    async with timeout(9.0, name="outer") as outer, of_asyncio() as start:
        with suppress(TimeoutError):
            async with timeout(1.0, name="inner"):
                start(child.watch(delay=3.0))
                await asyncio.sleep(50.0)
        assert [each.name for each in listed(outer)] == ["child"]


async def test_a_child_with_no_deadline_is_kept_by_nobody() -> None:
    """A task that is dropped in it goes, though the one around is open; and who was left is listed no more."""
    async with timeout(9.0) as outer:

        async def waits() -> None:
            async with timeout(None):
                await asyncio.get_running_loop().create_future()

        async def ends() -> None:
            async with timeout(None):
                await asyncio.sleep(0)

        await asyncio.gather(*(ends() for _ in range(10)))
        assert not outer._more.children
        task: Any = asyncio.create_task(waits())
        task._log_destroy_pending = False
        await asyncio.sleep(0)
        gone = weakref.ref(task)
        del task
        gc.collect()
        assert gone() is None


@pytest.mark.parametrize(("before", "inside"), [(1, 3), (3, 1)])
async def test_the_next_one_out_has_all_that_lay_beneath_one_that_was_left(before: int, inside: int) -> None:
    """However many it has itself: all of them end with it."""
    children = [Ended() for _ in range(before + inside)]
    tasks: list[asyncio.Task[None]] = []
    with suppress(TimeoutError):
        async with timeout(2.0, name="outer"):
            tasks += [asyncio.create_task(each.watch(delay=9.0)) for each in children[:before]]
            await asyncio.sleep(0)
            async with timeout(8.0, name="between"):
                tasks += [asyncio.create_task(each.watch(delay=9.0)) for each in children[before:]]
                await asyncio.sleep(1.0)
            await asyncio.sleep(50.0)
    await asyncio.wait(tasks)
    assert [(each.at, each.owner) for each in children] == [(2.0, "outer")] * (before + inside)


@pytest.mark.parametrize("at_least", [0.0, 0.5])
async def test_children_of_other_tasks_took_their_time_at_once(at_least: float) -> None:
    """And what was entered in the task itself did not, wherever it was left."""

    async def child(at_least: float) -> None:
        async with timeout(None, name="child", at_least=at_least):
            await asyncio.sleep(1.0)

    async with timeout(9.0) as outer:
        await asyncio.gather(child(at_least), child(at_least))
        between, inner = timeout(5.0, name="between"), timeout(5.0, name="inner")
        await left_after_its_child(between, inner)
        await asyncio.sleep(1.0)
        await inner.__aexit__(None, None, None)
    assert {each.name: (each.seconds, each.count, each.at_once) for each in outer.spent} == {
        "child": (1.0, 2, 2),
        "between": (0.0, 1, 1),
        "inner": (1.0, 1, 1),
    }


async def test_one_that_was_handed_on_and_left_is_not_unfinished() -> None:
    """The timeout that it was handed to knows it no more."""
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(2.0):
            between, inner = timeout(5.0, name="between"), timeout(5.0, name="inner")
            await left_after_its_child(between, inner)
            await asyncio.sleep(1.0)
            await inner.__aexit__(None, None, None)
            await asyncio.sleep(50.0)
    assert [(each.name, each.unfinished) for each in caught.value.spent] == [("inner", False), ("between", False)]


class TaskGroup:
    """No group of asyncio's or anyio's."""

    def told(self, task: asyncio.Task[Any]) -> None:
        """Nobody waits for it."""


async def test_a_group_of_somebody_elses_waits_for_nobody() -> None:
    """Its children end with what fired around them, whatever its class is called."""
    child = Ended()
    with suppress(TimeoutError):
        async with timeout(1.0, name="outer"):
            task = asyncio.create_task(child.watch(delay=8.0))
            task.add_done_callback(TaskGroup().told)
            await asyncio.sleep(50.0)
    await task
    assert (child.at, child.owner) == (1.0, "outer")


async def test_a_child_beside_a_budget_of_the_task_ends_with_what_fired() -> None:
    """The budget has nothing inside: the child is the only one that is open beneath."""
    child = Ended()
    with suppress(TimeoutError):
        async with timeout(1.0, name="outer"):
            task = asyncio.create_task(child.watch(delay=8.0))
            await asyncio.sleep(0)
            with budget(5.0):
                await asyncio.sleep(50.0)
    await task
    assert (child.at, child.owner) == (1.0, "outer")

"""A loop in another thread, whose messages come when what they are for has been left, and what is left there late."""

from __future__ import annotations

import asyncio
import contextvars
import math
import sys
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from tests.support import figures, running_loop
from tests.support.watching import Ended
from tracedtimeout import DeadlineExceeded, budget, checkpoint, detach, remaining, timeout
from tracedtimeout._core._family import listed
from tracedtimeout.testing import VirtualClockLoop

pytestmark = pytest.mark.loops("virtual")

Block = Callable[[], Coroutine[Any, Any, None]]


class There:
    """A loop in a thread of its own, which runs only when it is told to: nobody else runs meanwhile."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._loop = VirtualClockLoop(threads=False)
        self.ends: list[str] = []

    def begin(self, inside: Block) -> None:
        """Have a task there enter `inside`, in a copy of this context."""
        context = contextvars.copy_context()
        self._pool.submit(context.run, self._begin, inside).result()

    def _begin(self, inside: Block) -> None:
        self._task = self._loop.create_task(self._watch(inside))
        self._loop.run_until_complete(asyncio.sleep(0))

    async def _watch(self, inside: Block) -> None:
        try:
            await inside()
        except DeadlineExceeded as exc:
            self.ends.append(exc.owner)
        else:
            self.ends.append("by itself")

    def go_on(self, seconds: float) -> None:
        """Run that loop for so long."""
        self._pool.submit(self._loop.run_until_complete, asyncio.sleep(seconds)).result()

    def end(self) -> None:
        """Run that task to its end."""
        self._pool.submit(self._loop.run_until_complete, self._task).result()
        self._loop.close()
        self._pool.shutdown()


async def plain() -> None:
    async with timeout(9.0, name="there"):
        await asyncio.sleep(3.0)


async def reserving() -> None:
    async with timeout(9.0, reserve=0.5, name="there"):
        await asyncio.sleep(3.0)


async def in_a_budget() -> None:
    with budget(8.0):
        async with timeout(9.0, name="there"):
            await asyncio.sleep(3.0)


async def cleaning_up() -> None:
    with budget(8.0):
        async with timeout(9.0, name="there"):
            try:
                await asyncio.sleep(3.0)
            finally:
                await asyncio.sleep(1.0)


async def brief() -> None:
    async with timeout(9.0, name="there"):
        pass


@pytest.mark.parametrize("inside", [plain, reserving, in_a_budget])
async def test_what_was_left_before_it_heard_of_a_child_hands_it_on(inside: Block) -> None:
    """To the timeout around it, which ends that child once it has fired and is left."""
    there = There()
    with pytest.raises(DeadlineExceeded):
        async with timeout(2.0, name="outer"):
            async with timeout(5.0, name="between"):
                there.begin(inside)
            await asyncio.sleep(50.0)
    await asyncio.sleep(0)
    there.end()
    assert there.ends == ["outer"]


async def test_a_child_that_has_ended_before_it_was_heard_of_is_nobodys() -> None:
    """And what it was told of by then is counted where it was."""
    there = There()
    async with timeout(2.0, name="outer") as outer:
        there.begin(brief)
        await asyncio.sleep(0.5)
    there.end()
    assert (there.ends, outer.spent, figures("there")["duration"]) == (["by itself"], outer.spent, {"completed": 1})


@pytest.mark.parametrize("inside", [plain, in_a_budget, cleaning_up])
async def test_what_fired_and_was_left_before_it_heard_of_a_child_ends_it(inside: Block) -> None:
    """The child was opened in its clean-up, to which it is spent for good."""
    there = There()
    with suppress(TimeoutError):
        async with timeout(2.0, name="outer"):
            try:
                await asyncio.sleep(50.0)
            finally:
                there.begin(inside)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    there.end()
    assert there.ends == ["outer"]


@pytest.mark.parametrize("outermost", [False, True])
async def test_a_child_whose_parents_are_left_is_its_own(outermost: bool) -> None:
    """Nothing but its own deadline binds it; a budget that was set before any loop ran ends nobody."""
    there = There()
    with ExitStack() as stack:
        if outermost:
            stack.enter_context(budget(50.0))
        async with timeout(5.0, name="between"):
            there.begin(plain)
        await asyncio.sleep(0.5)
    there.end()
    assert there.ends == ["by itself"]


async def with_a_child() -> None:
    """What is beneath the one in between, in another task there."""
    async with timeout(9.0, name="between"):
        child = asyncio.create_task(plain())
        await asyncio.sleep(0)
        await asyncio.sleep(0.5)
    await child


async def test_a_grandchild_there_is_handed_on_from_loop_to_loop() -> None:
    """Its parent there is left, and the timeout around that is another loop's, which ends it."""
    there = There()
    with suppress(TimeoutError):
        async with timeout(2.0, name="outer"):
            there.begin(with_a_child)
            there.go_on(1.0)
            await asyncio.sleep(50.0)
    await asyncio.sleep(0)
    there.end()
    assert there.ends == ["outer"]


@pytest.mark.parametrize("inside", [plain, in_a_budget])
async def test_a_child_of_what_code_found_spent_ends_for_that(inside: Block) -> None:
    """Nobody's timer ran: it was left before it had heard of the child, which was opened while it was in force."""
    there = There()
    with suppress(TimeoutError):
        async with timeout(2.0, name="outer"):
            there.begin(inside)
            running_loop().block(2.5)
            checkpoint()
    await asyncio.sleep(0)
    there.end()
    assert there.ends == ["outer"]


# A thread's own context, which from 3.14 on may be a copy of that of whoever started the thread (`.ci/inherited`)


async def everywhere() -> set[float]:
    """How long what is opened on this loop may take, in hours: in tasks of every kind, in a callback, one by one."""
    loop = asyncio.get_running_loop()
    seen = []

    async def look() -> None:
        seen.append(remaining())
        for _ in range(2):
            async with timeout(None) as inner:
                seen.append(inner.remaining())

    answered = loop.create_future()
    loop.call_soon(lambda: answered.set_result(remaining()))
    seen.append(await answered)
    if sys.version_info >= (3, 12):
        await asyncio.eager_task_factory(loop, look())
    await asyncio.create_task(look())
    await look()
    return {round(each / 3600.0, 1) for each in seen}


async def test_a_threads_loop_is_bound_by_what_its_job_brings() -> None:
    """By that alone: not by the timeout inside which the thread happened to be started."""
    with ThreadPoolExecutor(1) as pool:
        async with timeout(3600.0):
            assert pool.submit(asyncio.run, everywhere()).result() == {math.inf}
            assert pool.submit(contextvars.copy_context().run, asyncio.run, everywhere()).result() == {1.0}
            async with timeout(1800.0):
                assert pool.submit(contextvars.copy_context().run, asyncio.run, everywhere()).result() == {0.5}
            assert pool.submit(asyncio.run, everywhere()).result() == {math.inf}
        assert pool.submit(asyncio.run, everywhere()).result() == {math.inf}


async def test_a_loop_of_a_threads_own_is_bound_by_what_is_handed_over() -> None:
    """By what was in force where a coroutine was handed to it, though not where that is what started the thread."""
    loop = asyncio.SelectorEventLoop()
    seen = []

    async def look() -> float:
        return round(remaining() / 3600.0, 1)

    with ThreadPoolExecutor(1) as pool:
        async with timeout(3600.0):
            running = pool.submit(loop.run_forever)
            with budget(1800.0):
                seen.append(asyncio.run_coroutine_threadsafe(look(), loop).result())
        seen.append(asyncio.run_coroutine_threadsafe(look(), loop).result())
        loop.call_soon_threadsafe(loop.stop)
        running.result()
    loop.close()
    assert seen == [0.5, math.inf]


@pytest.mark.parametrize("seconds", [None, 1800.0])
async def test_what_a_thread_sets_is_in_force_there(seconds: float | None) -> None:
    """Its own budget and `detach`, wherever the thread was started, as the first thing of ours that runs there."""

    def look() -> list[float]:
        seen = []
        with detach():
            seen.append(remaining())
        with budget(7200.0):
            seen.append(remaining())
            with budget(3600.0), detach():
                seen.append(remaining())
            seen.append(remaining())
        return [round(each / 3600.0, 1) for each in seen]

    def begin_with_a_budget() -> list[float]:
        with budget(7200.0):
            return [round(remaining() / 3600.0, 1), *look()]

    async with timeout(seconds):
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(look).result() == [math.inf, 2.0, math.inf, 2.0]
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(begin_with_a_budget).result() == [2.0, math.inf, 2.0, math.inf, 2.0]


async def test_a_child_there_is_let_go_of_in_the_thread_of_its_parent() -> None:
    """The other thread writes nothing of it: it is listed until this loop has heard of its end."""
    there = There()
    async with timeout(20.0, name="outer") as outer:
        there.begin(plain)
        await asyncio.sleep(0)
        assert [each.name for each in listed(outer)] == ["there"]
        there.end()
        assert [each.name for each in listed(outer)] == ["there"]
        await asyncio.sleep(0)
        assert listed(outer) == []


async def test_a_child_there_that_was_heard_of_as_its_parent_cleaned_up_ends_with_that() -> None:
    """As does another of this loop, which was open before."""
    there, child = There(), Ended()
    with suppress(TimeoutError):
        async with timeout(2.0, name="outer"):
            task = asyncio.create_task(child.watch(delay=9.0))
            await asyncio.sleep(0)
            loop = running_loop()
            loop.call_at(1.5, there.begin, plain)
            loop.call_soon(loop.block, 3.0)  # so that the timer runs before what is told of the child
            try:
                await asyncio.sleep(50.0)
            finally:
                await asyncio.sleep(0.25)
    await task
    await asyncio.sleep(0)
    there.end()
    assert (there.ends, child.at, child.owner) == (["outer"], 3.25, "outer")


async def with_no_deadline() -> None:
    async with timeout(None, name="there"):
        await asyncio.sleep(3.0)


async def test_a_child_there_with_no_deadline_is_kept_by_nobody() -> None:
    """Its parent knows of it while it is there, and has no hold on it."""
    there = There()
    async with timeout(20.0, name="outer") as outer:
        there.begin(with_no_deadline)
        await asyncio.sleep(0)
        assert [type(key) for key in outer._more.children] == [weakref.ref]
        there.end()
        await asyncio.sleep(0)
        assert not outer._more.children


async def two_at_once() -> None:
    async def one() -> None:
        async with timeout(9.0, name="there"):
            await asyncio.sleep(3.0)

    await asyncio.gather(one(), one())


async def test_children_there_took_their_time_at_once() -> None:
    """Two tasks of the other loop."""
    there = There()
    async with timeout(20.0, name="outer") as outer:
        there.begin(two_at_once)
        await asyncio.sleep(0)
        there.end()
        await asyncio.sleep(5.0)
    assert [(each.name, each.count, each.at_once) for each in outer.spent] == [("there", 2, 2)]


async def test_a_reserve_there_follows_the_outermost_of_this_loop() -> None:
    """Through the one between, which tells it."""
    there = There()
    async with timeout(20.0, name="outer") as outer, timeout(15.0):
        there.begin(reserving)
        await asyncio.sleep(0)
        outer.reschedule(2.0)
        there.end()
        assert there.ends == ["there"]

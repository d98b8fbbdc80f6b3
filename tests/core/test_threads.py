"""A loop in another thread, whose messages come when what they are for has been left, and what is left there late."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from tests.support import figures, running_loop
from tracedtimeout import DeadlineExceeded, budget, checkpoint, timeout
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

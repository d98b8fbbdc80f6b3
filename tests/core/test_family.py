"""Children in other tasks: those of a group that was there before go on, others end, grandchildren are handed on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest

from tests.support.watching import Ended, now
from tracedtimeout import timeout
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

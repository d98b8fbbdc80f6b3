"""Corners of asyncio itself, with issues of CPython's own: we show what the interpreter's asyncio shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

import tracedtimeout
from tracedtimeout import Outcome
from tracedtimeout.testing import run

Make = Callable[[float], Any]
Program = Callable[[Make], Coroutine[Any, Any, object]]


async def ended(block: Coroutine[Any, Any, object]) -> tuple[str, int]:
    """How a block ends in this task, and how often the task is asked to end after it."""
    task = asyncio.current_task()
    assert task is not None
    try:
        await block
    except TimeoutError:
        word = "timeout"
    except asyncio.CancelledError:
        word = "cancelled"
    else:
        word = "returned"
    return word, task.cancelling()


async def fail() -> None:
    raise ValueError


async def a_group_that_failed_inside(make: Make) -> object:
    """3.11's and 3.12's TaskGroup keeps the cancellation of its parent counted (python/cpython#133747)."""

    async def block() -> None:
        async with make(1.0):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
            except* ValueError:
                pass
            await asyncio.sleep(10)

    return await ended(block())


async def a_group_that_failed_before(make: Make) -> object:
    """The same, and the timeout is entered after it: what was counted before is not its business."""

    async def block() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        except* ValueError:
            pass
        async with make(1.0):
            await asyncio.sleep(10)

    return await ended(block())


async def no_time_after_a_cancel(make: Make) -> object:
    """A task that was asked to end enters a timeout that is due at once (python/cpython#134471)."""

    async def block() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        async with make(0):
            await asyncio.sleep(1)

    return await ended(block())


async def no_time_after_a_cancel_that_was_caught(make: Make) -> object:
    """The same, once the cancellation has come and was caught, but is still counted."""

    async def block() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        async with make(0):
            await asyncio.sleep(1)

    return await ended(block())


PROGRAMS: list[Program] = [
    a_group_that_failed_inside,
    a_group_that_failed_before,
    no_time_after_a_cancel,
    no_time_after_a_cancel_that_was_caught,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_ours_shows_what_asyncio_shows(program: Program) -> None:
    """The exception, and the count of cancellations, are those of this interpreter's asyncio."""
    assert run(program(tracedtimeout.timeout)) == run(program(asyncio.timeout))


class Orphan:
    """A task under a timeout of its own, that nobody supervises, and that waits for `result`."""

    def __init__(self) -> None:
        self.result: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.block = tracedtimeout.timeout(60, name="orphan")

    async def run(self) -> int:
        async with self.block:
            return await self.result


def test_a_result_that_comes_just_after_the_parent_was_left_is_too_late() -> None:
    """An orphan ends with its parent though its result is set in the same turn: the end was asked for first."""

    async def main() -> tuple[Outcome | None, str]:
        orphan = Orphan()
        with pytest.raises(TimeoutError):
            async with tracedtimeout.timeout(1, name="parent"):
                task = asyncio.create_task(orphan.run())
                await asyncio.sleep(60)
        orphan.result.set_result(1)
        with pytest.raises(tracedtimeout.DeadlineExceeded) as raised:
            await task
        return orphan.block.outcome, raised.value.owner

    assert run(main()) == (Outcome.INHERITED, "parent")


def test_a_result_that_was_there_as_the_parent_was_left_is_kept() -> None:
    """The same turn, the other order: the orphan has its result, and no later await."""

    async def main() -> tuple[Outcome | None, int]:
        orphan = Orphan()
        with pytest.raises(TimeoutError):
            async with tracedtimeout.timeout(1, name="parent"):
                task = asyncio.create_task(orphan.run())
                try:
                    await asyncio.sleep(60)
                finally:
                    orphan.result.set_result(1)
        got = await task
        return orphan.block.outcome, got

    assert run(main()) == (Outcome.COMPLETED, 1)


if hasattr(asyncio.TaskGroup, "cancel"):  # new in Python 3.15

    @pytest.mark.parametrize("inside", [True, False])
    def test_a_group_that_cancels_itself_is_no_expiry(inside: bool) -> None:
        """TaskGroup.cancel() inside a timeout leaves it as a return does; around it, as another's cancellation does."""

        async def within(block: tracedtimeout.Timeout) -> None:
            async with block, asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(60))
                await asyncio.sleep(0)
                getattr(group, "cancel")()  # noqa: B009  # not there before 3.15

        async def around(block: tracedtimeout.Timeout) -> None:
            async with asyncio.TaskGroup() as group, block:
                group.create_task(asyncio.sleep(60))
                await asyncio.sleep(0)
                getattr(group, "cancel")()  # noqa: B009  # as above
                await asyncio.sleep(60)

        async def main() -> tuple[Outcome | None, tuple[str, int]]:
            block = tracedtimeout.timeout(10)
            how = await ended((within if inside else around)(block))
            return block.outcome, how

        outcome = Outcome.COMPLETED if inside else Outcome.CANCELLED
        assert run(main()) == (outcome, ("returned", 0))

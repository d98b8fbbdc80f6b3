"""What an enclosing timeout means after it ended: in its task, in others, and in threads; the table row by row."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from tests.support import VIRTUAL, running_loop
from tests.support.watching import Ended, deadline_within, now
from tracedtimeout import DeadlineExceeded, budget, checkpoint, detach, remaining, timeout

pytestmark = pytest.mark.loops(*VIRTUAL)

INF = float("inf")


async def test_left_without_firing_it_binds_nothing() -> None:
    """In the same task, in other tasks and in threads: neither what is open nor what is opened then."""
    child = Ended()
    release = threading.Event()

    def in_thread() -> float:
        release.wait(10)
        return remaining()

    async with timeout(1.0):
        task = asyncio.create_task(child.watch(sleep=3.0))
        late = asyncio.create_task(later(2.0, deadline_within))
        thread = asyncio.ensure_future(asyncio.to_thread(in_thread))
        await asyncio.sleep(0)
    assert (remaining(), deadline_within(), child.timeout.deadline()) == (float("inf"), None, None)
    release.set()
    assert await thread == float("inf")
    assert await late is None
    await task
    assert (child.error, child.at) == (None, 3.0)


async def later(delay: float, function: Callable[[], Any]) -> Any:
    await asyncio.sleep(delay)
    return function()


async def test_fired_it_binds_nothing_new_in_its_task() -> None:
    """In clean-up the next enclosing deadline that has not fired is the one in force."""
    with suppress(TimeoutError):
        async with timeout(9.0) as outermost:
            async with timeout(1.0):
                try:
                    await asyncio.sleep(50.0)
                finally:
                    assert (remaining(), deadline_within(), deadline_within(2.0)) == (8.0, outermost.when(), 3.0)
                    checkpoint()


async def test_fired_it_does_not_bind_new_timeouts_of_other_tasks() -> None:
    """A task that was started before opens timeouts free of it, while it cleans up and after."""
    child = Ended()
    with suppress(TimeoutError):
        async with timeout(1.0):
            task = asyncio.create_task(later(2.0, child.watch))
            try:
                await asyncio.sleep(50.0)
            finally:
                await asyncio.sleep(3.0)
    work = asyncio.ensure_future(await task)
    await asyncio.sleep(1.0)
    assert (child.timeout.deadline(), child.error) == (None, None)
    work.cancel()
    await asyncio.wait([work])


async def test_fired_it_is_spent_for_good_in_threads() -> None:
    """remaining() is 0.0 and checkpoint() raises, naming the owner: while it cleans up, and once it is left, also when
    the thread was started in a timeout inside it that has been left meanwhile."""
    inside = contextvars.copy_context()
    with suppress(TimeoutError):
        async with timeout(1.0, name="owner"):
            async with timeout(50.0, name="inner"):
                inside = contextvars.copy_context()
                try:
                    await asyncio.sleep(50.0)
                finally:
                    assert await in_thread(inside) == (0.0, "owner")
            pytest.fail("not ended")
    assert await in_thread(inside) == (0.0, "owner")
    assert remaining() == float("inf")


async def test_ended_by_a_budget_it_is_spent_in_threads_too() -> None:
    """With no deadline of its own: a thread of its clean-up finds nothing left, and whose deadline that was."""
    with budget(1.0), suppress(TimeoutError):
        async with timeout(None, name="inner"):
            try:
                await asyncio.sleep(50.0)
            finally:
                assert await in_thread(contextvars.copy_context()) == (0.0, "_budget")
                assert remaining() == float("inf")
    assert now() == 1.0


async def in_thread(context: contextvars.Context) -> tuple[float, str]:
    """What is left in a thread that runs in `context`, and whose deadline has passed there."""

    def look() -> tuple[float, str]:
        try:
            checkpoint()
        except DeadlineExceeded as exc:
            return remaining(), exc.owner
        return remaining(), ""

    with ThreadPoolExecutor(1) as pool:
        return await running_loop().run_in_executor(pool, context.copy().run, look)


async def test_passed_but_not_fired_it_is_spent_everywhere() -> None:
    """While the loop is blocked nothing fires, and remaining() is 0.0: in the task, in others, in threads."""
    loop: Any = running_loop()
    with suppress(TimeoutError):
        async with timeout(1.0, name="owner"):
            loop.block(2.0)
            assert (remaining(), deadline_within()) == (0.0, 1.0)
            with pytest.raises(DeadlineExceeded):
                checkpoint()
            context = contextvars.copy_context()
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(context.run, remaining).result() == 0.0


async def test_fired_it_spares_what_a_budget_beneath_it_holds() -> None:
    """New timeouts in a child's budget() are free of it, while it cleans up and once it is left."""

    async def child() -> object:
        with budget(100.0):
            await asyncio.sleep(2.0)
            async with timeout(10.0) as new:
                await asyncio.sleep(5.0)
        return new.outcome

    tasks = []
    for clean_up in (0.0, 3.0):
        with suppress(TimeoutError):
            async with timeout(1.0):
                tasks.append(asyncio.create_task(child()))
                try:
                    await asyncio.sleep(50.0)
                finally:
                    await asyncio.sleep(clean_up)
    assert await asyncio.gather(*tasks) == ["completed", "completed"]


async def test_what_passed_by_one_that_fired_is_let_go_by_the_next() -> None:
    """A timeout opened beneath one that fired belongs to the one around that: it is spent there, and not held on to."""

    async def child() -> None:
        with budget(100.0):
            await asyncio.sleep(2.0)
            async with timeout(10.0, name="kid"):
                await asyncio.sleep(1.0)

    async with timeout(60.0) as outermost:
        with suppress(TimeoutError):
            async with timeout(1.0, name="fires"):
                task = asyncio.create_task(child())
                try:
                    await asyncio.sleep(50.0)
                finally:
                    await task
        assert [str(each) for each in outermost.spent] == ["3.000 s in fires", "1.000 s in kid"]
        assert outermost._inner is None
        assert outermost._more is None


async def test_a_cancellation_in_clean_up_is_not_that_of_what_fired_before() -> None:
    """A timeout that clean-up opened, and that somebody cancels, was cancelled: what fired before it is no cause."""
    opened: list[Any] = []

    async def cleans_up() -> None:
        async with timeout(1.0), timeout(10.0):
            try:
                await asyncio.sleep(50.0)
            finally:
                async with timeout(5.0) as late:
                    opened.append(late)
                    await asyncio.sleep(50.0)

    task = asyncio.create_task(cleans_up())
    await asyncio.sleep(2.0)
    task.cancel()
    await asyncio.wait([task])
    assert [each.outcome for each in opened] == ["cancelled"]


async def test_an_orphan_of_one_that_was_left_has_the_deadline_of_the_next() -> None:
    """What is open in a child task when the timeout around it is left goes on beneath the one around that."""
    child = Ended()
    async with timeout(20.0):
        async with timeout(1.0):
            task = asyncio.create_task(child.watch(sleep=3.0))
            await asyncio.sleep(0)
        assert child.timeout.deadline() == 20.0
        await task
    assert (child.error, child.timeout.outcome, child.timeout.limit) == (None, "completed", 20.0)


# Threads


async def test_threads_that_copy_the_context_see_the_budget() -> None:
    """asyncio.to_thread and an executor given a copy of the context: what is left, and whose it is."""
    async with timeout(5.0, name="owner"):
        # Both clocks go on, one of them virtual: what is left is converted from one to the other as they stand.
        assert 4.9 < await asyncio.to_thread(remaining) <= 5.0
        assert (await in_thread(contextvars.copy_context()))[1] == ""
        with ThreadPoolExecutor(1) as pool:
            assert await running_loop().run_in_executor(pool, remaining) == float("inf")


async def test_a_threads_job_has_blocks_of_its_own() -> None:
    """A budget there bounds the job, beneath whatever encloses the job and within other budgets of its own."""

    def about(left: float) -> bool:
        return remaining() == left == INF or left - 1.0 < remaining() <= left

    def job(left: float) -> None:
        blocks = ((budget(1.0), 1.0), (budget(None), left), (budget(7200.0), min(7200.0, left)), (detach(), INF))
        for inside, least in blocks:
            with inside:
                assert about(least)
                checkpoint()
                with budget(1.0):
                    assert about(1.0)
                    checkpoint()
                with budget(-1.0), pytest.raises(DeadlineExceeded, match=r"^'_budget' exceeded its"):
                    checkpoint()
        assert about(left)

    await asyncio.to_thread(job, INF)
    async with timeout(3600.0) as outer:
        await asyncio.to_thread(job, 3600.0)
        async with timeout(None), timeout(5400.0):
            await asyncio.to_thread(job, 3600.0)
        with budget(1800.0):
            await asyncio.to_thread(job, 1800.0)
        with detach():
            await asyncio.to_thread(job, INF)
        outer.reschedule(None)
        await asyncio.to_thread(job, INF)


async def test_threads_started_after_it_was_left_are_free_of_it() -> None:
    """What comes after a timeout that fired is not beneath it: its fallback may run in a thread."""
    async with timeout(3600.0):
        with suppress(TimeoutError):
            async with timeout(1.0), timeout(2.0):
                await asyncio.sleep(50.0)
        assert 3000.0 < await asyncio.to_thread(remaining) < 3600.0
        with suppress(TimeoutError), budget(1.0):
            async with timeout(2.0):
                await asyncio.sleep(50.0)
        assert 3000.0 < await asyncio.to_thread(remaining) < 3600.0
    with suppress(TimeoutError):
        async with timeout(1.0):
            await asyncio.sleep(50.0)
    assert await asyncio.to_thread(remaining) == float("inf")


async def test_another_threads_loop_is_bound_and_moved() -> None:
    """asyncio.run in a thread: its timeouts are bounded by ours, and a reschedule here moves them there."""
    opened, moved = threading.Event(), threading.Event()
    seen: list[bool] = []

    async def there() -> None:
        async with timeout(3600.0) as inner:
            seen.append(inner.remaining() <= 60.0)
            opened.set()
            moved.wait(10)
            seen.append(500.0 < inner.remaining() <= 600.0)

    async with timeout(60.0) as outer:
        work = asyncio.ensure_future(asyncio.to_thread(asyncio.run, there()))
        while not opened.is_set():
            await asyncio.to_thread(opened.wait, 10)
        outer.reschedule(now() + 600.0)
        moved.set()
        await work
    assert seen == [True, True]


async def test_a_timeout_on_another_threads_loop_ends_when_the_fired_one_is_left() -> None:
    """Nobody supervises a loop in a thread: what is open there ends with the timeout here, by its name."""
    opened = threading.Event()
    ended: list[str] = []

    async def there() -> None:
        try:
            async with timeout(3600.0):
                opened.set()
                await asyncio.Event().wait()
        except DeadlineExceeded as exc:
            ended.append(exc.owner)

    with ThreadPoolExecutor(1) as pool:
        with suppress(TimeoutError):
            async with timeout(60.0, name="owner") as outer:
                work = pool.submit(contextvars.copy_context().run, asyncio.run, there())
                await asyncio.to_thread(opened.wait, 10)
                outer.reschedule(now())
                await asyncio.Event().wait()
        await asyncio.to_thread(work.result, 10)
    assert ended == ["owner"]

"""The budget: who bounds whom in tasks and threads, what a moved deadline moves, and what one that has ended means."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

import tracedtimeout
from tests.support import VIRTUAL, running_loop, running_task
from tracedtimeout import DeadlineExceeded, Outcome, budget, checkpoint, detach, remaining, timeout, timeout_at
from tracedtimeout._core import _relatives

pytestmark = pytest.mark.loops(*VIRTUAL)


def now() -> float:
    return asyncio.get_running_loop().time()


async def in_child(function: Callable[[], Any]) -> Any:
    """What `function` gives in a child task."""

    async def child() -> Any:
        return function()

    return await asyncio.create_task(child())


def deadline_within(delay: float | None = None) -> float | None:
    """The effective deadline that a timeout opened here has."""
    inner = timeout(delay, name="probe")
    inner._enter()
    try:
        return inner.deadline()
    finally:
        inner._exit(None)


class Ended:
    """How the task of `watch` ended, and when."""

    def __init__(self) -> None:
        self.at = -1.0
        self.error: BaseException | None = None

    async def watch(self, name: str = "child", delay: float | None = None, sleep: float = 100.0) -> None:
        """Sleep in a timeout of one's own."""
        try:
            async with timeout(delay, name=name) as self.timeout:
                await asyncio.sleep(sleep)
        except BaseException as exc:
            self.error = exc
        self.at = now()

    @property
    def owner(self) -> str:
        assert isinstance(self.error, DeadlineExceeded)
        return self.error.owner


# Child tasks


async def test_a_child_task_inherits_the_deadline() -> None:
    """A timeout opened in a child task is bounded by its creator's; an earlier one of its own stands."""
    async with timeout(5.0) as outer:
        assert await in_child(deadline_within) == outer.when()
        assert await in_child(lambda: deadline_within(9.0)) == outer.when()
        assert await in_child(lambda: deadline_within(2.0)) == now() + 2.0
        assert await in_child(remaining) == 5.0


async def test_an_unsupervised_child_ends_when_the_fired_timeout_is_left() -> None:
    """It goes on while the fired timeout cleans up, then ends with a DeadlineExceeded that names the owner."""
    child = Ended()
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(1.0, name="owner"):
            task = asyncio.create_task(child.watch())
            try:
                await asyncio.sleep(50)
            finally:
                await asyncio.sleep(2.0)
                assert child.error is None
    await task
    assert (child.at, child.owner, child.timeout.outcome) == (now(), "owner", Outcome.INHERITED)
    assert isinstance(child.error, DeadlineExceeded)
    assert str(child.error).startswith("'child' was ended by the deadline of 'owner' after 3.000 s")
    assert (caught.value.owner, running_task().cancelling()) == ("owner", 0)


async def test_a_child_made_under_detach_survives() -> None:
    """Work created under detach() knows no deadline and is not ended, after the block too."""
    child = Ended()
    with suppress(TimeoutError):
        async with timeout(1.0):
            with detach():
                task = asyncio.create_task(child.watch(sleep=9.0))
                assert remaining() == float("inf")
            assert remaining() == 1.0
            await asyncio.sleep(50)
    await task
    assert (child.at, child.error, child.timeout.deadline()) == (9.0, None, None)


async def test_a_shielded_commit_under_detach_ends_by_itself() -> None:
    """``with detach(): await shield(commit())``: the caller is ended, the commit is not."""
    child = Ended()
    with pytest.raises(DeadlineExceeded):
        async with timeout(1.0):
            with detach():
                await asyncio.shield(asyncio.create_task(child.watch(sleep=3.0)))
    assert now() == 1.0
    await asyncio.sleep(5.0)
    assert (child.at, child.error) == (3.0, None)


async def test_detach_blocks_nest() -> None:
    """A timeout under detach() bounds what is inside it, until the next detach()."""
    async with timeout(5.0):
        with detach():
            async with timeout(9.0) as inner:
                assert remaining() == 9.0
                with detach():
                    assert deadline_within() is None
                assert deadline_within() == inner.when()
            assert remaining() == float("inf")
        assert remaining() == 5.0


async def test_one_expiry_of_nested_groups_is_raised_once() -> None:
    """In groups three deep every timeout is ended by structured cancellation, and the owner alone raises."""
    seen: list[tuple[str, Outcome | None, str]] = []

    async def level(depth: int) -> None:
        async with timeout(50.0, name=f"level {depth}") as mine:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(2 if depth else 0):
                        group.create_task(level(depth - 1))
                    await asyncio.sleep(20.0)
            finally:
                asyncio.get_running_loop().call_soon(lambda: seen.append((mine.name, mine.outcome, mine.owner)))

    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(1.0, name="owner"):
            await level(2)
    await asyncio.sleep(1.0)
    ended = [Outcome.INHERITED, "owner"]
    assert sorted(seen) == sorted(("level " + depth, *ended) for depth in ("0", "0", "0", "0", "1", "1", "2"))
    assert (caught.value.owner, caught.value.__cause__.__class__) == ("owner", asyncio.CancelledError)
    assert (now(), running_task().cancelling()) == (2.0, 0)


async def test_a_failing_sibling_keeps_its_own_error() -> None:
    """A sibling that fails in clean-up is what the group shows, with the expiry in its context, as in asyncio."""

    async def failing() -> None:
        try:
            async with timeout(9.0):
                await asyncio.sleep(20.0)
        finally:
            raise ValueError("mine")

    with pytest.raises(ExceptionGroup) as caught:
        async with timeout(1.0, name="owner") as outer:
            async with asyncio.TaskGroup() as group:
                group.create_task(failing())
                group.create_task(asyncio.sleep(20.0))
    assert [str(member) for member in caught.value.exceptions] == ["mine"]
    assert isinstance(caught.value.__context__, DeadlineExceeded | type(None))
    assert (outer.outcome, now()) == (Outcome.REPLACED, 1.0)


async def test_a_cancelled_child_is_not_cancelled_again() -> None:
    """A child that structured cancellation has reached cleans up in peace, however slowly: as in asyncio."""
    cleaned: list[float] = []

    async def slow() -> None:
        async with timeout(90.0):
            try:
                await asyncio.sleep(20.0)
            finally:
                await asyncio.sleep(7.0)
                cleaned.append(now())

    with suppress(TimeoutError):
        async with timeout(1.0):
            await asyncio.gather(slow(), asyncio.sleep(20.0))  # gather is done when its first child is
    assert now() == 1.0
    await asyncio.sleep(20.0)
    assert cleaned == [8.0]


async def test_a_grandchild_ends_with_what_fired() -> None:
    """Timeouts of tasks started by unsupervised tasks end too, each when the one around it is left."""
    child, grandchild = Ended(), Ended()

    async def start_and_leave() -> None:
        async with timeout(9.0, name="between"):
            task = asyncio.create_task(grandchild.watch("grandchild"))
        await child.watch()
        await task

    with suppress(TimeoutError):
        async with timeout(1.0, name="owner"):
            task = asyncio.create_task(start_and_leave())
            await asyncio.sleep(20.0)
    await task
    assert (child.owner, grandchild.owner, child.at, grandchild.at) == ("owner", "owner", 1.0, 1.0)


async def test_spent_adds_up_across_child_tasks() -> None:
    """Seconds and counts of child tasks' timeouts are those of the one around them; the unfinished are read off."""

    async def query(seconds: float) -> None:
        async with timeout(50.0, name="db.query"):
            await asyncio.sleep(seconds)

    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(5.0, name="checkout"):
            await asyncio.gather(query(1.0), query(2.0))
            await asyncio.gather(query(1.0), query(20.0))
    assert [str(spent) for spent in caught.value.spent] == [
        "4.000 s in db.query (x3)",
        "3.000 s in db.query (unfinished)",
    ]


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
    assert _relatives._reserving == {}


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
    assert _relatives._reserving == {}


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


async def test_a_budget_only_shrinks_inwards() -> None:
    """A later budget inside an earlier one changes nothing; an earlier one does, until it is left."""
    with budget(5.0):
        with budget(9.0):
            assert (remaining(), deadline_within()) == (5.0, 5.0)
        with budget(2.0):
            assert (remaining(), deadline_within()) == (2.0, 2.0)
        assert (remaining(), deadline_within()) == (5.0, 5.0)


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


# After it ended: the table of section 3, row by row


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


# Threads


async def test_threads_that_copy_the_context_see_the_budget() -> None:
    """asyncio.to_thread and an executor given a copy of the context: what is left, and whose it is."""
    async with timeout(5.0, name="owner"):
        # Both clocks go on, one of them virtual: what is left is converted from one to the other as they stand.
        assert 4.9 < await asyncio.to_thread(remaining) <= 5.0
        assert (await in_thread(contextvars.copy_context()))[1] == ""
        with ThreadPoolExecutor(1) as pool:
            assert await running_loop().run_in_executor(pool, remaining) == float("inf")


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


# Left out of order


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

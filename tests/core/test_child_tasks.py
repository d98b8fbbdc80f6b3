"""Timeouts in child tasks: bounded at once, ended by who supervises them, or with the timeout around them."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress

import pytest

from tests.support import VIRTUAL, running_task
from tests.support.watching import Ended, deadline_within, in_child, now
from tracedtimeout import DeadlineExceeded, Outcome, Spent, Timeout, budget, detach, remaining, timeout

pytestmark = pytest.mark.loops(*VIRTUAL)


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


async def test_what_children_spend_side_by_side_in_budgets_is_counted_once() -> None:
    """As without budgets; and what the task itself spends in one is added."""

    async def child() -> None:
        with budget(9.0):
            for _ in range(2):
                async with timeout(5.0, name="query"):
                    await asyncio.sleep(1.0)

    async with timeout(20.0) as outer:
        await asyncio.gather(child(), child(), child())
        assert outer.spent == (Spent("query", 2.0, 6, at_once=3),)
        await child()
    assert outer.spent == (Spent("query", 4.0, 8, at_once=3),)


async def test_what_a_task_spends_beside_its_children_is_no_more_than_all() -> None:
    """Nobody notes when the task's own ran."""

    async def query() -> None:
        async with timeout(5.0, name="query"):
            await asyncio.sleep(1.0)

    async with timeout(20.0) as outer:
        async with asyncio.TaskGroup() as group:
            group.create_task(query())
            await query()
        assert outer.spent == (Spent("query", 1.0, 2),)
    assert outer.spent == (Spent("query", 1.0, 2),)


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


async def test_a_child_ends_also_while_a_timeout_inside_it_is_cleaning_up() -> None:
    """Its own expiries are not somebody else's cancellation: it is ended as by a deadline of its own."""
    child = Ended()

    async def slow() -> None:
        try:
            async with timeout(90.0, name="child") as child.timeout:
                async with timeout(0.5, name="inner"):
                    try:
                        await asyncio.sleep(20.0)
                    finally:
                        await asyncio.sleep(20.0)
        except TimeoutError as exc:
            child.error, child.at = exc, now()

    with suppress(TimeoutError):
        async with timeout(1.0, name="owner"):
            task = asyncio.create_task(slow())
            await asyncio.sleep(20.0)
    await task
    assert (child.at, child.owner, task.cancelling()) == (1.0, "owner", 0)


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


@pytest.mark.parametrize("how", ["cancelled", "done", "cancelled within"])
@pytest.mark.parametrize("through_a_budget", [False, True])
async def test_a_grandchild_ends_though_its_parent_ends_by_itself(how: str, through_a_budget: bool) -> None:
    """A child that is cancelled, or done, just as it would end leaves none of its own children running."""
    grandchild = Ended()
    started: list[asyncio.Task[None]] = []

    async def child() -> None:
        bound = budget(90.0) if through_a_budget else nullcontext()
        with bound:
            async with timeout(90.0, name="parent"):
                started.append(asyncio.create_task(grandchild.watch(sleep=50.0)))
                await asyncio.sleep(1.0 if how == "done" else 60.0)

    with suppress(TimeoutError):
        async with timeout(1.0, name="owner"):
            task = asyncio.create_task(child())
            try:
                await asyncio.sleep(60.0)
            finally:
                if how == "cancelled within":
                    task.cancel()
    if how == "cancelled":
        task.cancel()
    await asyncio.wait([task])
    assert (task.cancelled(), task.done()) == (how != "done", True)
    await started[0]
    assert (grandchild.at, grandchild.owner, grandchild.timeout.outcome) == (1.0, "owner", Outcome.INHERITED)


@pytest.mark.parametrize("also", [None, 0, 1, 3, 4])
@pytest.mark.parametrize("delays", [[1.0] * 5, [1.0, 2.0, 1.0, 1.0, 3.0]])
async def test_in_a_chain_of_tasks_that_all_fire_each_is_inherited(delays: list[float], also: int | None) -> None:
    """Each that fires cancels all tasks within, and that is no cancellation from elsewhere; another one is told apart,
    for the task that was cancelled and those within."""
    opened: list[Timeout] = []
    started: list[asyncio.Task[None]] = []

    async def chain(depth: int) -> None:
        async with timeout(delays[depth]) as own:
            opened.append(own)
            started.append(running_task())
            if depth + 1 < len(delays):
                await asyncio.create_task(chain(depth + 1))
            await asyncio.sleep(50.0)

    outermost = asyncio.create_task(chain(0))
    await asyncio.sleep(0.5)
    if also is not None:
        asyncio.get_running_loop().call_at(now() + 0.5, started[also].cancel)
    with suppress(TimeoutError, asyncio.CancelledError):
        await outermost
    outcomes = [each.outcome for each in opened]
    whole = [Outcome.EXPIRED, *[Outcome.INHERITED] * (len(delays) - 1)]
    if also is None:
        assert outcomes == whole
    else:
        assert outcomes == whole[:also] + [Outcome.CANCELLED] * (len(delays) - also)


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
        "3.000 s in db.query (2 at once)",
        "3.000 s in db.query (unfinished)",
    ]


async def test_a_budget_between_a_child_and_what_was_left_still_binds() -> None:
    """When the timeout around both is left, a child's timeout is still ended by the budget directly around it."""
    child = Ended()

    async def budgeted() -> None:
        with budget(2.0):
            await child.watch(delay=6.0)

    async with timeout(9.0):
        task = asyncio.create_task(budgeted())
        await asyncio.sleep(1.0)
    assert child.timeout.deadline() == 2.0
    await task
    assert (child.at, child.owner) == (2.0, "_budget")

"""The outcome: whose deadline it was of several that passed, and what is late."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

import pytest

from tests.support import figures, running_loop, running_task
from tests.support.watching import at_once, now
from tracedtimeout import DeadlineExceeded, Outcome, Timeout, budget, checkpoint, timeout, wait_for, with_timeout
from tracedtimeout._core import _deciding
from tracedtimeout._core._link import EXPIRING
from tracedtimeout._core._loop import state_of
from tracedtimeout.testing import run as virtually

pytestmark = pytest.mark.loops("virtual")


async def test_of_several_that_passed_at_once_the_outermost_is_the_one() -> None:
    """What is inside them was ended by it, and has its deadline from then on."""
    with suppress(TimeoutError):
        async with timeout(5.0, name="outer"), timeout(4.0, name="between"), timeout(9.0) as inner:
            asyncio.get_running_loop().call_soon(running_loop().block, 6.0)
            await asyncio.sleep(50.0)
    assert (inner.outcome, inner.owner, inner.deadline(), inner.limit) == (Outcome.INHERITED, "outer", 5.0, 5.0)


@pytest.mark.parametrize(
    ("limit", "blocked", "outcome"),
    [
        (1.0, 1.0, Outcome.COMPLETED),
        (1.0, 1.5, Outcome.LATE),
        (0.0, 1.5, Outcome.COMPLETED),
    ],
)
async def test_late_is_what_had_time_and_was_left_after_its_deadline(
    limit: float, blocked: float, outcome: Outcome
) -> None:
    """Not at that instant; nor one that never had any time."""
    async with timeout(9.0) as moved:
        moved.reschedule(now() + limit)
        running_loop().block(blocked)
    assert moved.outcome is outcome


@pytest.mark.parametrize(
    ("blocked", "outcome"), [(0.5, Outcome.COMPLETED), (1.0, Outcome.COMPLETED), (1.25, Outcome.LATE)]
)
async def test_late_is_by_the_clock_that_measures(blocked: float, outcome: Outcome) -> None:
    """Deadlines may stand on one that is behind by what it is rounded, as uvloop's is."""
    loop = running_loop()
    here = state_of(loop)
    here.timed_apart, here.stopwatch = True, lambda: loop.time() + 0.75
    async with timeout(1.0, name="rounded") as block:
        loop.block(blocked)
    assert (block.outcome, block.elapsed, block.overrun) == (outcome, blocked, max(0.0, blocked - 1.0))


async def test_a_count_that_was_taken_back_inside_is_no_other_deadlines() -> None:
    """Who was cancelled before, and takes that back in a timeout, is ended by the deadline around, as in asyncio."""

    async def main() -> tuple[object, object, int]:
        task = running_task()
        asyncio.get_running_loop().call_soon(task.cancel)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(50.0)
        with pytest.raises(TimeoutError):
            async with timeout(2.0) as outer, timeout(9.0) as inner:
                task.uncancel()
                await asyncio.sleep(50.0)
        return outer.outcome, inner.outcome, task.cancelling()

    assert await asyncio.create_task(main()) == (Outcome.EXPIRED, Outcome.INHERITED, 0)


async def test_a_count_from_before_is_no_cancellation_of_those_inside() -> None:
    """Who was cancelled and goes on is ended by the next deadline as any other, and by one more cancellation is not."""

    async def main(*, again: bool) -> object:
        task = running_task()
        asyncio.get_running_loop().call_soon(task.cancel)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(50.0)
        with suppress(TimeoutError, asyncio.CancelledError):
            async with timeout(2.0), timeout(8.0), timeout(9.0) as inner:
                if again:
                    running_loop().call_later(2.0, task.cancel)
                await asyncio.sleep(50.0)
        return inner.outcome

    assert await asyncio.create_task(main(again=False)) is Outcome.INHERITED
    assert await asyncio.create_task(main(again=True)) is Outcome.CANCELLED


async def test_one_whose_cancellation_was_taken_back_has_ended_nobody() -> None:
    """Of two that fired it is the other, in all timeouts inside."""
    with pytest.raises(TimeoutError):
        async with timeout(1.0), timeout(2.0, name="between"), timeout(8.0) as one, timeout(9.0) as other:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(50.0)
            running_task().uncancel()
            await asyncio.sleep(50.0)
    assert (one.owner, other.owner) == ("between", "between")


def elsewhere(step: Callable[[], None]) -> None:
    """Run `step` in another thread, to its end."""
    thread = threading.Thread(target=step)
    thread.start()
    thread.join()


async def test_in_another_thread_an_exit_writes_nothing_of_those_around() -> None:
    """The thread of their loop alone does; and of equal deadlines its own is the one."""
    async with timeout(5.0) as outer:
        held = timeout(5.0, name="held")
        await held.__aenter__()
        state_of(running_loop()).move()
        stamp = outer._stamp
        elsewhere(lambda: at_once(held.__aexit__(ValueError, ValueError(), None)))
        assert (outer._stamp, held.owner, held.source) == (stamp, "held", "own")
        await asyncio.sleep(0)


@pytest.mark.parametrize("where", ["in another thread", "cancelled before"])
async def test_what_such_an_exit_finds_is_known_to_no_other(where: str) -> None:
    """In another thread it writes nothing of the loop's; and who was cancelled before has its own count."""

    async def main() -> None:
        if where == "cancelled before":
            running_task().cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        with suppress(TimeoutError):
            async with timeout(1.0, name="outer"):
                held = timeout(9.0)
                await held.__aenter__()
                try:
                    await asyncio.sleep(50.0)
                except asyncio.CancelledError as exc:
                    leave = partial(held.__aexit__, type(exc), exc, None)
                    if where == "in another thread":
                        elsewhere(lambda: at_once(leave()))
                        await asyncio.sleep(0)
                    else:
                        await leave()
                    assert (held.owner, state_of(running_loop()).around) == ("outer", {})
                    raise

    await asyncio.create_task(main())


async def test_a_deadline_that_code_found_passed_and_that_was_moved_has_not_expired() -> None:
    """But to an instant that the clock does not tell from now."""

    async def outcome(later: float) -> object:
        with pytest.raises(DeadlineExceeded):
            async with timeout(1.0) as moved:
                running_loop().block(2.0)
                try:
                    checkpoint()
                finally:
                    moved.reschedule(now() + later)
        return moved.outcome

    resolution = state_of(running_loop()).resolution
    assert [await outcome(resolution), await outcome(2.0 * resolution)] == [Outcome.EXPIRED, Outcome.FAILED]


@pytest.fixture
async def unwinding() -> AsyncIterator[None]:
    """Something on the loop has fired, and is not left."""

    async def held() -> None:
        async with timeout(0.5):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(50.0)
            await asyncio.sleep(50.0)

    task = asyncio.create_task(held())
    await asyncio.sleep(1.0)
    yield
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.usefixtures("unwinding")
async def test_what_one_exit_finds_is_known_to_the_next() -> None:
    """Of all around it at once, and no more than so many: it is let go of where it grows large."""
    around = state_of(running_loop()).around

    async def inner(outer: Timeout, others: int, size: int) -> None:
        async with timeout(8.0) as between:
            try:
                async with timeout(9.0):
                    try:
                        await asyncio.sleep(50.0)
                    finally:
                        around.update(dict.fromkeys(range(others)))
            finally:
                assert len(around) == size
                assert [around[each][1:] for each in (outer, between)] == [(outer, outer, 1)] * 2
                found.append(around[outer])

    found = list[object]()
    for others, size in ((999, 1_001), (1_000, 2)):
        with suppress(TimeoutError):
            async with timeout(1.0) as outer:
                try:
                    await inner(outer, others, size)
                finally:
                    assert around[outer] is found[-1]
    assert len(found) == 2


async def test_an_error_of_a_call_is_no_answer_unless_a_framework_takes_it_for_one() -> None:
    """A decorated function that raises has failed."""

    @with_timeout(1.0, name="decorated")
    async def decorated() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await decorated()
    assert figures("decorated")["duration"] == {"failed": 1}


# What is known of those around


class Program(NamedTuple):
    """What a task does, how long something of it takes, and the programs inside."""

    kind: str
    delay: float
    inner: Program | None
    other: Program | None


ANY = ["timeout"] * 6 + ["task"] * 3 + ["cleans up", "is cancelled", "swallows", "generates", "gathers", "goes on",
       "takes back", "does more", "cleans up with", "is in a group", "waits", "has a budget", "moves"]  # fmt: skip
CHAINS = ["timeout"] * 6 + ["task"] * 4 + ["cleans up", "is cancelled"]
"""Of tasks that wait for each other: each timeout that fires cancels all those within."""
TWO = {"gathers", "goes on", "takes back", "does more", "cleans up with", "is in a group"}


def program(seed: int) -> Program | None:
    """Timeouts, tasks and clean-ups around each other; of most timeouts the deadline comes, and of many at once."""
    dice = random.Random(seed)
    kinds, delays = (CHAINS, (1.0, 1.0, 1.0, 0.5)) if seed % 2 else (ANY, (1.0, 1.0, 1.0, 1.5, 2.0, 0.5, 9.0))

    def of(size: int) -> Program | None:
        if not size:
            return None
        kind, delay = dice.choice(kinds), dice.choice(delays)
        inside = dice.randrange(size) if kind in TWO else size - 1
        return Program(kind, delay, of(inside), of(size - 1 - inside))

    return of(dice.randint(3, 14))


async def run_through(given: Program | None, opened: list[Timeout]) -> None:
    """Do what is `given`, and wait where that ends."""
    if given is None:
        await asyncio.sleep(50.0)
        return
    kind, delay, inner, other = given
    loop, task = running_loop(), running_task()
    work = partial(run_through, inner, opened)
    match kind:
        case "timeout" | "moves":
            async with timeout(delay, name=f"{len(opened)}") as limited:
                opened.append(limited)
                if kind == "moves":
                    loop.call_later(delay / 2.0, limited.reschedule, now() + delay * 1.5)
                await work()
        case "task":
            await asyncio.create_task(work())
        case "cleans up":
            try:
                await work()
            finally:
                await asyncio.sleep(delay / 4.0)
        case "cleans up with":
            try:
                await work()
            finally:
                await run_through(other, opened)
        case "is cancelled":
            loop.call_later(delay, task.cancel)
            await work()
        case "swallows" | "does more":
            with suppress(TimeoutError):
                await work()
            await (asyncio.sleep(0.25) if other is None else run_through(other, opened))
        case "goes on" | "takes back":
            with suppress(asyncio.CancelledError):
                await work()
            if kind == "takes back":
                task.uncancel()
            await run_through(other, opened)
        case "gathers":
            await asyncio.gather(work(), run_through(other, opened))
        case "is in a group":
            async with asyncio.TaskGroup() as group:
                group.create_task(work())
                group.create_task(run_through(other, opened))
        case "waits":
            await wait_for(work(), delay, name="wait_for")
        case "has a budget":
            with budget(delay):
                await work()
        case _:

            async def generator() -> AsyncIterator[None]:
                await work()
                yield

            async for _ in generator():
                pass


def told_of(given: Program | None) -> object:
    """All that can be told of the timeouts of a program, when it is over."""

    async def main() -> object:
        opened: list[Timeout] = []
        task = asyncio.create_task(run_through(given, opened))
        await asyncio.wait([task])
        raised = None if task.cancelled() else repr(task.exception())
        return raised, [(each.outcome, each.owner, each.limit, each.elapsed, each.source) for each in opened]

    return virtually(main())


def found_plainly(self: Any, here: Any, before: int) -> tuple[object, Any, Any, int]:
    """Those around `self` that have fired and are yet to be left: all of them are looked at."""
    found, link = list[Any](), self._parent
    while link is not None:
        if link._state is EXPIRING:
            since = link._fired.cancelling > before or link._fired.at > self._started_at()
            found += [link] * (since or link._task is not self._task)
        link = link._parent
    alike = list(takewhile(lambda each: each._task is found[0]._task, found))
    nearest, outermost = (found[0], alike[-1]) if found else (None, None)
    return here.stamp, nearest, outermost, len(found)


@pytest.mark.parametrize("first", range(0, 720, 120))
def test_what_is_known_of_those_around_changes_nothing(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With it and without, whose deadline ended each timeout of a program is the same: it saves walks, and no more."""
    programs = [program(seed) for seed in range(first, first + 120)]
    known = [told_of(each) for each in programs]
    monkeypatch.setattr(_deciding, "_around", found_plainly)
    assert known == [told_of(each) for each in programs]


async def three(name: str, delay: float) -> tuple[list[Outcome | None], float]:
    """The outcomes, outermost first, of three around each other of which the outermost expires; and the last's time."""
    nested = timeout(delay, name=name), timeout(2.0, name=name), timeout(3.0, name=name)
    with suppress(TimeoutError):
        async with nested[0], nested[1], nested[2]:
            await asyncio.sleep(10)
    return [each.outcome for each in nested], nested[2].elapsed


@pytest.mark.parametrize("delay", [0.0, 1.0], ids=["as they are entered", "later"])
async def test_of_nests_that_end_at_once_each_knows_its_own(delay: float) -> None:
    """Those that are left first find the one that fired beyond others, among several that have."""
    for found in (await three("one", delay), *await asyncio.gather(three("two", delay), three("three", delay))):
        assert found == ([Outcome.EXPIRED, Outcome.INHERITED, Outcome.INHERITED], delay)

"""The outcome: whose deadline it was of several that passed, and what is late."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.support import figures, running_loop, running_task
from tests.support.watching import now
from tracedtimeout import Outcome, Timeout, timeout, with_timeout
from tracedtimeout._core import _deciding
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


async def test_a_count_that_was_taken_back_inside_is_no_other_deadlines() -> None:
    """Who was cancelled before, and takes that back in a timeout, is ended by the deadline around, as in asyncio."""

    async def main() -> tuple[object, int]:
        task = running_task()
        asyncio.get_running_loop().call_soon(task.cancel)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(50.0)
        with pytest.raises(TimeoutError):
            async with timeout(2.0) as outer, timeout(9.0):
                task.uncancel()
                await asyncio.sleep(50.0)
        return outer.outcome, task.cancelling()

    assert await asyncio.create_task(main()) == (Outcome.EXPIRED, 0)


async def test_what_is_known_of_nests_that_end_is_bounded() -> None:
    """It is let go of where it grows large, and worked out anew."""
    around = state_of(running_loop()).around
    around.update(dict.fromkeys(range(1_000)))
    with suppress(TimeoutError):
        async with timeout(1.0, name="outer"), timeout(8.0) as between, timeout(9.0) as inner:
            await asyncio.sleep(50.0)
    assert (inner.owner, between.owner, len(around)) == ("outer", "outer", 0)


async def test_an_error_of_a_call_is_no_answer_unless_a_framework_takes_it_for_one() -> None:
    """A decorated function that raises has failed."""

    @with_timeout(1.0, name="decorated")
    async def decorated() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await decorated()
    assert figures("decorated")["duration"] == {"failed": 1}


# What is kept of those around

Level = tuple[str, float]


ANY = ["timeout"] * 5 + ["task"] * 2 + ["cleans up", "is cancelled", "gathers", "swallows", "generates"]
CHAINS = ["timeout"] * 6 + ["task"] * 4 + ["cleans up", "is cancelled"]
"""Of tasks that wait for each other: each timeout that fires cancels all those within."""


def nest(seed: int) -> list[Level]:
    """Timeouts, tasks and clean-ups around each other; of most timeouts the deadline comes, and of many at once."""
    dice = random.Random(seed)
    kinds, delays = (CHAINS, (1.0, 1.0, 1.0, 0.5)) if seed % 2 else (ANY, (1.0, 1.0, 1.0, 1.5, 2.0, 0.5, 9.0))
    return [(dice.choice(kinds), dice.choice(delays)) for _ in range(dice.randint(3, 14))]


async def run_through(levels: list[Level], opened: list[Timeout]) -> None:
    """Wait inside of all `levels`."""
    if not levels:
        await asyncio.sleep(50.0)
        return
    (kind, delay), *inner = levels
    work = run_through(inner, opened)
    match kind:
        case "timeout":
            async with timeout(delay, name=f"{len(opened)}") as limited:
                opened.append(limited)
                await work
        case "task":
            await asyncio.create_task(work)
        case "cleans up":
            try:
                await work
            finally:
                await asyncio.sleep(delay / 4.0)
        case "is cancelled":
            running_loop().call_later(delay, running_task().cancel)
            await work
        case "gathers":
            await asyncio.gather(work, run_through(inner[1:], opened))
        case "swallows":
            with suppress(TimeoutError):
                await work
            await asyncio.sleep(0.25)
        case _:

            async def generator() -> AsyncIterator[None]:
                await work
                yield

            async for _ in generator():
                pass


def told_of(levels: list[Level]) -> object:
    """All that can be told of the timeouts of `levels`, when they are over."""

    async def main() -> object:
        opened: list[Timeout] = []
        task = asyncio.create_task(run_through(levels, opened))
        await asyncio.wait([task])
        raised = None if task.cancelled() else repr(task.exception())
        return raised, [(each.outcome, each.owner, each.limit, each.elapsed, each.source) for each in opened]

    return virtually(main())


@pytest.mark.parametrize("first", range(0, 1200, 200))
def test_what_is_kept_of_those_around_changes_nothing(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With it and without, whose deadline ended each of a nest is the same: it saves walks, and no more."""
    nests = [nest(seed) for seed in range(first, first + 200)]
    kept = [told_of(each) for each in nests]
    monkeypatch.setattr(_deciding, "_keep", lambda *_: None)
    assert kept == [told_of(each) for each in nests]

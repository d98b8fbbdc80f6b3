"""The outcome: whose deadline it was of several that passed, and what is late."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.support import figures, running_loop, running_task
from tests.support.watching import now
from tracedtimeout import Outcome, timeout, with_timeout
from tracedtimeout._core._loop import state_of

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

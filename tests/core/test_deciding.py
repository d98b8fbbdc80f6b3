"""The outcome: whose deadline it was of several that passed, and what is late."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.support import running_loop
from tests.support.watching import now
from tracedtimeout import Outcome, timeout

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

"""The chain of deadlines: whose deadline is in force, once one of them has moved."""

from __future__ import annotations

import pytest

from tests.support.watching import now
from tracedtimeout import timeout, timeout_at

pytestmark = pytest.mark.loops("virtual")


async def test_one_that_was_moved_knows_whose_deadline_is_in_force() -> None:
    """That of the one around while it is the earlier; of deadlines that are equal, its own."""
    async with timeout_at(5.0, name="outer") as outer, timeout(9.0, name="inner") as inner:
        for when, owner, source in ((8.0, "outer", "inherited"), (5.0, "inner", "own"), (None, "outer", "inherited")):
            inner.reschedule(when)
            assert (inner.deadline(), inner.owner, inner.source) == (5.0, owner, source)
        async with timeout(1.0, name="innermost") as innermost:
            outer.reschedule(now() + 0.5)
            assert [(each.deadline(), each.owner) for each in (inner, innermost)] == [(0.5, "outer")] * 2
            inner.reschedule(now() + 0.25)
            assert [(each.deadline(), each.owner) for each in (inner, innermost)] == [(0.25, "inner")] * 2

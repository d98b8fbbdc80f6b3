"""The chain of deadlines: whose deadline is in force, once one of them has moved."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.support import running_loop
from tests.support.watching import Ended, now
from tracedtimeout import DeadlineExceeded, Outcome, checkpoint, timeout, timeout_at
from tracedtimeout._core._link import beyond, instant
from tracedtimeout._core._loop import state_of

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


async def test_of_deadlines_that_are_equal_the_innermost_is_the_one_that_code_finds() -> None:
    """As a timer's expiry names each its own."""
    async with timeout_at(5.0, name="outer"), timeout_at(5.0, name="inner"), timeout(9.0):
        running_loop().block(6.0)
        with pytest.raises(DeadlineExceeded) as caught:
            checkpoint()
    assert caught.value.owner == "inner"


async def test_one_that_fired_has_passed_when_it_did_for_whoever_has_its_clock() -> None:
    """For others, in this moment: how long ago, their clock does not tell."""
    with suppress(TimeoutError):
        async with timeout(1.0) as fired:
            try:
                await asyncio.sleep(50.0)
            finally:
                await asyncio.sleep(0.25)
                assert instant(fired, state_of(running_loop())) == 1.0
                assert instant(fired, Elsewhere()) == 77.0


class Elsewhere:
    """Somebody who asks, with another clock."""

    stamp = None

    def clock(self) -> float:
        return 77.0

    stopwatch = clock


async def test_what_a_child_took_that_outlives_its_parent_is_told_by_the_next_one_out() -> None:
    """Of a group around the one that expired: nothing is added to that, which has ended."""
    child = Ended()
    async with timeout(9.0, name="outer") as outer, asyncio.TaskGroup() as group:
        with suppress(TimeoutError):
            async with timeout(1.0, name="between") as between:
                group.create_task(child.watch(delay=5.0, sleep=3.0))
                await asyncio.sleep(50.0)
    assert [(each.name, each.seconds) for each in outer.spent] == [("child", 3.0), ("between", 1.0)]
    assert [(each.name, each.seconds) for each in between.spent] == [("child", 1.0)]


async def test_a_move_with_nothing_beneath_leaves_what_others_know() -> None:
    """Else each would have them all work out their deadlines anew; with a link beneath it does so."""
    here = state_of(running_loop())
    async with timeout(9.0) as mine:
        known = here.stamp
        mine.reschedule(8.0)
        assert here.stamp is known
        async with timeout(5.0):
            mine.reschedule(7.0)
            assert here.stamp is not known


async def test_one_that_fired_has_the_deadline_around_that_was_moved_before_it() -> None:
    """While its task cleared up: what its timer ended it for is its own, and the deadline is what it was at the end."""
    async with timeout(9.0, name="outer") as outer:
        with suppress(TimeoutError):
            async with timeout(2.0, name="inner") as inner:
                try:
                    await asyncio.sleep(50.0)
                finally:
                    outer.reschedule(1.5)
        outer.reschedule(None)
    assert (inner.outcome, inner.deadline(), inner.owner) == (Outcome.EXPIRED, 1.5, "inner")


async def test_of_those_that_fired_each_leads_to_the_first_that_has_not() -> None:
    """Once one has walked there: else whatever opens beneath a deep nest as it ends would walk through all of it."""
    here = state_of(running_loop())
    with suppress(TimeoutError):
        async with timeout(9.0) as outer, timeout(2.0) as between, timeout(1.0) as inner:
            running_loop().call_soon(running_loop().block, 3.0)
            try:
                await asyncio.sleep(50.0)
            finally:
                assert inner._passed_by(here) is between
                assert beyond(inner, here) is outer
                assert [each._passed_by(here) for each in (inner, between, outer)] == [outer] * 3

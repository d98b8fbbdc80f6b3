"""Reserves: what ends some seconds before the deadline around it, wherever that moves, while it is open."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import running_loop
from tracedtimeout import Timeout, timeout
from tracedtimeout._core import _reserves
from tracedtimeout._core._loop import state_of

pytestmark = pytest.mark.loops("virtual")


async def test_a_move_of_another_loop_that_is_heard_of_too_late_moves_nothing() -> None:
    """Who has been left keeps the deadline that it had."""
    async with timeout(5.0):
        async with timeout(9.0, reserve=1.0) as left:
            await asyncio.sleep(0.5)
        stamp = state_of(running_loop()).stamp
        _reserves._rearm_from_elsewhere(left)
        assert (left.deadline(), state_of(running_loop()).stamp) == (4.0, stamp)


async def test_one_that_is_moved_follows_nobody_any_more() -> None:
    """Its own deadline is what its user says, wherever the one around it goes; and that does not know of it."""
    async with timeout(5.0) as outer, timeout(None, reserve=1.0) as inner:
        assert inner.when() == 4.0
        inner.reschedule(2.0)
        outer.reschedule(9.0)
        assert (inner.when(), inner.deadline()) == (2.0, 2.0)
        assert inner not in (outer._more.reserving or {})


async def test_one_follows_wherever_those_around_it_move() -> None:
    """Whichever of them, at once, and no further than was asked; `_started` is what it was."""
    async with timeout(20.0) as outer, timeout(15.0), timeout(10.0, reserve=1.0) as inner:
        await asyncio.sleep(0.5)
        told = []
        for when in (8.0, 6.0, 30.0, None):
            outer.reschedule(when)
            told.append(inner.when())
        assert told == [7.0, 5.0, 10.0, 10.0]
    assert inner.elapsed == 0.5


async def test_one_whose_parent_was_left_follows_the_next_one_out_beside_those_of_that() -> None:
    """Each moves with it."""

    async def child() -> Timeout:
        async with timeout(None, reserve=1.0) as mine:
            await asyncio.sleep(2.0)
        return mine

    async with timeout(30.0), timeout(20.0) as outer:
        own = asyncio.create_task(child())
        await asyncio.sleep(0)
        async with timeout(10.0):
            other = asyncio.create_task(child())
            await asyncio.sleep(1.0)
        outer.reschedule(15.0)
        assert [(await each).when() for each in (own, other)] == [14.0, 14.0]


async def test_those_who_hold_a_reserve_are_known_while_they_do() -> None:
    """One of two that is left is forgotten, and not the other; with the last, those further out know of nobody."""

    async def child(seconds: float) -> Timeout:
        async with timeout(None, reserve=1.0) as mine:
            await asyncio.sleep(seconds)
        return mine

    async with timeout(20.0) as outer, timeout(15.0) as between:
        brief, other = asyncio.create_task(child(1.0)), asyncio.create_task(child(3.0))
        await brief
        outer.reschedule(6.0)
        assert (await other).when() == 5.0
        assert (between._more.reserving, outer._more.reserving) == ({}, {})

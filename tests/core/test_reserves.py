"""Reserves: what ends some seconds before the deadline around it, wherever that moves, while it is open."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import running_loop
from tracedtimeout import timeout
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

"""The timeouts that are open now: timed, with no deadline, unwinding, and none of a loop that is gone."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress

import pytest

from tests.support.watching import Ended
from tracedtimeout import budget, detach, timeout
from tracedtimeout._core._loop import state_of
from tracedtimeout._core._open import open_timeouts

pytestmark = pytest.mark.loops("virtual")


def names() -> set[str]:
    return {each.name for each in open_timeouts()}


async def test_what_is_open_is_listed_whatever_holds_it() -> None:
    """With a deadline, with none, in a task of its own, and while it cleans up; what was left is not, nor a budget."""
    child = Ended()
    async with timeout(None, name="unlimited"):
        task = asyncio.create_task(child.watch(name="child"))
        await asyncio.sleep(0)
        with budget(5.0), suppress(TimeoutError):
            async with timeout(1.0, name="limited"):
                async with timeout(None, name="left"):
                    pass
                assert names() == {"unlimited", "child", "limited"}
                try:
                    await asyncio.sleep(50.0)
                finally:
                    assert names() == {"unlimited", "child", "limited"}
        assert names() == {"unlimited", "child"}
    task.cancel()
    await asyncio.wait([task])
    assert names() == set()


async def test_one_that_cleans_up_where_nothing_is_inherited_is_listed() -> None:
    """No context leads to it, and no lane holds it."""
    with suppress(TimeoutError):
        async with timeout(1.0, name="limited"):
            try:
                await asyncio.sleep(50.0)
            finally:
                with detach():
                    assert names() == {"limited"}


def test_a_loop_that_is_gone_has_none() -> None:
    """Though somebody holds its state."""
    loop = asyncio.new_event_loop()
    state = state_of(loop)
    loop.close()
    del loop
    gc.collect()
    assert state.loop() is None
    assert names() == set()

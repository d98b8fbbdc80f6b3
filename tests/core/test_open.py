"""The timeouts that are open now: timed, with no deadline, unwinding, and none of a loop that is gone."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tests.support.watching import Ended
from tracedtimeout import budget, timeout
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

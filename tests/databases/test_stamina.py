"""The budget in stamina, by a hook of one line, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.flaky import BusyError, Flaky, ended
from tracedtimeout import DeadlineExceeded, budget, checkpoint, remaining, timeout

stamina = pytest.importorskip("stamina", reason="pip install -e '.[databases]'")
pytestmark = pytest.mark.loops("virtual")

WAIT, NEEDED = 0.25, 0.1


def worth_another(error: Exception) -> bool:
    """The hook of docs/retries.md: asked before each wait, it says no where the longest leaves no time."""
    return isinstance(error, BusyError) and remaining() > WAIT + NEEDED


EVENLY: dict[str, Any] = {
    "on": worth_another,
    "attempts": None,
    "timeout": None,
    "wait_initial": WAIT,
    "wait_max": WAIT,
    "wait_jitter": 0.0,
}


async def test_the_hook_stops_before_the_wait() -> None:
    """Its hook knows the budget as well: the last attempt's own error is raised before a wait that would outlast it."""
    service = Flaky()

    async def order() -> str:
        return await service()

    retried = stamina.retry(**EVENLY)(order)
    async with timeout(1.0):
        assert await ended(retried, BusyError) == 0.8
    assert service.asked == [0.0, 0.35, 0.7]


async def test_a_deadline_is_not_retried() -> None:
    """A DeadlineExceeded is not among what the hook retries; without a budget it stops nothing."""
    service = Flaky(answers_at=20)

    async def order() -> None:
        async for attempt in stamina.retry_context(**EVENLY):
            with attempt:
                await service()
                checkpoint()

    with budget(100.0):
        await order()
    assert len(service.asked) == 20
    with budget(0.0):
        assert await ended(order, DeadlineExceeded) == 0.1
    assert len(service.asked) == 21

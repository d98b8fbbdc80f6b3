"""Firing: an expiry goes on where the facts of the moment cannot be taken, and where a turn is broken off."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.strikes import OURS, Strikes
from tests.support import running_loop
from tests.support.watching import now
from tracedtimeout import DeadlineExceeded, Outcome, timeout
from tracedtimeout._core._lanes import LINGER

pytestmark = pytest.mark.loops("virtual")


async def struck(function: str, error: BaseException, delay: float) -> tuple[object, float, bool] | None:
    """How a timeout of so many seconds ends where `error` is raised at the first line of `function`, and when."""

    def strike() -> None:
        raise error

    async def expires() -> tuple[object, float, bool] | None:
        started = now()
        try:
            async with timeout(delay) as one:
                await asyncio.sleep(50.0)
        except DeadlineExceeded as exc:
            return one.outcome, now() - started, exc.owner == one.name
        return None

    expected = await expires()
    lines = Strikes(OURS)
    lines.start()
    await expires()
    lines.stop()
    first = min(number for number, line in enumerate(lines.lines) if line.function == function)
    strikes = Strikes(OURS, at=first, act=strike)
    strikes.start()
    found = await expires()
    strikes.stop()
    assert strikes.struck is not None
    assert expected == (Outcome.EXPIRED, max(delay, 0.0), True)
    return found


async def test_an_expiry_whose_facts_cannot_be_taken_is_one_all_the_same() -> None:
    """Where memory is short: it ends what it is to end, and its owner is itself."""
    assert await struck("_facts", MemoryError(), 2.0) == (Outcome.EXPIRED, 2.0, True)


@pytest.mark.parametrize("delay", [2.0, -1.0])
async def test_a_turn_that_is_broken_off_comes_again(delay: float) -> None:
    """Of the loop's timer, at once; of one due as it was entered, soon after. The loop is told of the error."""
    told: list[object] = []
    running_loop().set_exception_handler(lambda _, context: told.append(context.get("exception")))
    error = RuntimeError("struck")
    assert await struck("fire", error, delay) == (Outcome.EXPIRED, 2.0 if delay > 0.0 else LINGER, True)
    assert told == [error]

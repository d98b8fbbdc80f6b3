"""Random programs behave under us as they do under asyncio, to the letter; and as the model says beyond that."""

from __future__ import annotations

import os
import random

from hypothesis import HealthCheck, given, settings

from . import strategies
from .programs import Body, Library, execute
from .reference import ASYNCIO, OURS

PROGRAMS = int(os.environ.get("TRACEDTIMEOUT_PROGRAMS", "2000"))

many = settings(max_examples=PROGRAMS // 4, deadline=None, suppress_health_check=list(HealthCheck), database=None)


def agree(program: Body, ours: Library, reference: Library) -> None:
    """Assert that both show the same. Where timers of several tasks come due at once, their order is no promise of
    asyncio's: there the same as under some order is asked for."""
    expected = execute(program, reference)
    seen = execute(program, ours)
    if seen.events == expected.events:
        return
    if len(expected.tasks) > 1 and expected.loop.crowded:
        for seed in range(300):
            if execute(program, reference, random.Random(seed)).events == seen.events:
                return
    assert seen.events == expected.events


@many
@given(strategies.one_task)
def test_one_task_sees_what_asyncio_shows_it(program: Body) -> None:
    """Programs of one task agree with asyncio to the letter: result, exceptions, counts, and every event's time."""
    agree(program, OURS, ASYNCIO)


@many
@given(strategies.structured)
def test_structured_programs_see_what_asyncio_shows_them(program: Body) -> None:
    """Programs whose child tasks are awaited by their creator agree with asyncio."""
    agree(program, OURS, ASYNCIO)

"""Whatever the order of what is ready, and wherever threads change: what must hold, holds; and faults are found."""

from __future__ import annotations

import os

import pytest

from .planted import PLANTED, find
from .play import faults, trace_of

SEEDS = int(os.environ.get("TRACEDTIMEOUT_SEEDS", "2000"))
IN_THREADS = SEEDS // 50
"""Seeds of two loops in threads: thirty milliseconds each, for every line of the core is stopped at."""


def test_no_schedule_breaks_a_loop() -> None:
    """On one loop with its ready callbacks in any order, cancellations are balanced, counts exact, timers in time."""
    assert list(faults(range(SEEDS - IN_THREADS), loops=1)) == []


def test_no_schedule_breaks_two_loops_in_threads() -> None:
    """The same of two loops that give each other work, and of a reader, with threads changing at lines of the core."""
    assert list(faults(range(SEEDS, SEEDS + IN_THREADS), loops=2)) == []


@pytest.mark.parametrize("loops", [1, 2])
def test_a_seed_plays_the_same_again(loops: int) -> None:
    """Programs show the same events, so that what a seed finds can be looked at."""
    trace_of(7, loops)
    assert trace_of(7, loops) == trace_of(7, loops)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    """Each is a change of the core's source, which stands where the pattern says."""
    assert PLANTED[fault].modules(), "the pattern finds no line of the core any more: plant the fault elsewhere"
    assert find(fault) != ""

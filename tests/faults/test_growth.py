"""What one timeout costs does not grow with how many there are: not with depth, siblings, children, or generations."""

from __future__ import annotations

import os

import pytest

from tracedtimeout._core._hot import IMPLEMENTATION

from .growth import CASES, cost

SMALL = 400 if "TRACEDTIMEOUT_FAULTS" in os.environ else 40

MANY = 400
"""More than a loop has lanes: up to there, one that is out of order looks at each."""

MANY_LIMITS = ("at_depth", "at_depth_in_a_child", "beside_other_limits", "leaving_a_nest", "moving_a_nest")

FLAT = 1.1 if IMPLEMENTATION == "python" else 1.2
"""Times that a step may cost at ten times the size: dicts and heaps are a little more to do. The compiled hot path
leaves to the Python, where instructions count, those past the number of lanes: more of many than of few."""


@pytest.mark.parametrize("step", CASES)
def test_a_step_costs_the_same_beside_ten_times_as_many(step: str) -> None:
    """Instructions are counted, not time; where asyncio's own cost grows, ours may as much."""
    small = MANY if step in MANY_LIMITS else SMALL
    ours, theirs = ([cost(CASES[step], who, size) for size in (small, 10 * small)] for who in ("ours", "asyncio"))
    assert ours[1] / ours[0] <= max(FLAT, theirs[1] / theirs[0]), (ours, theirs)

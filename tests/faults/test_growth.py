"""What one timeout costs does not grow with how many there are: not with depth, siblings, children, or generations."""

from __future__ import annotations

import os

import pytest

from .growth import CASES, cost

SMALL = 400 if "TRACEDTIMEOUT_FAULTS" in os.environ else 40

MANY = 400
"""More than a loop has lanes: up to there, one that is out of order looks at each."""

OUT_OF_ORDER = ("at_depth", "at_depth_in_a_child", "beside_other_limits", "moving_a_nest")

FLAT = 1.1
"""Times that a step may cost at ten times the size: dicts and heaps are a little more to do."""


@pytest.mark.parametrize("step", CASES)
def test_a_step_costs_the_same_beside_ten_times_as_many(step: str) -> None:
    """Instructions are counted, not time; where asyncio's own cost grows, ours may as much."""
    small = MANY if step in OUT_OF_ORDER else SMALL
    ours, theirs = ([cost(CASES[step], who, size) for size in (small, 10 * small)] for who in ("ours", "asyncio"))
    assert ours[1] / ours[0] <= max(FLAT, theirs[1] / theirs[0]), (ours, theirs)

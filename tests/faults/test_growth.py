"""What one timeout costs does not grow with how many there are: not with depth, siblings, children, or generations."""

from __future__ import annotations

import os

import pytest

from .growth import CASES, cost

SMALL = 400 if "TRACEDTIMEOUT_FAULTS" in os.environ else 40
LARGE = 10 * SMALL

FLAT = 1.1
"""Times that a step may cost at ten times the size: dicts and heaps are a little more to do."""

TODAY = {
    "at_depth": "5499, 39732",
    "at_depth_in_a_child": "5183, 35456",
    "leaving_a_nest": "1454, 11851",
    "beside_other_limits": "5187, 35247 (it is as deep)",
    "leaving_children": "13905, 131625",
    "moving_a_nest": "1855, 15175",
    "moving_children": "2199, 18759",
    "nest_expires": "1766, 5485",
    "overlapping_generations": "1092, 5052",
    "open_generations": "1092, 5052",
}
"""Steps whose cost grows: instructions at 40 and at 400, on 3.12."""

STEPS = [
    pytest.param(name, marks=pytest.mark.xfail(reason=TODAY[name], strict=True) if name in TODAY else ())
    for name in CASES
]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_costs_the_same_beside_ten_times_as_many(step: str) -> None:
    """Instructions are counted, not time; where asyncio's own cost grows, ours may as much."""
    ours, theirs = ([cost(CASES[step], who, size) for size in (SMALL, LARGE)] for who in ("ours", "asyncio"))
    assert ours[1] / ours[0] <= max(FLAT, theirs[1] / theirs[0]), (ours, theirs)

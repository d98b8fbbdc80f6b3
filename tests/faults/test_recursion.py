"""A stack that is exhausted in or around timeouts leaves nothing: no cancellation, no timer, no figure."""

from __future__ import annotations

import gc
import sys

import pytest

from .libraries import LIBRARIES
from .recursion import WAYS, after_exhaustion

OFFSETS = 32
"""How far apart the stacks end: further than any call of ours is deep."""


TODAY = {
    "with_block": "16 of 32 cancel a stranger",
    "with_reserve": "of 32, 16 leave active off",
    "waiting": "22 of 32 cancel a stranger",
    "decorated": "of 32, 8 to 16 leave active off, before 3.13",
    "moved": "16 of 32 cancel a stranger",
}

FAILING = [
    pytest.param(
        way,
        marks=pytest.mark.xfail(way != "decorated" or sys.version_info < (3, 13), reason=TODAY[way], strict=True),
    )
    for way in WAYS
]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")  # its call had no room
@pytest.mark.parametrize("way", FAILING)
def test_an_exhausted_stack_leaves_nothing(way: str) -> None:
    """RecursionError, caught at the top, is what is seen, wherever in a timeout the stack ends."""
    gc.collect()  # so that nobody else's garbage is collected at the end of the stack
    found = {offset: after_exhaustion(LIBRARIES["ours"], WAYS[way], offset) for offset in range(OFFSETS)}
    assert {offset: left for offset, left in found.items() if left} == {}

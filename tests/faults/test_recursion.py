"""A stack that is exhausted in or around timeouts leaves nothing: no cancellation, no timer, no figure."""

from __future__ import annotations

import gc

import pytest

from .libraries import LIBRARIES
from .recursion import WAYS, after_exhaustion

OFFSETS = 32
"""How far apart the stacks end: further than any call of ours is deep."""


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")  # its call had no room
@pytest.mark.parametrize("way", WAYS)
def test_an_exhausted_stack_leaves_nothing(way: str) -> None:
    """RecursionError, caught at the top, is what is seen, wherever in a timeout the stack ends."""
    gc.collect()  # so that nobody else's garbage is collected at the end of the stack
    found = {offset: after_exhaustion(LIBRARIES["ours"], WAYS[way], offset) for offset in range(OFFSETS)}
    assert {offset: left for offset, left in found.items() if left} == {}

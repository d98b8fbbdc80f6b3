"""A stack that is exhausted in or around timeouts leaves nothing: no cancellation, no timer, no figure."""

from __future__ import annotations

import asyncio
import gc
import sys

import pytest

from tracedtimeout import Timeout, detach, timeout

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


async def clean_up(made: list[Timeout]) -> None:
    try:
        await clean_up(made)
    finally:
        async with made.pop():
            await asyncio.sleep(0)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")  # as above
def test_what_is_entered_in_the_last_frame_of_the_stack_is_left() -> None:
    """Entering takes no frame where it is compiled, and the clock is; leaving with an exception does."""

    async def main() -> list[str]:
        async with timeout(30.0):  # whose timer is armed, so that none is for the others
            with detach():
                made = [timeout(60.0, name="last") for _ in range(sys.getrecursionlimit())]
                with pytest.raises(RecursionError):
                    await clean_up(made[:])
        return [repr(each) for each in made if "active" in repr(each)]

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        assert runner.run(main()) == []

"""What timeouts of a kind keep when they are over: blocks of memory, and references where the build counts them."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tracedtimeout._core.figures import _process
from tracedtimeout.testing import VirtualClockLoop

from .kinds import KINDS, Kind, repeated

COUNTS = sys.getallocatedblocks() > 0
"""Whether blocks are counted: not by PYTHONMALLOC=malloc."""

FREE = 150
"""Blocks that come and go all the same: lists of free objects, tables that have grown once. A loop has some hundred."""


class Kept(NamedTuple):
    """By how much a number of timeouts left the process larger."""

    times: int
    blocks: int
    references: int
    free: int = FREE

    @property
    def leaks(self) -> bool:
        """One in a hundred left something."""
        return max(self.blocks, self.references) > self.free + self.times // 100

    def __str__(self) -> str:
        counted = f", {self.references} references" if hasattr(sys, "gettotalrefcount") else ""
        return f"{self.times} times, {self.blocks} blocks{counted}{' LEAK' if self.leaks else ''}"


def kept(kind: Kind, times: int, *, threshold: int = 700) -> Kept:
    """Have one loop run `kind` so often, with a collection at each `threshold` allocations."""
    before_threshold = gc.get_threshold()
    # Those who are dropped are named by the loop and by warnings, which is not what is looked at here.
    logging.disable()
    gc.set_threshold(threshold, *before_threshold[1:])
    try:
        with warnings.catch_warnings(), asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            warnings.simplefilter("ignore")
            return _grown(lambda n: runner.run(repeated(kind, n)), times)
    finally:
        gc.set_threshold(*before_threshold)
        logging.disable(logging.NOTSET)


def over_loops(times: int, each: int = 2) -> Kept:
    """Make as many loops, have each run all kinds, and drop it."""
    logging.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _grown(lambda n: _loops(n, each), times)._replace(free=4 * FREE)
    finally:
        logging.disable(logging.NOTSET)


def lines(times: int, kinds: list[str], threshold: int) -> Iterator[str]:
    """A line of text for each kind."""
    for name in kinds or KINDS:
        yield f"{name}: {kept(KINDS[name], times, threshold=threshold)}"


def _loops(times: int, each: int) -> None:
    for _ in range(times):
        with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
            for kind in KINDS.values():
                for _ in range(each):
                    runner.run(kind())


def _grown(run: Callable[[int], None], times: int) -> Kept:
    run(max(times // 10, 2))  # what is made once is made now, and free lists are full
    blocks, references = _now()
    run(times)
    after = _now()
    return Kept(times, after[0] - blocks, after[1] - references)


def _now() -> tuple[int, int]:
    for _ in range(3):
        gc.collect()
        _process.snapshot()  # figures of loops that are gone are added up
    return sys.getallocatedblocks(), getattr(sys, "gettotalrefcount", int)()

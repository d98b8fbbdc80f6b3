"""One allocation fails, each of those that a timeout makes in turn: the process survives it, and so does its loop.

Only kinds that never wait. Where one waits, the interpreter and asyncio's loop allocate as well, and CPython (3.11 to
3.13) ends by a segmentation fault for some of those, with the Python as with the C.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout.testing import VirtualClockLoop

from . import kinds
from .kinds import KINDS, Kind

hooks: Any = importlib.import_module("_testcapi")

FREE = 3
"""Blocks that a round may keep. (CPython 3.11 and 3.12 keep some of their own, with either twin.)"""

LOST = 4
"""Timeouts that a round may leave open: an exit whose coroutine there is no memory for is none, as with asyncio, which
cancels its task all the same when the deadline comes."""

STRAY = "later CancelledError"

MOST = 5000
"""Allocations that no kind makes."""

STEADY = [
    name
    for name, kind in KINDS.items()
    if kind
    not in {
        kinds.slow,
        kinds.expired,
        kinds.inherited,
        kinds.cancelled,
        kinds.closed,
        kinds.abandoned,
        kinds.as_a_task,
        kinds.waited_in_vain,
        kinds.child,
        kinds.orphan,
        kinds.refused,
        kinds.stacked,
    }
]
"""Kinds that never give their loop a turn; but for `complex()` and `AsyncExitStack`, which withstand no failure."""


class Swept(NamedTuple):
    """What failures of each allocation of a kind did."""

    rounds: int
    points: int
    """Allocations that failed, one at a time."""
    ends: Counter[str]
    """How the step ended."""
    faults: Counter[str]
    """What was not as it should be afterwards."""
    blocks: int
    """That a round kept, at the least: what is left, each round leaves."""
    open: int
    """Timeouts that are counted as open for good."""

    @property
    def leaks(self) -> bool:
        return self.blocks > FREE and sys.version_info >= (3, 13)

    @property
    def wrong(self) -> list[str]:
        """What is not as it should be."""
        found = [f"{times} {fault}" for fault, times in sorted(self.faults.items()) if fault != STRAY]
        if max(self.open, self.faults[STRAY]) > LOST * self.rounds:
            found.append("more is lost than exits")
        return found + ["blocks are kept"] * self.leaks

    def __str__(self) -> str:
        ends = ", ".join(f"{times} {end}" for end, times in sorted(self.ends.items()))
        return (
            f"{self.rounds} times {self.points} failed, ending in {ends}; {self.open} left open, {self.faults[STRAY]} "
            f"cancelled later, {self.blocks} blocks kept{''.join(f', FAULT {each}' for each in self.wrong)}"
        )


def swept(kind: Kind, rounds: int) -> Swept:
    """Fail each allocation of `kind` once, in loops of their own, so often over."""
    ends: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    points, blocks = 0, sys.maxsize
    logging.disable()
    hook, sys.unraisablehook = sys.unraisablehook, lambda args: None
    opened = _open()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(rounds):
                before = _blocks()
                points = _round(kind, ends, faults)
                blocks = min(blocks, _blocks() - before)
    finally:
        sys.unraisablehook = hook
        logging.disable(logging.NOTSET)
    return Swept(rounds, points, ends, faults, blocks, _open() - opened)


def lines(rounds: int, names: list[str]) -> Iterator[str]:
    """A line of text for each kind."""
    for name in names or STEADY:
        yield f"{name}: {swept(KINDS[name], rounds)}"


def _round(kind: Kind, ends: Counter[str], faults: Counter[str]) -> int:
    for at in range(1, MOST):
        try:
            with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
                reached = runner.run(_trial(kind, at, ends, faults))
        except (MemoryError, RuntimeError, asyncio.CancelledError) as exc:  # its loop was hit
            hooks.remove_mem_hooks()
            faults[f"loop {type(exc).__name__}"] += 1
            reached = True
        if not reached:
            return at - 1
    raise AssertionError(f"{kind.__name__} allocates more than {MOST} times")


async def _trial(kind: Kind, at: int, ends: Counter[str], faults: Counter[str]) -> bool:
    """Whether allocation number `at` was one of the kind's."""
    for _ in range(2):
        await kind()
    end = "nothing"
    hooks.set_nomemory(at, at + 1)
    try:
        await kind()
    except BaseException as exc:
        end = type(exc).__name__
    reached = not _still_to_come()
    hooks.remove_mem_hooks()
    if reached:
        ends[end] += 1
        if end not in {"nothing", "MemoryError", "SystemError"}:
            faults[end] += 1
    task = asyncio.current_task()
    assert task is not None
    if task.cancelling():
        faults["cancelling"] += 1
        task.uncancel()
    await _as_good_as_new(kind, faults)
    return reached


def _still_to_come() -> bool:
    try:
        for _ in range(MOST):
            object()
    except MemoryError:
        return True
    return False


async def _as_good_as_new(kind: Kind, faults: Counter[str]) -> None:
    try:
        await kind()
        await kinds.expired()
        await kinds.falling()
    except (Exception, asyncio.CancelledError) as exc:
        faults[f"later {type(exc).__name__}"] += 1


def _blocks() -> int:
    for _ in range(3):
        gc.collect()
        _process.snapshot()
    return sys.getallocatedblocks()


def _open() -> int:
    for _ in range(3):
        gc.collect()
    found = _process.snapshot().get(_metrics.ACTIVE, {})
    return sum(value for value in found.values() if isinstance(value, int))

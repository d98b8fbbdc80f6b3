"""One queue of timeouts: in the order of their deadlines, each with a timer of its own, or never timed."""

from __future__ import annotations

import asyncio
import math
from typing import Any, Protocol

SOON = 0.001
"""Seconds from being made to being entered within which a timeout began as it was made."""

INF = math.inf


class Entry(Protocol):
    """Something that can be timed."""

    _lane: Any

    def _timer_ran(self, when: float, lane: Lane, now: float, by_timer: bool) -> None:
        """`when`, at which `lane` has it, is not after `now`; not `by_timer` where it was due as it was queued."""


class Lane(dict[Any, float]):
    """Timeouts in the order of their deadlines, mostly of one delay."""

    __slots__ = ("delay", "fresh", "here", "holds", "pending", "tail")

    def __init__(self, here: Any, delay: float = INF) -> None:
        super().__init__()
        self.here = here
        """The loop's state."""
        self.delay = delay
        """Seconds from the beginning of each entry to its deadline; ``inf`` where they differ."""
        self.fresh = INF if delay == INF else max(0.0, delay - SOON)
        """Seconds of the delay that must be left as a timeout is entered, for it to have begun as it was made."""
        self.tail = -INF
        """The latest deadline ever appended."""
        self.holds = True
        """True if the lane holds its entries."""
        self.pending: dict[Any, None] = here.pending
        """The loop's, see there."""


class Loose(Lane):
    """Timeouts that have a timer of their own each: due as they were timed, or one delay too many."""

    __slots__ = ("handles",)

    def __init__(self, here: Any) -> None:
        super().__init__(here)
        self.tail = math.nan  # nothing is in order here
        self.handles: dict[Any, asyncio.Handle] = {}

    def hold(self, entry: Any, when: float, handle: asyncio.Handle) -> None:
        handles, old = self.handles, self.handles.get(entry)
        # fmt: off
        handles[entry] = handle; self[entry] = when; entry._lane = self  # one step
        # fmt: on
        if old is not None:
            old.cancel()

    def __delitem__(self, entry: Any) -> None:
        super().__delitem__(entry)
        if (handle := self.handles.pop(entry, None)) is not None:  # else an exception broke `pop` off
            handle.cancel()

    def pop(self, entry: Any, *default: Any) -> Any:
        handle = self.handles.pop(entry, None)
        if handle is not None:
            handle.cancel()
        return super().pop(entry, *default)


class Untimed(Lane):
    """The lane of timeouts that no timer ends. It holds none of them: a dropped one with no deadline is not kept."""

    __slots__ = ()

    def __init__(self, here: Any) -> None:
        super().__init__(here)
        self.tail = math.nan
        self.holds = False

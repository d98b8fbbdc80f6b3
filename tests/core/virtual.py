"""A virtual event loop for random programs: time passes when nobody is ready, and the order of ties can be chosen."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping
from typing import Any

Order = tuple[int, ...]
"""Which of those that came due runs first, second and so on."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop with no selector, whose clock jumps to the next timer; it stops when none is left.

    Timers that come due in the same iteration, a crowd, run in the order of asyncio's heap, or in that which `orders`
    has for the crowd of that number. So do those that the model of the budget ends at once. `crowds` has the size of
    each, and the `progress` that its user had made by then.
    `delayed` says whether the clock was moved while handles of the same iteration had still to run.
    """

    _tracedtimeout_virtual = True  # said, and not found out: a machine that pauses might make it look real
    _ready: Any
    _scheduled: Any

    def __init__(self, orders: Mapping[int, Order] | None = None) -> None:
        super().__init__()
        self.now = 0.0
        self.crowds: list[tuple[int, int]] = []
        self.progress = 0
        self.delayed = False
        self.created = 0  # tasks, for who numbers them
        self.open: list[Any] = []  # for the model of the budget
        self._orders = orders or {}
        self._left = 0

    def block(self, seconds: float) -> None:
        """Let time pass for who is running, and for everybody."""
        self.now += seconds
        self.delayed = self.delayed or (seconds > 0 and self._left > 0)

    def time(self) -> float:
        return self.now

    def in_order(self, crowd: list[Any]) -> list[Any]:
        """`crowd`, of which nothing says who comes first, in the order that is chosen for it."""
        if len(crowd) > 1:
            crowd = [crowd[place] for place in self._orders.get(len(self.crowds), range(len(crowd)))]
            self.crowds.append((len(crowd), self.progress))
        return crowd

    def _run_once(self) -> None:
        timers = self._scheduled
        while timers and timers[0].cancelled():
            heapq.heappop(timers)
        if not self._ready:
            if not timers:
                self.stop()
                return
            self.now = max(self.now, timers[0].when())
        due = []
        while timers and timers[0].when() <= self.now:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            if not timer.cancelled():
                due.append(timer)
        self._ready.extend(self.in_order(due))
        self._left = len(self._ready)
        while self._left:
            self._left -= 1
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector, so nobody is to be woken."""

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no files."""

    def pending_timers(self) -> list[asyncio.TimerHandle]:
        return [timer for timer in self._scheduled if not timer.cancelled()]

"""A virtual event loop for random programs: time passes when nobody is ready, and the order of ties can be chosen."""

from __future__ import annotations

import asyncio
import heapq
import random
from typing import Any


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop with no selector, whose clock jumps to the next timer; it stops when none is left.

    Timers that come due in the same iteration run in the order that `shuffle` gives them, else in that of asyncio's heap.
    `crowded` counts the iterations that had several.
    """

    _ready: Any
    _scheduled: Any

    def __init__(self, shuffle: random.Random | None = None) -> None:
        super().__init__()
        self.now = 0.0
        self.crowded = 0
        self.created = 0
        self._shuffle = shuffle

    def time(self) -> float:
        return self.now

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
        if len(due) > 1:
            self.crowded += 1
            if self._shuffle is not None:
                self._shuffle.shuffle(due)
        self._ready.extend(due)
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector, so nobody is to be woken."""

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no files."""

    def pending_timers(self) -> list[asyncio.TimerHandle]:
        return [timer for timer in self._scheduled if not timer.cancelled()]

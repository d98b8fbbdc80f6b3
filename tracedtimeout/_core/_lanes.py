"""The timers of one event loop: queues of deadlines in order, under one timer of the loop.

asyncio pays a TimerHandle, a heap push and a sweep of cancelled handles for every timeout, nearly none of which fire.
Timeouts of one name are mostly entered in the order of their deadlines, so a plain queue (a dict: ordered, with removal
from the middle) holds them: enter is an append, exit a removal, and one timer stands at the earliest head. A deadline
that is out of order goes to another lane, and past `MOST` lanes to a timer of its own.
"""

from __future__ import annotations

import asyncio
import math
import weakref
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Protocol

MOST = 16
"""Lanes to a loop. Thousands of random delays need more than anybody should scan; beyond these, `call_at`."""

LINGER = 0.02
"""Seconds that the timer may outlive the last deadline: cancelling it at each exit would cost what it saves."""


class Entry(Protocol):
    """What can be timed."""

    def _on_timeout(self, *, by_timer: bool = True) -> None: ...


class Lane:
    """Deadlines in ascending order. `tail` is the latest ever appended; `entries` are those that are left."""

    __slots__ = ("entries", "tail")

    def __init__(self) -> None:
        self.entries: dict[Entry, float] = {}
        self.tail = -math.inf


class Lanes:
    """Every deadline of one loop. All of it runs in the loop's thread, its callbacks in a Context of their own."""

    __slots__ = (
        "_clock",
        "_context",
        "_handle",
        "_lanes",
        "_linger",
        "_loop",
        "_resolution",
        "_sweeping",
        "armed",
        "idle",
        "loose",
        "unbounded",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], *, resolution: float, linger: float
    ) -> None:
        self._loop = weakref.ref(loop)  # the loop owns us; a cycle would wait for the garbage collector
        self._clock = clock
        self._resolution = resolution
        self._linger = linger
        self._sweeping = False
        self._context = Context()  # a request's Context would live on in a timer that it armed
        self._handle: asyncio.TimerHandle | None = None
        self._lanes = [Lane()]
        self.armed = math.inf
        """When the timer will run."""
        self.idle = True
        """No timer is armed, or a sweep is already on its way: an emptied lane needs nothing done."""
        self.loose: dict[Entry, asyncio.Handle] = {}
        """Deadlines with a timer of their own."""
        self.unbounded: dict[Entry, float] = {}
        """Entries that have no deadline now. They are never timed, and held for those who list what is open."""

    def first(self) -> Lane:
        return self._lanes[0]

    def arm(self, when: float) -> None:
        """Have the timer run at `when`, which is earlier than it would."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._open_loop().call_at(when, self._tick, context=self._context)
        self.armed = when
        self.idle = self._sweeping

    def place(self, entry: Entry, when: float) -> tuple[dict[Entry, float] | dict[Entry, asyncio.Handle], Lane | None]:
        """Queue `entry` for `when`, in order or not, due or not; returns the dict it is in, and its lane if any.

        To take it out again, delete it from that dict; from `loose`, cancel what it held.
        """
        if when <= self._clock():
            fire = partial(entry._on_timeout, by_timer=False)
            self.loose[entry] = self._open_loop().call_soon(fire, context=self._context)
            return self.loose, None
        return self.queue(entry, when)

    def queue(self, entry: Entry, when: float) -> tuple[dict[Entry, float] | dict[Entry, asyncio.Handle], Lane | None]:
        """`place`, for what is not due yet."""
        lane = self._lane_for(when)
        if lane is None:
            self.loose[entry] = self._open_loop().call_at(when, entry._on_timeout, context=self._context)
            return self.loose, None
        lane.entries[entry] = when
        lane.tail = when
        if when < self.armed:
            self.arm(when)
        return lane.entries, lane

    def is_due(self, when: float) -> bool:
        """Whether the timer of `when` would run now: as in asyncio, within the clock's resolution is due."""
        return when <= self._clock() + self._resolution

    def is_firing(self, entry: Entry) -> bool:
        """Whether `entry` was due as it was queued: then its turn has come, and it is to keep its place in it."""
        held = self.loose.get(entry)
        return held is not None and not hasattr(held, "when")

    def rest(self) -> None:
        """A lane was emptied: see to it that the timer does not stay for long if all of them are."""
        loop = self._loop()
        if self._linger and loop is not None and not loop.is_closed():
            self.idle = self._sweeping = True
            loop.call_later(self._linger, self._sweep, context=self._context)
        else:
            self._sweep()

    def entries(self) -> list[Entry]:
        """All that is open, timed or not, as it stands. Safe in any thread."""
        found = [*self.unbounded, *self.loose]
        for lane in self._lanes:
            found += list(lane.entries)
        return found

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        loop = self._loop()
        assert loop is not None  # it is running the caller
        return loop

    def _lane_for(self, when: float) -> Lane | None:
        """The lane in which `when` is in order and wastes least, or an empty or new one, or None."""
        best = None
        for lane in self._lanes:
            if not lane.entries:
                lane.tail = -math.inf
                return best or lane
            if lane.tail <= when and (best is None or lane.tail > best.tail):
                best = lane
        if best is None and len(self._lanes) < MOST:
            best = Lane()
            self._lanes.append(best)
        return best

    def _tick(self) -> None:
        """Fire what is due, in the order of the deadlines, and stand at the next one."""
        self._handle = None
        self.armed = math.inf
        self.idle = True  # what is emptied here needs nothing done
        now = self._clock() + self._resolution  # see is_due
        due: list[tuple[float, Entry]] = []
        for lane in self._lanes:
            for entry, when in lane.entries.items():
                if when > now:
                    break
                due.append((when, entry))
        due.sort(key=_when)
        try:
            for _, entry in due:
                entry._on_timeout()
        finally:
            head = min((next(iter(lane.entries.values())) for lane in self._lanes if lane.entries), default=math.inf)
            if head < math.inf:
                self.arm(head)
            else:
                self.idle = True

    def _sweep(self) -> None:
        self._sweeping = False
        self.idle = self._handle is None
        if any(lane.entries for lane in self._lanes):
            return
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self.armed = math.inf
        self.idle = True
        for lane in self._lanes:
            lane.entries.clear()  # gives back the memory of a crowd that has left


def _when(due: tuple[float, Entry]) -> float:
    return due[0]

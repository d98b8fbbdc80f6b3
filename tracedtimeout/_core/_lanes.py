"""The timers of one event loop: queues of deadlines in order, under one timer of the loop.

asyncio pays a TimerHandle, a heap push and a sweep of cancelled handles for every timeout, nearly none of which fire.
Timeouts of one delay are entered in the order of their deadlines, so a plain queue (a dict: ordered, with removal from
the middle) holds them: enter is an append, exit a removal, and one timer stands at the earliest head. A deadline that
is out of order goes to another lane, and past `MOST` lanes to a timer of its own.

A timeout takes itself out of its lane in whatever thread it is left, and the garbage collector may leave it at any
allocation: nothing loops over a lane and allocates, but where it is ready to begin anew.
"""

from __future__ import annotations

import asyncio
import math
import operator
import weakref
from collections.abc import Callable
from contextvars import Context
from itertools import repeat
from typing import Any

from ._lane import Entry, Lane, Loose, Untimed

MOST = 64
"""Lanes to a loop. Thousands of random delays need more than anybody should scan; beyond these, `call_at`."""

LINGER = 0.02
"""Seconds that the timer may outlive the last deadline: cancelling it at each exit would cost what it saves."""

HEAL = 0.1
"""Seconds after which a timer that has not run is taken for lost: a signal's exception may break off a tick. (A timer
that is merely overdue must not be replaced by a later one.)"""

INF = math.inf


class Lanes:
    """The lanes of one loop and its timer; the callbacks run in a Context of their own."""

    __slots__ = ("_context", "_handle", "_linger", "_sweeping", "armed", "by_delay", "clock", "heal_at", "idle",
                 "lanes", "loop", "loose", "pending", "resolution", "untimed")  # fmt: skip

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], *, resolution: float, linger: float
    ) -> None:
        self.loop = weakref.ref(loop)  # the loop owns us
        self.clock = clock
        self.resolution = resolution
        """Seconds within which a deadline is due: a timer of the loop may run that much early."""
        self._linger = linger
        self._sweeping = False
        self._context = Context()  # a request's Context would live on in a timer that it armed
        self._handle: asyncio.TimerHandle | None = None
        self.armed = INF
        """The instant at which the timer will run."""
        self.heal_at = INF
        """The instant from which a timer that has not run is lost."""
        self.idle = True
        """No timer is armed, or a sweep is already on its way: an emptied lane needs nothing done."""
        self.pending: dict[Any, None] = {}
        """Timeouts out of their lane and yet to be left: exits that broke off where the stack is at its end."""
        self.lanes: list[Lane] = []
        self.by_delay: dict[float, Lane] = {}
        self.loose = Loose(self)
        self.untimed = Untimed(self)

    def lane_of(self, delay: float) -> Lane:
        """The lane in which timeouts of `delay` seconds queue: one of their own while there are few."""
        lane = self.by_delay.get(delay)
        if lane is None:
            if not 0.0 < delay < INF or (len(self.by_delay) >= MOST and not self._recycle()):
                return self.loose  # each is placed by its deadline
            lane = Lane(self, float(delay))
            # fmt: off
            self.lanes.append(lane); self.by_delay[delay] = lane  # one step: what is found there is timed
            # fmt: on
        return lane

    def place(self, entry: Entry, when: float) -> None:
        """Queue `entry` for `when`, in order or not, due or not; ``inf`` is never. Where it was queued before, it no
        longer is: the new place comes first, so that no exception loses it."""
        old = entry._lane
        lane = self.untimed if when == INF else None if when <= self.clock() else self._lane_for(when)
        if lane is self.untimed:
            entry._lane = lane
        elif lane is None:
            self._hold(entry, when)
        elif lane is old:
            lane.tail = when
            # fmt: off
            lane.pop(entry, None); lane[entry] = when  # one step; in place it would keep its turn
            # fmt: on
        else:
            lane.tail = when
            lane[entry] = when
            entry._lane = lane
        if old is not entry._lane and old is not None:
            old.pop(entry, None)
        if (when < self.armed and lane is not None) or self.heal_at < self.clock():
            self.arm(when)

    def _hold(self, entry: Entry, when: float) -> None:
        """Give `entry` a timer of its own."""
        if when <= self.clock():
            handle = self._open_loop().call_soon(self._turn, entry, False, context=self._context)
        else:
            handle = self._open_loop().call_at(when, self._turn, entry, True, context=self._context)
        self.loose.hold(entry, when, handle)

    def arm(self, when: float) -> None:
        """Have the timer run at `when`, or at once if it is overdue: something broke the last tick off. One that is
        overdue stays: the loop may be about to run it. A tick too many does no harm."""
        old = self._handle
        if when >= self.armed or self.armed <= self.clock():
            when, old = self.clock(), None
        self._handle = self._open_loop().call_at(when, self._tick, when, context=self._context)  # first what may fail
        self.armed, self.heal_at, self.idle = when, when + HEAL, self._sweeping
        if old is not None:
            old.cancel()

    def rest(self) -> None:
        """A lane was emptied: see to it that the timer does not stay for long if all of them are."""
        loop = self.loop()
        if loop is None or loop.is_closed():
            return
        if self._linger:
            loop.call_later(self._linger, self._sweep, context=self._context)
            self.idle = self._sweeping = True
        else:
            self._sweep()

    def is_due(self, when: float) -> bool:
        """True if the timer of `when` would run now: as in asyncio, a deadline within the clock's resolution is due."""
        return when <= self.clock() + self.resolution

    def entries(self) -> list[Entry]:
        """All that is timed, as it stands. Safe in any thread."""
        return [entry for lane in [self.loose, *self.lanes] for entry in list(lane)]

    def _open_loop(self) -> asyncio.AbstractEventLoop:
        loop = self.loop()
        assert loop is not None  # it is running the caller
        return loop

    def _lane_for(self, when: float) -> Lane | None:
        """A lane of mixed delays in which `when` is in order and wastes least, an empty or a new one, or None."""
        best = None
        for lane in self.lanes:
            if lane.delay == INF:
                if not lane:
                    lane.tail = -INF
                    return best or lane
                if lane.tail <= when and (best is None or lane.tail > best.tail):
                    best = lane
        if best is None and len(self.lanes) - len(self.by_delay) < MOST:
            best = Lane(self)
            self.lanes.append(best)
        return best

    def _recycle(self) -> bool:
        """Let go of a lane that is empty, so that another delay has one; whether there was one."""
        for delay, lane in list(self.by_delay.items()):
            if not lane:
                lane.tail = math.nan  # nothing is in order there: who still knows it asks for another
                del self.by_delay[delay]
                self.lanes.remove(lane)
                return True
        return False

    def _due(self, now: float) -> tuple[list[tuple[float, Entry, Lane]], float]:
        """The entries due at `now`, in the order of their deadlines, and the earliest deadline of all others.

        Nothing but C looks at lanes with nothing due: a tick at each of 60 lanes costs what it does at 15.
        """
        found: list[tuple[float, Entry, Lane]] = []
        lanes = self.lanes[:]
        while True:
            try:  # `suppress` would cost as much as all the rest
                heads = [*map(next, map(iter, map(dict.values, lanes)), repeat(INF)), INF]
                break
            except RuntimeError:  # pragma: no cover  # as below, but in C: where threads share no lock
                continue
        while (head := min(heads)) <= now:
            lane = lanes[i := heads.index(head)]
            mark = len(found)
            while True:
                heads[i] = INF
                try:
                    for entry, when in lane.items():
                        if when > now:
                            heads[i] = when
                            break
                        found.append((when, entry, lane))
                    break
                except RuntimeError:  # the garbage collector took one out as we looked: look again
                    del found[mark:]
        found.sort(key=_when)
        return found, head

    def _tick(self, at: float) -> None:
        """Have the timeouts that are due fire, and set the timer to the next. The timer was set for `at`."""
        try:
            now = self.clock() + self.resolution  # see is_due
            if now < at:
                now = self.read_anew(at) + self.resolution
            if self.armed <= now:
                self._handle = None  # it runs, or will at once: cancelling it would cost 70 instructions of 2,400
            self.armed = self.heal_at = INF
            if self.pending:
                self.clear_up()
            due, following = self._due(now)
            for when, entry, lane in due:
                entry._timer_ran(when, lane, now, True)
            if self.armed < INF:  # more was timed meanwhile
                following = self._due(-INF)[1]
            self._set(following)
        except BaseException:
            self._set(self.clock())  # it goes on at once
            raise

    def _set(self, when: float) -> None:
        """Have the timer run at `when`, and no sooner; ``inf`` for never."""
        self.armed = self.heal_at = INF  # what breaks off below is healed by the next entry
        self.idle = True
        if when < INF:
            self.arm(when)  # in the place of another tick that may be on its way
        elif (handle := self._handle) is not None:
            self._handle = None
            handle.cancel()  # of uvloop's, one that is due at once has no `when()` to ask first

    def _turn(self, entry: Entry, by_timer: bool) -> None:
        """The timer of one that has its own ran, or its turn came that was due as it was queued."""
        try:
            if self.pending:
                self.clear_up()  # this one too, perhaps
            if (when := self.loose.get(entry)) is not None:
                entry._timer_ran(when, self.loose, self.clock() + self.resolution, by_timer)
        except BaseException:
            if entry in self.loose:  # its turn comes again
                again = self._open_loop().call_later(LINGER, self._turn, entry, by_timer, context=self._context)
                self.loose.handles[entry] = again
            raise

    def clear_up(self) -> None:
        """Leave the timeouts that are `pending`."""
        raise NotImplementedError

    def read_anew(self, at: float) -> float:
        """The time. If the loop has come to `at` by another clock than ours, it is that one from now on."""
        raise NotImplementedError

    def _sweep(self) -> None:
        self._sweeping = False
        if self.pending:
            self.clear_up()
        self.idle = self._handle is None
        if any(self.lanes):
            return
        handle = self._handle
        self._handle, self.armed, self.heal_at, self.idle = None, INF, INF, True
        if handle is not None:
            handle.cancel()
        for lane in self.lanes:  # empty, each of them
            lane.clear()  # gives back the memory of a crowd that has left


_when = operator.itemgetter(0)

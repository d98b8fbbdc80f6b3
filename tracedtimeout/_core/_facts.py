"""`Facts`: what a timeout says of itself, its `View`. All of it is read off when asked."""

from __future__ import annotations

import math
from typing import Any, cast

from . import _context, _spent
from ._ended import Ended, Fired, where_of
from ._exceeded import Spent, Where
from ._link import ACTIVE, CREATED, EXPIRED, EXPIRING, REMOTE, Link, earliest, live, reader_here
from ._more import More
from ._outcome import Outcome
from .figures._series import NEVER

INF = math.inf

Usual = tuple[str, str, float]
"""The name, kind and limit of a timeout whose limit is its own, and exactly that in the code."""


class Facts(Link):
    """A link with a timer, counted in a series: all of a `Timeout` but what asyncio's has, and its `View`."""

    __slots__ = ("_ended", "_fired", "_lane", "_series", "_started")

    _lane: Any  # Lane, or None
    """The lane that the timeout queues in, or queued in last; None before the entry."""
    _series: Any  # Series | Varied | None
    """The series that counts the timeout; None if it was made without a loop."""
    _started: float | None
    """On the stopwatch. None where it began as it was made, the delay of its lane before its own deadline: a number
    less to keep, and exactly the delay in the code."""
    _fired: Fired | None
    """The facts of the expiry, once the deadline has fired."""
    _ended: float | Ended | None
    """The seconds from entry to exit, once the timeout completed in time; any other end is an `Ended`."""

    def deadline(self) -> float | None:
        """The effective deadline, on the event loop's clock: the earliest of its own and those around it that bind.

        None with none. Right the moment any of them is rescheduled.
        """
        when, _ = self._bound()
        return None if when == INF else when

    def remaining(self) -> float:
        """Seconds left to the effective deadline, or that were left at the end; ``inf`` with none, never negative."""
        when = self._bound()[0]
        if self._ended is not None:
            return max(0.0, when - self._started_at() - self.elapsed)
        reader = self._here if self._state is not CREATED else reader_here()
        left: float = when - reader.clock()
        return max(0.0, left)

    def when(self) -> float | None:
        """The timeout's own deadline, on the event loop's clock; None with no deadline."""
        return None if self._when is NEVER else self._when

    def expired(self) -> bool:
        """True once the timeout has ended, or is ending, its body because a deadline passed."""
        return self._state is EXPIRING or self._state is EXPIRED

    @property
    def name(self) -> str:
        """The name that the caller gave the timeout, or that of the code that opened it."""
        more = self._more
        named: str | None = more.name if more.__class__ is More else None
        return self._series.name if named is None else named

    @property
    def kind(self) -> str:
        """The way the timeout was made: ``timeout``, ``timeout_at``, ``wait_for``, ``with_timeout`` or ``request``."""
        series = self._series
        return "timeout_at" if series is None else cast(str, series.kind)

    @property
    def outcome(self) -> Outcome | None:
        """The way the timeout ended; None before."""
        ended = self._ended
        if ended.__class__ is Ended:
            return ended.outcome
        return None if ended is None else Outcome.COMPLETED

    @property
    def error(self) -> BaseException | None:
        """The exception that leaves the timeout, while observers are told of the end; else None."""
        more = self._more
        return more.error if more.__class__ is More else None

    @property
    def limit(self) -> float:
        """Seconds from entry to the effective deadline; ``inf`` with none. Exactly those in the code, where its own
        deadline, as it was made, is the effective one."""
        return self._granted(self._bound()[0])

    @property
    def requested(self) -> float | None:
        """Seconds from entry to the own deadline, or in code where the limit is configured; None with no deadline."""
        said: float | None = self._more.said if self._more.__class__ is More else None
        if said is not None or self._when == INF:
            return said
        lane = self._lane
        if lane is not None and lane.delay != INF:
            return cast(float, lane.delay)
        return self._when - (self._started_at() if self._state is not CREATED else reader_here().clock())

    @property
    def owner(self) -> str:
        """The name of the timeout whose own deadline is, or was, the effective one; empty with none."""
        ended, fired = self._ended, self._fired
        if ended.__class__ is Ended and ended.owner:
            return ended.owner
        if fired is not None:
            return fired.owner
        owner = self._bound()[1]
        return "" if owner is None else owner.name

    @property
    def source(self) -> str:
        """The source of the effective deadline: ``own``, ``inherited``, ``header`` or ``none``."""
        when, owner = self._bound()
        if when == INF:
            return "none"
        if owner is self:
            return "own"
        return "header" if owner is not None and owner.name == REMOTE else "inherited"

    @property
    def elapsed(self) -> float:
        """Seconds since the entry, or from entry to exit."""
        ended = self._ended
        if ended is None:
            ended = 0.0 if self._state is CREATED else self._here.stopwatch() - self._started_at()
        return ended.elapsed if isinstance(ended, Ended) else max(0.0, ended)  # less is a rounding error

    @property
    def overrun(self) -> float:
        """Seconds from the effective deadline to the exit; 0.0 for an exit in time."""
        return max(0.0, self.elapsed - self.limit)

    @property
    def reschedules(self) -> int:
        """The number of calls of `reschedule`."""
        return self._more.reschedules if self._more.__class__ is More else 0

    @property
    def where(self) -> Where | None:
        """The place the task was waiting in when the deadline fired.

        None if it did not, and once the exception that tells is gone and nobody had asked.
        """
        ended = self._ended
        if ended.__class__ is not Ended or ended.fired is None:
            return None
        if ended.where is None:
            raised = None if ended.raised is None else ended.raised()
            if raised is not None:
                return cast("Where | None", getattr(raised, "where", None))
            return where_of(ended, self.error)
        return ended.where

    @property
    def spent(self) -> tuple[Spent, ...]:
        """The time that the timeouts nested in it took, longest first; those still open when it fired, last."""
        fired = self._fired
        spent, unfinished = (self._spent, ()) if fired is None else (fired.spent, fired.unfinished or ())
        return _spent.told(spent, unfinished, within=self.elapsed)

    @property
    def _here(self) -> Any:
        return self._lane.here

    def _ended_for(self) -> tuple[float, Link]:
        fired = self._fired
        return (self._when, self) if fired is None or fired.own else (self._deadline, self._owner or self)

    def _granted(self, deadline: float) -> float:
        """Seconds from entry to `deadline`, its effective one."""
        if self._state is CREATED:
            return INF if deadline == INF else max(0.0, deadline - reader_here().clock())
        if deadline is self._when and self._lane.delay != INF:
            delay: float = self._lane.delay
            return delay
        return INF if deadline == INF else max(0.0, deadline - self._started_at())

    def _started_at(self) -> float:
        started = self._started
        if started is not None:
            return started
        return cast(float, self._when - self._lane.delay)

    def _bound(self) -> tuple[float, Link | None]:
        """The effective deadline on the loop's clock, and its owner."""
        state = self._state
        if self._ended is not None:
            return self._deadline, None if self._deadline == INF else self._owner or self
        if state is CREATED:
            reader = reader_here()
            when, owner = earliest(live(_context.inherited(), reader), reader)
        else:
            here = self._here
            if self._stamp is here.stamp:
                return self._deadline, None if self._deadline == INF else self._owner or self
            when, owner = earliest(self._parent, here)
        if self._when <= when:
            return self._when, None if self._when == INF else self
        return when, owner


def usual(self: Any) -> Usual | None:
    """The facts of an open timeout that has no others to tell; None where it has.

    What telemetry says of most, without asking for one after another: that is a tenth of a sampled span.
    """
    if (
        self._state is ACTIVE
        and self._owner is None
        and self._deadline is self._when
        and self._more.__class__ is not More
        and self._stamp is (lane := self._lane).here.stamp
        and lane.delay != INF
    ):
        return self._series.name, self._series.kind, lane.delay
    return None


def ended_usually(self: Any) -> bool:
    """True if a timeout ended in time, by a deadline of its own or with none, and was never moved."""
    return self._ended.__class__ is float and self._owner is None and self._more.__class__ is not More

"""`enter()` and `leave()`: entry and exit by plain calls, for `wait_for`, `with_timeout` and doors.

Who opens a timeout for others need not await it, and makes it where it is entered: that takes a fifth off `wait_for`
(0.59 of asyncio's and not 0.73 on 3.12) and off what the ASGI door adds to a request. The common case of
`_timeout` stands here once more, since a call of a function that both shared would cost `async with` 3 %; all else is
left to the methods.
"""

from __future__ import annotations

from asyncio import get_running_loop
from bisect import bisect_left
from collections.abc import Coroutine
from typing import Any, TypeVar

from . import _budget, _observers, _relatives
from ._loop import tasks
from ._timeout import ACTIVE, FINISHED, INF, Timeout, current_set, new, timeout

T = TypeVar("T")


def enter(delay: float | None, name: str, kind: str, at_least: float = 0.0, reserve: float | None = None) -> Timeout:
    """A timeout of `delay` seconds that has been entered; left by `leave`, or by `Timeout._leave` with what was raised.

    Raises:
        DeadlineExceeded, TypeError, ValueError, RuntimeError: as `timeout()` and entering what it returns do.
    """
    loop = get_running_loop()
    task = tasks.current_task(loop)
    try:
        here = loop._tracedtimeout  # type: ignore[attr-defined]  # see state_of
        series = here.series[name]
        now = here.clock()
        when = None
        if delay is not None:
            when = now + delay
            if not when <= INF:
                raise ValueError  # NaN
    except (KeyError, AttributeError, TypeError, ValueError, OverflowError):
        task = None  # nor is it raised from in here, which would stand in its `__context__`
    if task is None or at_least != 0.0 or reserve is not None:
        return _entered(delay, name, kind, at_least, reserve)

    self = new(Timeout)
    self._here = here
    self._series = series
    self._when = when
    self._kind = kind
    self._details = self._inner = self._spent = None
    self._task = task
    self._cancelling = task.cancelling()
    self._started = now
    if here.two_clocks:
        self._started = here.stopwatch()
    parent = _budget.inherited()
    while parent is not None and parent._state is FINISHED:
        parent = parent._parent
    self._parent = parent
    timed: Any = when
    deadline = timed
    if parent is not None or when is None:
        timed, deadline = self._begin(now)

    self._deadline = deadline
    limit = deadline - now
    lane = series.lane
    if limit > series.usual_above and limit < series.usual_below and timed >= lane.tail and timed < INF:
        series.usual += 1
        lane.tail = timed
        self._entries = entries = lane.entries
        entries[self] = timed
        if timed < here.lanes.armed:
            here.lanes.arm(timed)
    else:
        self._place(limit, timed)
    self._state = ACTIVE
    if _observers.installed:
        self._announce()
    current_set(self)
    return self


def leave(self: Timeout) -> None:
    """Leave `self`, whose body raised nothing."""
    now = self._here.stopwatch()
    if self._details is None and now <= self._deadline and self._inner is None:
        entries = self._entries
        del entries[self]
        self._elapsed = elapsed = now - self._started
        self._state = FINISHED
        self._task = None
        series = self._series
        if elapsed <= series.quick_up_to:
            series.quick += 1
            series.usual_seconds += elapsed
        elif series.usual_bounds:
            series.usual_counts[bisect_left(series.usual_bounds, elapsed)] += 1
            series.usual_seconds += elapsed
        else:
            series.record_completed(elapsed, self._deadline - self._started)
        if not entries and not self._here.lanes.idle:
            self._here.lanes.rest()
        if self._parent is not None:
            _relatives.let_go(self, elapsed)
    else:
        _run(self.__aexit__(None, None, None))


def _entered(delay: float | None, name: str, kind: str, at_least: float, reserve: float | None) -> Timeout:
    """`enter`, in any but the common case."""
    self = timeout(delay, name=name, at_least=at_least, reserve=reserve)
    self._kind = kind
    return _run(self.__aenter__())


def _run(steps: Coroutine[Any, Any, T]) -> T:
    """What `steps`, which never wait for anything, return."""
    try:
        steps.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("entering and leaving a timeout never wait")

"""`Timeout`, `timeout()` and `timeout_at()`: one timeout from entry to exit, read top to bottom.

`__aenter__` and `__aexit__` are the hot path and are long on purpose: a call of another Python function costs 30-60 ns
of the 1800 that a whole timeout takes. What concerns other timeouts is in `_relatives`, what happens only when a
deadline fires in `_expiry`.
"""

from __future__ import annotations

import asyncio
import math
from asyncio import get_running_loop
from bisect import bisect_left
from sys import _getframe
from types import TracebackType
from typing import Any, cast

from . import _budget, _expiry, _inside, _names, _observers, _relatives, _reserves
from ._arguments import seconds_of
from ._budget import Budget, State, current
from ._facts import Facts, set_options
from ._loop import LoopState, deadline_in, state_of, tasks

CREATED, ACTIVE, EXPIRING, EXPIRED, FINISHED = State
INF = math.inf
UNHURRIED = _observers.Unhurried

current_set = current.set  # bound once: from 3.12 on, a method of an imported name is made at each call (40 ns)


class Timeout(Facts, asyncio.Timeout):  # type: ignore[misc]  # final for typing only: isinstance must hold
    """An `asyncio.Timeout` that draws on the budget, is counted, and says what happened.

    Use `timeout()` or `timeout_at()` rather than this class directly. It is entered once, by the task that it guards.

    Args:
        when: the deadline on the event loop's clock, or None.
        name: what it is called in messages, metrics and spans; by default ``module:qualname`` of the caller.
        at_least: seconds; with less than these left on entry the body is not run and `DeadlineExceeded` is raised.
        reserve: seconds; it ends that long before the enclosing deadline, if there is one.

    Raises:
        TypeError, ValueError: bad input; the message names the parameter and the value.
    """

    __slots__ = (
        "_cancelling",
        "_deadline",
        "_details",
        "_elapsed",
        "_entries",
        "_here",
        "_inner",
        "_kind",
        "_parent",
        "_series",
        "_spent",
        "_started",
        "_state",
        "_task",
        "_when",
    )

    def __init__(
        self, when: float | None, *, name: str | None = None, at_least: float = 0.0, reserve: float | None = None
    ) -> None:
        if when is not None:
            when = seconds_of("when", when)
        given = _names.of_caller(_getframe(1)) if name is None else _names.checked(name)
        self._when = when
        self._kind = "timeout_at"
        self._state = CREATED
        self._details = self._inner = self._spent = None
        try:
            _bind(self, state_of(get_running_loop()), given)
        except RuntimeError:  # no loop yet
            self._here = self._series = cast(Any, None)
            self._extend().name = given
        if at_least != 0.0 or reserve is not None:
            set_options(self, at_least, reserve)

    async def __aenter__(self) -> Timeout:  # noqa: PYI034  # asyncio's is final, and so is this
        if self._state is not CREATED:
            raise RuntimeError("Timeout has already been entered")
        loop = get_running_loop()
        task = tasks.current_task(loop)
        if task is None:
            raise RuntimeError("Timeout should be used inside a task")
        try:
            here = loop._tracedtimeout  # type: ignore[attr-defined]  # see state_of
        except AttributeError:
            here = state_of(loop)
        if self._here is not here:
            _bind(self, here, self.name)  # made under another loop, or none
        series = self._series
        now = here.clock()
        self._task = task
        self._cancelling = task.cancelling()
        self._started = now
        if here.two_clocks:
            self._started = here.stopwatch()

        parent = _budget.inherited()
        while parent is not None and parent._state is FINISHED:
            parent = parent._parent  # those before, in this task: see `_budget` on why they are still there
        self._parent = parent
        timed: Any = self._when  # seconds, past the next line
        deadline = timed
        if parent is not None or deadline is None or self._details is not None:
            timed, deadline = self._begin(now)

        self._deadline = deadline
        limit = deadline - now
        lane = series.lane
        if limit > series.usual_above and limit < series.usual_below and timed >= lane.tail and timed < INF:
            # The usual limit of its name, and none in the lane is later: it queues behind them.
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

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        """Leave, with the exception that the body raised; raises `DeadlineExceeded` in its stead."""
        now = self._here.stopwatch()
        if exc_val is None and self._details is None and now <= self._deadline and self._inner is None:
            entries = self._entries
            del entries[self]
            self._elapsed = elapsed = now - self._started
            self._state = FINISHED
            self._task = None  # task -> context -> timeout -> task would be a cycle
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
            outer: Any = self._parent
            if outer is not None:
                if outer._inner is not self or outer._details is not None:
                    _relatives.let_go(self, elapsed)
                elif outer._spent is None:
                    outer._inner = None
                    outer._spent = (series.name, elapsed)  # the only one, mostly: a dict would cost 0.1 us more
                else:
                    outer._inner = None
                    _inside.add_spent(outer, series.name, elapsed)
        elif exc_val is None and now <= self._deadline and not self._inner and (it := self._details) and it.plain:
            self._details, closers = None, it.closers
            await self.__aexit__(None, None, None)
            if closers is not None:
                _observers.closed(self, closers, in_time=True)
        else:
            self._leave(exc_val)

    def _leave(self, exc: BaseException | None, package: str | None = None) -> None:
        """Leave in any way but the common one; raises `DeadlineExceeded` where that takes the place of `exc`.

        `package` is the top-level one of the code that opened it, else looked for on the stack.
        """
        assert self._state is ACTIVE or self._state is EXPIRING
        _expiry.close(self, exc, self._here.stopwatch() - self._started, package)

    def _begin(self, now: float) -> tuple[float, float]:
        """Find its place beneath what binds it; returns when to time it, and its effective deadline."""
        parent: Any = self._parent
        details, when = self._details, self._when
        if details is None:
            if parent is None:
                return INF, INF
            if when is not None and parent._state is ACTIVE:
                # The common cases, first of nesting: `enclose` costs 0.4 us more. (And min() is a call.)
                if parent._task is self._task:
                    parent._inner = self
                    link = parent._parent
                    while link is not None and link._state is ACTIVE:
                        link = link._parent
                    if link is not None or parent._details is not None:
                        return _relatives.timed_at(self)
                    return when, parent._deadline if parent._deadline < when else when  # noqa: FURB136
                if parent.__class__ is Budget and parent._parent is None and parent._here is self._here:
                    bound = parent._when
                    return (when, when) if bound is None or bound >= when else (bound, bound)
        timed, deadline = _relatives.enclose(self)
        if details is not None and deadline - now < details.at_least:
            _expiry.reject(self, max(0.0, deadline - now))
        _relatives.join(self)
        return timed, deadline

    def _announce(self) -> None:
        """Tell the observers that it is open."""
        try:
            closers = _observers.opened(self)
        except BaseException as exc:  # the user's Ctrl-C
            self._leave(exc)
            raise
        if closers.__class__ is UNHURRIED:
            self._elapsed = closers  # type: ignore[assignment]  # until it is left: see `Facts`
        elif closers is not None:
            self._watch(closers)

    def _place(self, limit: float, timed: float) -> None:
        """Count and queue it, where its limit is not the usual one, or its deadline is out of order or has passed."""
        series, lanes = self._series, self._here.lanes
        series.record_limit(limit)
        self._series = series.unusual or series.set_apart()
        if limit <= 0.0:
            self._extend()  # nothing was granted, so nothing of it can be used: no utilization
        if limit <= 0.0 or timed == INF:
            self._schedule(timed)
        elif (lane := series.lane).tail <= timed:
            lane.tail = timed
            self._entries = lane.entries
            lane.entries[self] = timed
            if timed < lanes.armed:
                lanes.arm(timed)
        else:
            self._entries, free = lanes.queue(self, timed)
            if free is None:
                self._extend()
            else:
                series.lane = free  # the next of this name will probably be in order there

    def _schedule(self, timed: float) -> None:
        """Queue it for `timed`, in order or not, due or not; ``inf`` is never."""
        lanes = self._here.lanes
        if timed == INF:
            lanes.unbounded[self] = timed
            self._entries = lanes.unbounded
            return
        self._entries, lane = lanes.place(self, timed)
        if lane is None:
            self._extend()

    def _unschedule(self) -> None:
        entries, lanes = self._entries, self._here.lanes
        held = entries.pop(self, None)
        if held is not None and entries is lanes.loose:
            held.cancel()  # uvloop's is no asyncio.Handle
        elif not entries and not lanes.idle:
            lanes.rest()

    def _on_timeout(self, *, by_timer: bool = True) -> None:
        """Its timer ran. Enclosing timeouts of the task that are due as well fire first, save where it was due as it
        was set and needed none: then theirs run after this."""
        if self._state is not ACTIVE:
            return
        if not self._here.lanes.is_due(_relatives.timed_anew(self)[0]):
            self._extend()
            self._rearm()  # it was timed for a budget around it that has been left
            return
        if by_timer:
            for due in _relatives.due_around(self):
                _expiry.fire(due)
        _expiry.fire(self)

    def _end(self, owner: str) -> None:
        """The timeout `owner` above it was left after it fired, and nobody has ended the task of this one."""
        if self._state is ACTIVE and not _relatives.is_ending(self):
            _expiry.fire(self, owner)

    # asyncio's interface

    def when(self) -> float | None:
        """Its own deadline, on the event loop's clock; None with none."""
        return self._when

    def reschedule(self, when: float | None) -> None:
        """Move its own deadline, and with it, at once, that of every timeout nested inside.

        Raises:
            RuntimeError: it has not been entered, or has expired or been left.
            TypeError, ValueError: `when` is not a number.
        """
        if self._state is not ACTIVE:
            if self._state is CREATED:
                raise RuntimeError("Timeout has not been entered")
            raise RuntimeError(f"Cannot change state of {self._state.value} Timeout")
        if when is not None:
            when = seconds_of("when", when)
        get_running_loop()
        _inside.extend_inside(self)
        self._extend().reschedules += 1
        self._series.reschedules += 1
        self._when = when
        self._rearm()
        _reserves.rearm(self)

    def _rearm(self) -> None:
        """Time it anew, after its own deadline moved."""
        self._unschedule()
        timed, self._deadline = _relatives.timed_at(self)
        self._schedule(timed)

    def expired(self) -> bool:
        """Whether it ended, or is ending, its body because a deadline passed."""
        return self._state is EXPIRING or self._state is EXPIRED

    def __repr__(self) -> str:
        info = ""
        if self._state is ACTIVE:
            info = f" when={round(self._when, 3) if self._when is not None else None}"
        return f"<Timeout [{self._state.value}]{info}>"


def timeout(
    delay: float | None, *, name: str | None = None, at_least: float = 0.0, reserve: float | None = None
) -> Timeout:
    """A context manager that cancels its body after `delay` seconds and turns that into `DeadlineExceeded`.

    As `asyncio.timeout`; an enclosing timeout's deadline, where earlier, still holds. ``async with timeout(2.0,
    name="charge-card"): ...``

    Args:
        delay: seconds; None for no deadline of its own.
        name, at_least, reserve: see `Timeout`.

    Raises:
        TypeError, ValueError: bad input; the message names the parameter and the value.
        RuntimeError: no event loop is running.
    """
    # On the hot path, so written out: `_bind` and `deadline_in` say the same at leisure.
    try:
        here = get_running_loop()._tracedtimeout  # type: ignore[attr-defined]  # see state_of
        series = here.sites[id(_getframe(1).f_code)] if name is None else here.series[name]
        when = None
        if delay is not None:
            when = here.clock() + delay
            if not when <= INF:
                raise ValueError  # NaN: a call of isnan costs 30 ns
    except (KeyError, AttributeError, TypeError, ValueError, OverflowError):
        self = Timeout(deadline_in(delay), name=_names.of_caller(_getframe(1)) if name is None else name)
        self._kind = "timeout"
        if name is None:
            self._here.remember(_getframe(1).f_code, self._series)
    else:
        self = new(Timeout)
        self._here = here
        self._series = series
        self._when = when
        self._state = CREATED
        self._details = self._inner = self._spent = None
    if at_least != 0.0 or reserve is not None:
        set_options(self, at_least, reserve)
    return self


def timeout_at(
    when: float | None, *, name: str | None = None, at_least: float = 0.0, reserve: float | None = None
) -> Timeout:
    """`timeout` with an instant on the event loop's clock (``loop.time()``) in place of a delay. See `Timeout`."""
    given = _names.of_caller(_getframe(1)) if name is None else name
    return Timeout(when, name=given, at_least=at_least, reserve=reserve)


new = object.__new__


def _bind(self: Timeout, here: LoopState, name: str) -> None:
    """Have `self`, named `name`, counted on the loop of `here`."""
    self._here = here
    self._series = series = here.series_of(name)
    if series.name != name:
        self._extend().name = name

"""`Timeout`, `timeout()` and `timeout_at()`: one timeout from entry to exit, read top to bottom.

`_enter` and `_exit` are the hot path and are long on purpose: a call of another Python function costs 40-60 ns of the
1000 or so that a whole timeout takes. What concerns other timeouts is in `_relatives`, what happens only when a
deadline fires in `_expiry`.
"""

from __future__ import annotations

import asyncio
import math
import sys
from asyncio import CancelledError, current_task, get_running_loop
from types import TracebackType
from typing import Any, cast

from . import _expiry, _names, _observers, _relatives
from ._budget import Deadline, State, current, earliest, here, live, seconds_of
from ._loop import LoopState, state_of
from ._outcome import Outcome, Spent, Where
from ._series import Series

CREATED, ACTIVE, EXPIRING, EXPIRED, FINISHED = State
COMPLETED = Outcome.COMPLETED
INF = math.inf

Options = tuple[float, float | None]
"""`at_least` and `reserve`, in seconds."""


class Timeout(asyncio.Timeout):
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
        "_adopted",
        "_cancelling",
        "_closers",
        "_elapsed",
        "_entries",
        "_expiry",
        "_here",
        "_inner",
        "_limit",
        "_options",
        "_parent",
        "_reschedules",
        "_series",
        "_spent",
        "_started",
        "_state",
        "_task",
        "_when",
        "error",
        "kind",
        "name",
        "outcome",
    )

    # What a timeout is, from here on typed by hand: the base class declares some of these otherwise.
    _adopted: dict[Timeout, None] | None
    _cancelling: int
    _closers: list[tuple[_observers.Observer, _observers.Closer]] | None
    _elapsed: float
    _entries: dict[Any, Any]
    _expiry: _expiry.Expiry | None
    _here: LoopState
    _inner: Timeout | None
    _limit: float
    _options: Options | None
    _parent: Deadline | None
    _reschedules: int
    _series: Series
    _spent: dict[str, list[float]] | None
    _started: float
    _state: State  # type: ignore[assignment]  # asyncio's own enum is private
    _task: asyncio.Task[Any] | None
    _when: float | None
    error: BaseException | None
    kind: str
    name: str
    outcome: Outcome | None

    def __init__(
        self, when: float | None, *, name: str | None = None, at_least: float = 0.0, reserve: float | None = None
    ) -> None:
        if when is not None:
            seconds_of("when", when)
        given = _names.of_caller(sys._getframe(1)) if name is None else _names.checked(name)
        prepare(self, when, given, "timeout_at", options_of(at_least, reserve))

    async def __aenter__(self) -> Timeout:
        self._enter()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self._exit(exc_val)

    def _enter(self) -> None:
        if self._state is not CREATED:
            raise RuntimeError("Timeout has already been entered")
        loop = get_running_loop()
        task = current_task(loop)
        if task is None:
            raise RuntimeError("Timeout should be used inside a task")
        try:
            here = loop._tracedtimeout  # type: ignore[attr-defined]  # see state_of
        except AttributeError:
            here = state_of(loop)
        try:
            series = here.series[self.name]
        except KeyError:
            series = here.open_series(self.name)
        now = here.clock()
        self._here = here
        self._task = task
        self._series = series
        self._cancelling = task.cancelling()
        self._started = now if here.one_clock else here.stopwatch()

        parent = current.get()
        if parent is None and self._options is None:
            self._parent = None
            timed = deadline = INF if (when := self._when) is None else when
        else:
            timed, deadline = _relatives.enclose(self, parent, now)
        self._limit = limit = deadline - now

        if timed > now and timed >= (lane := series.lane).tail and timed != INF:
            # The lane's tail is the latest deadline it has seen: this one queues behind it.
            lane.tail = timed
            self._entries = entries = lane.entries
            entries[self] = timed
            if timed < here.lanes.armed:
                here.lanes.arm(timed)
        else:
            if limit < 0.0:
                self._limit = limit = 0.0
            self._schedule(timed)

        self._state = ACTIVE
        series.opened += 1
        if series.limit_above < limit <= series.limit_up_to:
            series.limit_quick += 1
            series.limit_total += limit
        elif limit != INF:
            series.record_limit(limit)
        if _observers.installed:
            self._closers = _observers.opened(self)
        current.set(self)

    def _exit(self, exc: BaseException | None, package: str | None = None) -> None:
        """Leave, with the exception that the body raised; raises `DeadlineExceeded` in its stead.

        `package` is the top-level package of the code that opened it, looked for on the stack if None.
        """
        state = self._state
        assert state is ACTIVE or state is EXPIRING
        here = self._here
        elapsed = here.stopwatch() - self._started
        if state is ACTIVE:
            entries = self._entries
            lanes = here.lanes
            if entries is not lanes.loose:
                del entries[self]
                if not entries and not lanes.idle:
                    lanes.rest()
            else:
                entries.pop(self).cancel()
            series = self._series
            if (
                exc is None
                and self._parent is None
                and elapsed <= series.quick_up_to
                and elapsed < (limit := self._limit) * series.quick_utilization_up_to < INF
                and self._closers is None
                and self._adopted is None
            ):
                self._state = FINISHED
                self._elapsed = elapsed
                self._task = None  # task -> context -> timeout -> task would be a cycle
                self.outcome = COMPLETED
                series.quick += 1
                series.quick_seconds += elapsed
                series.quick_utilization += elapsed / limit
                return
        _expiry.close(self, exc, elapsed, package)

    def _schedule(self, timed: float) -> None:
        """Queue it for `timed`, in order or not, due or not; ``inf`` is never."""
        lanes = self._here.lanes
        if timed == INF:
            lanes.unbounded[self] = timed
            self._entries = lanes.unbounded
            return
        self._entries, lane = lanes.place(self, timed)
        if lane is not None:
            self._series.lane = lane  # the next of this name will probably be in order there

    def _unschedule(self) -> None:
        held = self._entries.pop(self, None)
        if isinstance(held, asyncio.Handle):
            held.cancel()

    def _on_timeout(self) -> None:
        """Its timer ran. Enclosing timeouts of the task that are due as well fire first."""
        if self._state is not ACTIVE:
            return
        if not self._here.lanes.is_due(_relatives.timed_at(self)[0]):
            self._rearm()  # it was timed for a budget around it that has been left
            return
        for due in _relatives.due_around(self):
            _expiry.fire(due)
        _expiry.fire(self)

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
            seconds_of("when", when)
        get_running_loop()
        self._reschedules += 1
        self._series.reschedules += 1
        self._when = when
        self._options = None if self._options is None else (self._options[0], None)
        self._rearm()
        _relatives.rearm_reserves(self)

    def _rearm(self) -> None:
        """Time it anew, after its own deadline moved."""
        self._unschedule()
        timed, deadline = _relatives.timed_at(self)
        self._limit = deadline - self._here.clock() + (self._here.stopwatch() - self._started)
        self._schedule(timed)

    def expired(self) -> bool:
        """Whether it ended, or is ending, its body because a deadline passed."""
        return self._state is EXPIRING or self._state is EXPIRED

    def __repr__(self) -> str:
        info = ""
        if self._state is ACTIVE:
            info = f" when={round(self._when, 3) if self._when is not None else None}"
        return f"<Timeout [{self._state.value}]{info}>"

    # ours

    def deadline(self) -> float | None:
        """The effective deadline, on the event loop's clock: the earliest of its own and those around it that bind.

        None with none. Right the moment any of them is rescheduled.
        """
        when, _ = self._effective()
        return None if when == INF else when

    def remaining(self) -> float:
        """Seconds left to the effective deadline; ``inf`` with none, never negative."""
        reader = self._here if self._state is not CREATED else here()
        return max(0.0, self._effective()[0] - reader.clock())

    @property
    def limit(self) -> float:
        """Seconds granted on entry (or since by `reschedule`): from entry to the effective deadline; ``inf`` with none."""
        return self._limit

    @property
    def requested(self) -> float | None:
        """Seconds from entry to its own deadline; None with none."""
        if self._when is None:
            return None
        return self._when - self._here.clock() + (self._here.stopwatch() - self._started)

    @property
    def owner(self) -> str:
        """Whose own deadline is, or was, the effective one; empty with none."""
        if self._expiry is not None:
            return self._expiry.owner
        owner = self._effective()[1]
        return "" if owner is None else owner.name

    @property
    def source(self) -> str:
        """Where its deadline comes from: ``own``, ``inherited``, ``header`` or ``none``."""
        return _relatives.source_of(self._effective()[1], self)

    @property
    def elapsed(self) -> float:
        """Seconds since it was entered, or from entry to exit."""
        return self._elapsed if self.outcome is not None else self._here.stopwatch() - self._started

    @property
    def overrun(self) -> float:
        """Seconds past the effective deadline on exit; 0.0 if it was left before."""
        return max(0.0, self.elapsed - self._limit)

    @property
    def reschedules(self) -> int:
        """How often `reschedule` was called."""
        return self._reschedules

    @property
    def where(self) -> Where | None:
        """The place its task was waiting in when its deadline fired; None if it did not."""
        return self._expiry.where if self._expiry is not None else None

    @property
    def spent(self) -> tuple[Spent, ...]:
        """What the timeouts nested in it took, longest first; those still open when it fired, last."""
        return _relatives.spent_of(self)

    def _effective(self) -> tuple[float, Deadline | None]:
        """The effective deadline on its loop's clock, and whose it is."""
        entered = self._state is not CREATED
        reader = self._here if entered else here()
        when, owner = earliest(self._parent if entered else live(current.get(), reader), reader)
        if self._when is not None and self._when <= when:
            return self._when, cast(Deadline, self)
        return when, owner


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
    given = _names.of_caller(sys._getframe(1)) if name is None else _names.checked(name)
    return prepare(new(Timeout), deadline_in(delay), given, "timeout", options_of(at_least, reserve))


def timeout_at(
    when: float | None, *, name: str | None = None, at_least: float = 0.0, reserve: float | None = None
) -> Timeout:
    """`timeout` with an instant on the event loop's clock (``loop.time()``) in place of a delay. See `Timeout`."""
    given = _names.of_caller(sys._getframe(1)) if name is None else name
    return Timeout(when, name=given, at_least=at_least, reserve=reserve)


def deadline_in(delay: float | None) -> float | None:
    """The instant `delay` seconds from now on the running loop's clock.

    Raises:
        TypeError, ValueError: it is not a number of seconds. (NaN would end the loop: CPython's heap cannot sort it.)
        RuntimeError: no event loop is running.
    """
    loop = get_running_loop()
    if delay is None:
        return None
    try:
        when: float = loop._tracedtimeout.clock() + delay  # type: ignore[attr-defined]  # see state_of
    except (AttributeError, TypeError, OverflowError):
        when = state_of(loop).clock() + seconds_of("delay", delay)
    if when != when:
        raise ValueError(f"delay must be a number of seconds, not {delay!r}")
    return when


def options_of(at_least: float, reserve: float | None) -> Options | None:
    """Both options, checked; None when neither is asked for.

    Raises:
        TypeError, ValueError: not a number of seconds, or a negative one.
    """
    if at_least == 0.0 and reserve is None:
        return None
    for parameter, value in (("at_least", at_least), ("reserve", reserve)):
        if value is not None and seconds_of(parameter, value) < 0.0:
            raise ValueError(f"{parameter} must not be negative, not {value!r}")
    return at_least, reserve


new = object.__new__


def prepare(self: Timeout, when: float | None, name: str, kind: str, options: Options | None) -> Timeout:
    """Set what a timeout has before it is entered."""
    self._when = when
    self.name = name
    self.kind = kind
    self._options = options
    self._state = CREATED
    self._reschedules = 0
    self.outcome = self.error = None
    self._closers = self._expiry = self._inner = self._adopted = self._spent = None
    return self

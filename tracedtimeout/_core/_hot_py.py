"""The hot path: entering, leaving, and what the two count, read top to bottom.

It is long on purpose: a call of another Python function costs 30 to 60 ns of the 1,500 that a whole timeout takes. All
that is not common is left to `_entering` and `_ending`.

The order is what makes it safe, whatever line an exception comes from (a signal's, a MemoryError, a RecursionError, or
the garbage collector's work at any allocation): an entry reads everything before it shows itself, and takes itself out
again if it is broken off; an exit leaves its lane first of all, so that from there on no timer can hit its caller. A
line without a call is one step. So what belongs together stands on one line.
"""

from __future__ import annotations

from asyncio import get_running_loop
from bisect import bisect_left
from sys import _getframe
from types import TracebackType
from typing import Any

from . import _closers, _context, _ending, _entering, _observers, _spent
from ._exceeded import DeadlineExceeded
from ._family import let_go
from ._link import ACTIVE, CREATED, FINISHED
from ._loop import tasks
from ._more import More
from .figures._series import NEVER, Series

UNHURRIED = _observers.Unhurried

current_set = (
    _context.current.set
)  # bound once: from 3.12 on, a method of an imported name is made at each call (40 ns)
new = object.__new__
timeout_class: Any = None
"""`Timeout`, once `_timeout` has made it."""

# fmt: off


async def aenter(self: Any) -> Any:
    """Enter a timeout, in the task that it guards."""
    if self._state is not CREATED:
        raise RuntimeError("Timeout has already been entered")
    loop = get_running_loop()
    task = tasks.current_task(loop)
    if task is None:
        raise RuntimeError("Timeout should be used inside a task")
    try:
        here = loop._tracedtimeout  # type: ignore[attr-defined]  # see state_of
        series = self._series
        lane = series.lane
        if lane.here is not here:
            raise AttributeError
    except AttributeError:  # made under another loop, or none
        here = _entering.bind_to(self, loop)
        series = self._series
        lane = series.lane
    now = here.clock()
    self._task = task
    self._lane = lane
    self._deadline = when = timed = self._when
    self._stamp = stamp = here.stamp
    if here.timed_apart:
        self._started = here.stopwatch()
    if task.cancelling():
        self._extend().cancelling = task.cancelling()

    parent = _context.inherited()
    while parent is not None and parent._state is FINISHED:
        parent = parent._parent  # those before, in this task: leaving one does not reset the variable
    self._parent = parent
    try:
        if parent is not None or self._more is not None:
            if parent is None or parent._stamp is not stamp or parent._bare or self._more is not None:
                timed = _entering.beneath(self, here, now)
                when = self._when
            elif parent._task is task and parent._inner is None:
                parent._inner = self
                if parent._deadline < when:
                    self._deadline = parent._deadline
                    self._owner = parent._owner or parent
            else:
                timed = _entering.beside(self, parent, parent._more)
            if self._owner is not None:
                series = None  # its limit is not that of its series
        self._state = ACTIVE
        if when >= lane.tail and when - now > lane.fresh and timed is when:  # in order, and as soon as it was made
            lane.tail = when
            lane[self] = when
            if when < here.armed or here.heal_at < now:
                here.arm(when)
        elif when is NEVER and timed is when and lane is here.untimed:
            if self._started is None:
                self._started = now
        else:
            _entering.place(self, here, timed, now)
            series = None
        if _observers.installed:
            _entering.announce(self)
        current_set(self)
        if series is not None:
            series.entered += 1.0; return self  # one step
        return _entering.counted(self, now)
    except BaseException as exc:
        self._state, task = FINISHED, None  # the traceback leads to this frame, and the task to a rejection
        if (lane := self._lane) is not None and self in lane:
            del lane[self]  # by operators, as in `aexit`
        _entering.broken_off(self, exc)
        raise


async def aexit(
    self: Any, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
) -> None:
    """Leave a timeout, with the exception that its body raised; raises `DeadlineExceeded` in its stead."""
    try:  # nothing stands before it: what breaks off in here is cleared up below
        if self._state is ACTIVE:
            lane = self._lane
            if lane.holds:
                del lane[self]  # first of all, by an operator in this frame: it works where the stack is at its end
            here = lane.here
            if (exc is None and self._stamp is here.stamp and self._inner is None
                    and (more := self._more).__class__ is not More and (now := here.stopwatch()) <= self._deadline):
                started, series = self._started, self._series
                elapsed = now - self._when + lane.delay if started is None else now - started
                if elapsed <= series.quick_up_to:
                    self._state = FINISHED; self._ended = elapsed; series.quick += 1.0; series.seconds += elapsed
                elif series.__class__ is Series:
                    i, counts = bisect_left(series.bounds, elapsed), series.counts
                    self._state = FINISHED; self._ended = elapsed; counts[i] += 1; series.seconds += elapsed
                elif elapsed <= series.short and now < self._deadline:
                    ratio = elapsed / (self._deadline - now + elapsed)
                    self._state = FINISHED; self._ended = elapsed; series.quick += 1.0; series.seconds += elapsed; \
                        series.ratios += ratio
                else:
                    _entering.completed(self, series, elapsed)
                if not lane and not here.idle:
                    here.rest()
                outer = self._parent
                if outer is not None:
                    if outer._inner is self:
                        outer._inner = None
                        if outer._spent is None:
                            outer._spent = (series.name, elapsed)  # the only one, mostly
                        else:
                            outer._spent = _spent.added(outer._spent, series.name, elapsed)
                    else:
                        let_go(self, here, series.name, elapsed, now)
                self._task = None  # task -> context -> timeout -> task would be a cycle
                if more is not None and more.__class__ is not UNHURRIED:
                    _entering.tell(self, more)
                return
        raised = _ending.close(self, exc)
    except BaseException:
        if self._state is CREATED:
            pass  # never entered: some of the fields are not there
        elif self._task is not None:
            lane = self._lane
            lane.pending[self] = None  # where this has no stack left, the next tick clears up
            if self in lane:
                del lane[self]
            _ending.broken_off(self)
        elif self._more is not None:
            _closers.tell_end(self, exc)
        raise
    if raised is not None:
        try:
            raise raised
        finally:
            self = exc = raised = None  # the traceback leads to this frame


def enter(delay: float | None, name: str, kind: str, at_least: float = 0.0, reserve: float | None = None) -> Any:
    """A timeout of `delay` seconds that has been entered; left by `leave`, or by `left_by` with what was raised.

    For who opens a timeout for others: entry and exit by plain calls take a fifth off `wait_for` (0.59 of asyncio's and
    not 0.73 on 3.12). The common case of `aenter` stands here once more: a call that both shared costs it 3 %.

    Raises:
        DeadlineExceeded, TypeError, ValueError, RuntimeError: as `timeout()` and entering what it returns do.
    """
    loop = get_running_loop()
    task = tasks.current_task(loop)
    try:
        here: Any = loop._tracedtimeout  # type: ignore[attr-defined]  # see state_of
        series: Any = here.series[kind][name][delay]
        now = here.clock()
        when = timed = NEVER if delay is None else now + delay
    except (KeyError, AttributeError, TypeError, ValueError, OverflowError):
        task = None  # nor is it raised from in here, which would stand in its `__context__`
    if task is None or at_least != 0.0 or reserve is not None or when.__class__ is not float:
        task = None  # as below
        return _entering.entered(delay, name, kind, at_least, reserve)

    lane = series.lane
    self: Any = new(timeout_class)
    self._series = series
    self._when = self._deadline = when
    self._state = CREATED
    self._started = self._owner = self._inner = self._spent = self._more = self._fired = self._ended = None
    self._task = task
    self._lane = lane
    self._stamp = stamp = here.stamp
    if here.timed_apart:
        self._started = here.stopwatch()
    if task.cancelling():
        self._extend().cancelling = task.cancelling()
    parent = _context.inherited()
    while parent is not None and parent._state is FINISHED:
        parent = parent._parent
    self._parent = parent
    try:
        if parent is not None:
            if parent._stamp is not stamp or parent._bare:
                timed = _entering.beneath(self, here, now)
            elif parent._task is task and parent._inner is None:
                parent._inner = self
                if parent._deadline < when:
                    self._deadline = parent._deadline
                    self._owner = parent._owner or parent
            else:
                timed = _entering.beside(self, parent, parent._more)
            if self._owner is not None:
                series = None
        self._state = ACTIVE
        if when >= lane.tail and timed is when:  # it is made in this moment
            lane.tail = when
            lane[self] = when
            if when < here.armed or here.heal_at < now:
                here.arm(when)
        elif when is NEVER and timed is when and lane is here.untimed:
            if self._started is None:
                self._started = now
        else:
            _entering.place(self, here, timed, now)
            series = None
        if _observers.installed:
            _entering.announce(self)
        current_set(self)
        if series is not None:
            series.entered += 1.0; return self
        return _entering.counted(self, now)
    except BaseException as exc:
        self._state, task = FINISHED, None  # the traceback leads to this frame, and the task to a rejection
        if (lane := self._lane) is not None and self in lane:
            del lane[self]  # by operators, as in `aexit`
        _entering.broken_off(self, exc)
        raise


def leave(self: Any) -> None:
    """Leave `self`, whose body raised nothing: `aexit`'s common case once more."""
    try:
        lane = self._lane
        here = lane.here
        if self._state is ACTIVE and lane.holds:
            del lane[self]
        if (self._state is ACTIVE and self._stamp is here.stamp and self._inner is None
                and (more := self._more).__class__ is not More and (now := here.stopwatch()) <= self._deadline):
            started, series = self._started, self._series
            elapsed = now - self._when + lane.delay if started is None else now - started
            if elapsed <= series.quick_up_to:
                self._state = FINISHED; self._ended = elapsed; series.quick += 1.0; series.seconds += elapsed
            elif series.__class__ is Series:
                i, counts = bisect_left(series.bounds, elapsed), series.counts
                self._state = FINISHED; self._ended = elapsed; counts[i] += 1; series.seconds += elapsed
            elif elapsed <= series.short and now < self._deadline:
                ratio = elapsed / (self._deadline - now + elapsed)
                self._state = FINISHED; self._ended = elapsed; series.quick += 1.0; series.seconds += elapsed; \
                    series.ratios += ratio
            else:
                _entering.completed(self, series, elapsed)
            if not lane and not here.idle:
                here.rest()
            outer = self._parent
            if outer is None:
                pass
            elif outer._inner is self:
                outer._inner = None
                outer._spent = (series.name, elapsed) if outer._spent is None else \
                    _spent.added(outer._spent, series.name, elapsed)
            else:
                let_go(self, here, series.name, elapsed, now)
            self._task = None
            if more is not None and more.__class__ is not UNHURRIED:
                _entering.tell(self, more)
        else:
            _ending.close(self, None)
    except BaseException:
        if self._task is not None:
            lane = self._lane
            lane.pending[self] = None  # where this has no stack left, the next tick clears up
            if self in lane:
                del lane[self]
            _ending.broken_off(self)
        elif self._more is not None:
            _closers.tell_end(self, None)
        raise


def left_by(self: Any, exc: BaseException, package: str | None = None) -> DeadlineExceeded | None:
    """Leave `self` with `exc`; returns what to raise from that in its stead, None to let it pass.

    `package` is the top-level one of the code that opened it, else looked for on the stack.
    """
    try:
        if self._state is ACTIVE and self._lane.holds:
            self._lane.pop(self, None)  # it may be out of it
        return _ending.close(self, exc, package)
    except BaseException:
        if self._task is not None:
            lane = self._lane
            lane.pending[self] = None  # where this has no stack left, the next tick clears up
            if self in lane:
                del lane[self]
            _ending.broken_off(self)
        elif self._more is not None:
            _closers.tell_end(self, exc)
        raise


def timeout(
    delay: float | None, *, name: str | None = None, at_least: float = 0.0, reserve: float | None = None
) -> Any:
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
    try:
        here = get_running_loop()._tracedtimeout  # type: ignore[attr-defined]  # see state_of
        series = here.sites[id(_getframe(1).f_code)][delay] if name is None else here.timeouts[name][delay]
        when = NEVER if delay is None else here.clock() + delay
    except (KeyError, AttributeError, TypeError, ValueError, OverflowError):
        series = None  # nor is anything raised from in here, which would stand in its `__context__`
    if series is None or when.__class__ is not float:  # one of numpy's would stay so in the figures
        return _entering.made(delay, name, at_least, reserve, _getframe(1))
    self: Any = new(timeout_class)
    self._series = series
    self._when = when
    self._state = CREATED
    self._started = self._lane = self._owner = self._inner = self._spent = self._more = self._fired = \
        self._ended = None
    if at_least != 0.0 or reserve is not None:
        _entering.set_options(self, at_least, reserve)
    return self


def forget_after_fork() -> None:
    """In the child of a fork: no context has a link."""
    global current_set
    current_set = _context.current.set

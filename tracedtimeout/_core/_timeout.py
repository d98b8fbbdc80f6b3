"""`Timeout`, and what its users call: `timeout_at()`, `reschedule()`. Entering and leaving are in `_hot_py`."""

from __future__ import annotations

import asyncio
import math
from sys import _getframe
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast

from . import _ending, _entering, _firing, _hot, _names
from ._arguments import YEARS, check_clock, seconds_of
from ._entering import timed_at
from ._facts import Facts
from ._lane import Lane
from ._link import ACTIVE, CREATED, EXPIRED, EXPIRING, FINISHED, NOBODY, beyond, reader_here
from ._loop import state_of
from ._reserves import forget_reserve, rearm
from .figures._series import NEVER

LEFT = (EXPIRED, FINISHED)


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

    __slots__ = ()

    def __init__(
        self, when: float | None, *, name: str | None = None, at_least: float = 0.0, reserve: float | None = None
    ) -> None:
        given = _names.of_caller(_getframe(1)) if name is None else _names.checked(name)
        _made(self, when, given)
        _entering.set_options(self, at_least, reserve)

    # Functions, and not methods written out here: CPython 3.13 and later give an object room for each attribute that
    # the methods of its class set, which slots do not need (1.40 of asyncio's bytes on 3.14, else).
    if TYPE_CHECKING:

        async def __aenter__(self) -> Self: ...
        async def __aexit__(
            self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
        ) -> None: ...
    else:
        __aenter__ = _hot.aenter
        __aexit__ = _hot.aexit

        def __call__(self, *args: object, **kwargs: object) -> NoReturn:
            raise TypeError("a timeout is an `async with` block and no decorator: write @with_timeout(seconds)")

    def reschedule(self, when: float | None) -> None:
        """Move the timeout's own deadline, and with it, at once, that of every timeout nested inside.

        Raises:
            RuntimeError: the timeout has not been entered, or has expired or been left.
            TypeError, ValueError: `when` is not a number.
        """
        _reschedule(self, when)

    def __repr__(self) -> str:
        info = ""
        if self._state is ACTIVE:
            info = f" when={round(self._when, 3) if self._when is not NEVER else None}"
        return f"<Timeout [{self._state.value}]{info}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A copy, or a pickle, is another timeout of the same deadline; of one that was entered there is none."""
        if self._state is not CREATED:
            raise TypeError(f"cannot copy or pickle a Timeout that is {self._state.value}")
        more = self._extend()
        return (_again, (type(self), self.when(), self.name, more.at_least, more.reserve))

    def _outwards(self) -> Any:
        fired = self._fired
        if self._state is EXPIRING and fired is not None and fired.passed is not None:
            return fired.passed._parent
        return self._parent

    def _passed_by(self, here: object) -> Any:
        fired = self._fired
        if self._state is not EXPIRING or self._here is not here or fired is None or fired.passed is not None:
            return self  # what lies beyond budgets that its clean-up is free of depends on who asks
        outer: Any = self._stamp
        return self._parent if outer is None else None if outer is NOBODY else outer

    def _end(self, ender: Any) -> None:
        _firing.end(self, ender)

    def _clear_up(self) -> None:
        if self._task is not None:
            _ending.broken_off(self)

    def _retime(self) -> None:
        if self._state is ACTIVE:
            _retime(self)

    def _timer_ran(self, when: float, lane: Lane, now: float, by_timer: bool) -> None:
        """Fire, as its timer ran. Enclosing timeouts of the task that are due as well fire first, save where `self` was
        due as it was set and needed no timer: then theirs run after this."""
        if self._state is not ACTIVE or self._lane is not lane:
            lane.pop(self, None)  # what an exception broke off
            return
        here = lane.here
        if when is not self._when and timed_at(self, here) > now:
            _time_anew(self, here)  # it was timed for a budget around it that has been left
            return
        if by_timer and self._parent is not None:
            for each in reversed(_due_around(self, here, now)):
                if each._state is ACTIVE:
                    _firing.fire(each, now)
            if self._state is not ACTIVE:
                return
        _firing.fire(self, now)


_entering.timeout_class = Timeout
_hot.bind(Timeout)


if TYPE_CHECKING:

    def timeout(
        delay: float | None, *, name: str | None = None, at_least: float = 0.0, reserve: float | None = None
    ) -> Timeout: ...
else:
    timeout = _hot.timeout


def timeout_at(
    when: float | None, *, name: str | None = None, at_least: float = 0.0, reserve: float | None = None
) -> Timeout:
    """`timeout` with an instant on the event loop's clock (``loop.time()``) in place of a delay. See `Timeout`."""
    given = _names.of_caller(_getframe(1)) if name is None else name
    self = Timeout(when, name=given, at_least=at_least, reserve=reserve)
    if YEARS < self._when < math.inf:
        check_clock("when", self._when, reader_here().clock())
    return self


def _made(self: Timeout, when: float | None, name: str) -> None:
    """Fill in a new one."""
    _entering.fill_in(self, NEVER if when is None else seconds_of("when", when))
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:  # no loop yet
        self._extend().name = name
    else:
        _entering.bind(self, state_of(loop), "timeout_at", name, None if when is None else 0.0)


def _again(cls: type[Timeout], when: float | None, name: str, at_least: float, reserve: float | None) -> Timeout:
    self = cls.__new__(cls)
    _made(self, when, name)
    _entering.set_options(self, at_least, reserve)
    return self


def _reschedule(self: Timeout, when: float | None) -> None:
    if self._state is not ACTIVE:
        if self._state is CREATED:
            raise RuntimeError("Timeout has not been entered")
        raise RuntimeError(f"Cannot change state of {self._state.value} Timeout")
    moved = NEVER if when is None else seconds_of("when", when)
    asyncio.get_running_loop()
    here, more = self._here, self._extend()
    if YEARS < moved < math.inf:
        check_clock("when", moved, here.clock())
    more.reschedules += 1
    more.moved_at = here.stopwatch()
    more.said = None
    self._series.figures.reschedules += 1
    self._started = self._started_at()
    if more.reserve is not None:
        forget_reserve(self)
        more.reserve = None
    if self._has_beneath():
        here.move()
    self._stamp = None
    self._when = moved
    here.place(self, timed_at(self, here))
    self._effective(here)
    rearm(self, here)


def _retime(self: Timeout) -> None:
    """Have the timer of `self` stand where its deadlines do now, unless its turn has come."""
    here = self._here
    if self._lane is not here.loose or here.loose.get(self, math.inf) > here.clock():
        _time_anew(self, here)


def _time_anew(self: Timeout, here: Any) -> None:
    self._started = self._started_at()
    self._stamp = None
    here.place(self, timed_at(self, here))


def _due_around(self: Timeout, here: Any, now: float) -> list[Timeout]:
    """The timeouts of the task around `self` that are due, outwards as far as that may be."""
    due: list[Timeout] = []
    outer = self._parent
    while outer is not None:
        if (skipped := beyond(outer, here)) is not outer:
            outer = skipped
            continue
        if outer._task is not self._task and outer._state not in LEFT and not outer._bare:
            break
        if outer._state is ACTIVE and not outer._bare:
            if outer._not_before(here) > now or outer._effective(here) > now:
                break
            if timed_at(outer, here) <= now:
                due.append(cast(Timeout, outer))
        outer = outer._parent
    return due

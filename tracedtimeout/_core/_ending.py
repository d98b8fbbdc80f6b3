"""Leaving and refusing: each edge of a timeout's life but the common exit and the firing is written here.

CREATED -refused-> FINISHED; ACTIVE and EXPIRING -exit-> EXPIRED or FINISHED. An exit decides first, from facts; then
one line says that it is over; what is left to do comes after, so that whatever breaks it off finds nothing half done
that matters.
"""

from __future__ import annotations

import weakref
from asyncio import CancelledError
from bisect import bisect_left
from functools import partial
from sys import _getframe
from threading import get_ident
from typing import Any, NoReturn

from . import _context, _observers, _warn, _where
from ._closers import keep_told, tell_end
from ._deciding import decide, ender
from ._ended import Ended, Fired, label_of
from ._exceeded import DeadlineExceeded
from ._facts import Facts
from ._family import end_beneath, hand_on, let_go
from ._firing import cancelling_before
from ._link import ACTIVE, EXPIRED, EXPIRING, FINISHED, INF, Link
from ._loop import Stamp
from ._more import More
from ._outcome import Outcome
from ._raising import exceeded, in_place_of
from ._reserves import forget_reserve
from .figures._series import Series


def close(self: Facts, exc: BaseException | None, package: str | None = None) -> DeadlineExceeded | None:
    """Leave `self`, which is out of its lane, by any way but the common one.

    Returns what to raise in the place of `exc`; None to let it pass.

    Raises:
        AssertionError: `self` is not entered, or has been left: as asyncio's.
    """
    state = self._state
    if (state is not ACTIVE and state is not EXPIRING) or (task := self._task) is None:
        raise AssertionError(f"a Timeout that is {state.value} cannot be left")
    fired = self._fired
    here = self._lane.here
    if here.forked:
        self._state = FINISHED  # entered before the fork: it is the parent process's
        return None
    at_home, now, parent = get_ident() == here.thread, here.stopwatch(), self._parent
    if (exc.__class__ is CancelledError and self._more is None and self._inner is None and at_home
            and task.cancelling() == 1):  # fmt: skip
        if fired is None:
            link: Any = self._owner
            if (link is None or link._state is not EXPIRING or self._stamp.__class__ is not Stamp
                    or (link is not parent and len(here.unwinding) > 1)):  # fmt: skip
                link = ender(self, here, 1) if here.unwinding else None
            # Else it is the nearest around that fired, and the cancellation is of its making: 110 instructions less.
            if link is not None and link._lane.here is here:
                _interrupted(self, here, link, now)
                return None
        elif (fired.own and fired.cancels
              and (mark := here.unwinding.get(id(self))) is not None and mark.figures is not None
              and (parent is None or parent._outlasts(self._when, here.stamp))):  # fmt: skip
            return _expired(self, here, task, exc, fired, now, package)
    elapsed = max(0.0, now - self._started_at())  # a rounding error, else, where no time has passed
    handled = True
    if fired is not None:
        handled = task.cancelling() - 1 <= cancelling_before(self) if fired.cancels else not fired.interrupted
    outcome, found = decide(self, here, exc, fired, now=now, handled=handled, at_home=at_home)
    limit = self._granted(self._deadline)
    if found is not None:
        fired = found
    opener, stopping = None, 0.0
    if fired is not None:
        stopping = now - fired.at
        if state is EXPIRING or self._more is not None or fired.places is not None:  # else nobody can ask where it was
            opener = _where.opener(_getframe(2))
            if package is None and opener is not None:
                package = opener.module.partition(".")[0]
    ended = Ended(outcome, elapsed, "" if fired is None else fired.owner, fired, package or "", opener, stopping)
    after = EXPIRED if state is EXPIRING or (found is not None and found.own) else FINISHED
    raised = None
    if state is EXPIRING and handled and exc is not None and (found is None or not found.own):
        raised = in_place_of(self, exc, ended, limit)

    if state is EXPIRING and self._fired.cancels:  # type: ignore[union-attr]  # it has fired
        _, self._state, self._ended, self._stamp = task.uncancel(), after, ended, None  # one step: see `broken_off`
    else:
        self._state, self._ended, self._stamp = after, ended, None
    if at_home:
        _settle(self, here, ended, limit, now, raised or exc)
    else:
        settle = partial(_settle, self, here, ended, limit, now, raised or exc)
        here.hand_over(settle, partial(_drop, self, here, ended, limit))
    return raised


def _expired(
    self: Facts, here: Any, task: Any, exc: BaseException, fired: Fired, now: float, package: str | None
) -> DeadlineExceeded:
    """`close`, where the timer of `self` ended the body and nothing else happened: the most of all incidents.

    All that `close`, `_settle` and whom they call do in this case, in their order, without asking again.
    """
    started, delay, when, parent, series = self._started, self._lane.delay, self._when, self._parent, self._series
    began = when - delay if started is None else started
    elapsed = now - began if now > began else 0.0
    limit = delay if started is None or delay != INF else max(0.0, when - started)
    opener, stopping, frame = None, now - fired.at if now > fired.at else 0.0, _getframe(3)
    if not _where.passed_opener(exc, frame):
        opener = _where.opener(frame)
        if package is None:
            package = "" if opener is None else opener.module.partition(".")[0]
    ended = Ended(Outcome.EXPIRED, elapsed, fired.owner, fired, package, opener, stopping)
    raised = exceeded(series.name, ended, limit)
    raised.__cause__ = exc
    self._deadline, self._owner = when, None
    _, self._state, self._ended, self._stamp = task.uncancel(), EXPIRED, ended, None  # one step: see `broken_off`
    if series.__class__ is Series:
        i, counts, unwind = bisect_left(series.bounds, elapsed), series.expired, series.figures.unwind
        # fmt: off
        counts[i] += 1; series.expired_seconds += elapsed; ended.counted = True  # one step
        # fmt: on
        unwind.total += stopping
        unwind.counts[bisect_left(unwind.bounds, stopping)] += 1
    else:
        ended.count(series.figures, limit, expired=True)
    here.unwinding.pop(id(self), None)
    if here.around and not here.unwinding:
        here.around.clear()
    if parent is not None:
        let_go(self, here, fired.owner, elapsed, now)
    if fired.passed is None and _context.current.get() is self:
        _context.current.set(parent)
    else:
        _context.step_out(self, past_budgets=fired.passed is not None)
    self._task = None
    return raised


def _interrupted(self: Facts, here: Any, link: Any, now: float) -> None:
    """`close`, where the timer of `link`, around `self`, ended the body and nothing else happened.

    As `_expired`.
    """
    its, started, lane, figures = link._fired, self._started, self._lane, self._series.figures
    deadline, whose = (link._when, link) if its.own else link._ended_for()
    if started is None:
        started = self._when - lane.delay
    elapsed, limit, owner = now - started if now > started else 0.0, deadline - started, its.owner
    opener, package = None, ""
    if its.places is not None:  # else nobody can ask where it was; nor of one in a call, which knows its package
        opener = _where.opener(_getframe(3))
        package = "" if opener is None else opener.module.partition(".")[0]
    ended = Ended(Outcome.INHERITED, elapsed, owner, its, package, opener)
    self._deadline, self._owner = deadline, whose
    self._state, self._ended, self._stamp = FINISHED, ended, None  # one step: see `broken_off`
    # fmt: off
    figures.record_exit(Outcome.INHERITED, elapsed, limit); ended.counted = True  # one step
    # fmt: on
    known = owner in figures.interruptions  # as a label, then: 12 instructions less
    figures.record_interruption(owner if known else label_of(owner))
    if not here.idle and not lane:
        here.rest()
    let_go(self, here, figures.name, elapsed, now)
    self._task = None


def broken_off(self: Facts) -> None:
    """Clear up after an exit that an exception broke off: out of the lane, counted, no cancellation of ours left."""
    here, task, fired = self._here, self._task, self._fired
    pending = self._state is EXPIRING and fired is not None and fired.cancels
    elapsed = 0.0
    lane = self._lane
    assert lane is not None
    lane.pop(self, None)
    lane.pending[self] = None  # if this breaks off too, a tick goes on with it
    if get_ident() != here.thread and here.is_open():
        here.soon(here.clear_up)  # where it is counted, once: an exit that is on its way there comes first
        return
    if self._ended is None:
        self._ended = Ended(Outcome.FAILED, elapsed, "", None)
    ended = self._ended
    if ended.__class__ is Ended and not ended.counted and not (pending and here.unwinding.has_counted(self)):
        # fmt: off
        self._series.figures.record_exit(ended.outcome, elapsed, 0.0); ended.counted = True  # one step
        # fmt: on
    self._state = FINISHED
    if pending and task is not None and task.cancelling() > cancelling_before(self):
        task.uncancel()
    here.unwinding.pop(id(self), None)
    let_go(self, here, self.name, elapsed, here.stopwatch())
    hand_on(self, here)
    self._task = None
    lane.pending.pop(self, None)
    tell_end(self, None)


def _settle(self: Facts, here: Any, ended: Ended, limit: float, now: float, error: BaseException | None) -> None:
    """All that follows from an exit at `now` with `error`, in the thread of its loop: figures, family, observers."""
    outcome, fired, more = ended.outcome, ended.fired, self._more
    try:
        _count(self, here, ended, limit)
        if here.around and not here.unwinding:
            here.around.clear()
        if not here.idle and not self._lane:
            here.rest()
        if more.__class__ is More and more.reserve is not None:
            forget_reserve(self)
        if self._parent is not None:
            let_go(self, here, self._series.name if more is None else self.name, ended.elapsed, now)
        if self._state is EXPIRED:
            assert fired is not None
            end_beneath(self, here)
            _context.step_out(self, past_budgets=fired.passed is not None)
        else:
            hand_on(self, here)
        self._task = None
    finally:
        if self._more is not None:
            tell_end(self, error)
    if outcome is Outcome.SUPPRESSED or outcome is Outcome.LATE:
        _warn.ran_on(self)


def _drop(self: Facts, here: Any, ended: Ended, limit: float) -> None:
    """The count of an exit, alone: its loop is closed, and nobody runs there who could ask for more."""
    _count(self, here, ended, limit)
    self._task = self._inner = None


def _count(self: Facts, here: Any, ended: Ended, limit: float) -> None:
    fired, unwinding = self._fired, here.unwinding
    dropped = fired is not None and fired.cancels and unwinding.has_counted(self)
    ended.count(self._series.figures, limit, expired=self._state is EXPIRED, dropped=dropped)
    if fired is not None:
        unwinding.pop(id(self), None)  # not before: broken off, `broken_off` would take it for dropped


def refuse(self: Facts, here: Any, left: float, owner: Link | None) -> NoReturn:
    """Refuse to run the body of `self`: it needs more than is left of the deadline of `owner`, or of its own limit."""
    more = self._extend()
    name = self.name if owner is None else owner.name
    self._started = here.stopwatch()
    self._deadline = self._started + left
    self._task = self._stamp = None
    self._state, self._ended = FINISHED, Ended(Outcome.REJECTED, 0.0, name, None)
    figures = self._series.figures
    # fmt: off
    figures.record_exit(Outcome.REJECTED, 0.0, 0.0); figures.unlimited += 1  # one step
    # fmt: on
    key = ("at_least" if left > 0.0 else "expired", "enforce")
    figures.rejections[key] = figures.rejections.get(key, 0) + 1
    what = f"its own limit is {left:.3f} s" if owner is None else f"{left:.3f} s is left of {name!r}"
    refusal = DeadlineExceeded(
        f"{self.name!r} needs {more.at_least:.3f} s and {what}", name=self.name, limit=left, owner=name, rejected=True
    )
    if left <= 0.0 and owner is not None:
        refusal.deadline_token = (weakref.ref(owner), owner._here.stopwatch())
    try:
        if _observers.installed:
            more.closers = _observers.opened(self, keep_told)
        raise refusal
    finally:
        tell_end(self, refusal)  # here, while what breaks the entry off is not struck itself
        del refusal

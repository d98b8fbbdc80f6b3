"""Leaving and refusing: each edge of a timeout's life but the common exit and the firing is written here.

CREATED -refused-> FINISHED; ACTIVE and EXPIRING -exit-> EXPIRED or FINISHED. An exit decides first, from facts; then
one line says that it is over; what is left to do comes after, so that whatever breaks it off finds nothing half done
that matters.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import weakref
from functools import partial
from threading import get_ident
from typing import Any, NoReturn

from . import _context, _observers, _warn, _where
from ._deciding import decide
from ._ended import Ended, Fired
from ._exceeded import DeadlineExceeded
from ._facts import Facts
from ._family import end_beneath, hand_on, let_go
from ._firing import cancelling_before, counted_as_dropped
from ._link import ACTIVE, BUDGET, EXPIRED, EXPIRING, FINISHED, REMOTE, Link, earliest
from ._more import More
from ._outcome import Outcome
from ._raising import in_place_of
from ._reserves import forget_reserve
from .figures import _process


def close(self: Facts, exc: BaseException | None, package: str | None = None) -> DeadlineExceeded | None:
    """Leave `self`, which is out of its lane, by any way but the common one.

    Returns what to raise in the place of `exc`; None to let it pass.

    Raises:
        AssertionError: `self` is not entered, or has been left: as asyncio's.
    """
    here, task, state = self._here, self._task, self._state
    if (state is not ACTIVE and state is not EXPIRING) or task is None:
        raise AssertionError(f"a Timeout that is {state.value} cannot be left")
    if here.forked:
        self._state = FINISHED  # entered before the fork: it is the parent process's
        return None
    at_home, fired = get_ident() == here.thread, self._fired
    deadline = self._effective(here) if at_home else earliest(self, here)[0]
    now, limit = here.stopwatch(), self._granted(deadline)
    elapsed = max(0.0, now - self._started_at())  # a rounding error, else, where no time has passed
    handled = True
    if fired is not None:
        handled = task.cancelling() - 1 <= cancelling_before(self) if fired.cancels else not fired.interrupted
    outcome, found = decide(self, here, exc, fired, handled=handled, deadline=deadline, limit=limit)
    if found is not None:
        fired, limit = found, self._granted(self._deadline)
    opener, stopping = None, 0.0
    if fired is not None:
        stopping = now - fired.at
        opener = _where.opener(sys._getframe(2))
        if package is None and opener is not None:
            package = opener.module.partition(".")[0]
    ended = Ended(outcome, elapsed, "" if fired is None else fired.owner, fired, package or "", stopping, opener)
    after = EXPIRED if state is EXPIRING or (found is not None and found.own) else FINISHED
    raised = None
    if state is EXPIRING and handled and exc is not None and (found is None or not found.own):
        raised = in_place_of(self, exc, ended, limit)

    if state is EXPIRING and self._fired.cancels:  # type: ignore[union-attr]  # it has fired
        _, self._state, self._ended, self._stamp = task.uncancel(), after, ended, None  # one step: see `broken_off`
    else:
        self._state, self._ended, self._stamp = after, ended, None
    if at_home:
        _settle(self, here, ended, exc, raised, limit)
    else:
        here.hand_over(
            partial(_settle, self, here, ended, exc, raised, limit), partial(_drop, self, here, ended, limit)
        )
    return raised


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
    if ended.__class__ is Ended and not ended.counted and not counted_as_dropped(self, here):
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


def _settle(
    self: Facts, here: Any, ended: Ended, exc: BaseException | None, raised: DeadlineExceeded | None, limit: float
) -> None:
    """All that follows from an exit, in the loop's thread: figures, family, observers, warnings."""
    outcome, fired = ended.outcome, ended.fired
    try:
        _count(self, here, ended, limit)
        expired = self._state is EXPIRED
        if here.around and not here.unwinding:
            here.around.clear()
        if not self._lane and not here.idle:
            here.rest()
        more = self._more
        if more.__class__ is More and more.reserve is not None:
            forget_reserve(self)
        let_go(self, here, self.name, ended.elapsed, here.stopwatch())
        if expired:
            assert fired is not None
            end_beneath(self, here, fired.owner if self._fired is None else self._fired.owner)  # whose deadline fired
            _step_out(self, fired)
        else:
            hand_on(self, here)
        self._task = None
    finally:
        tell_end(self, raised or exc)
    if outcome is Outcome.SUPPRESSED or outcome is Outcome.LATE:
        _warn.ran_on(self)


def _drop(self: Facts, here: Any, ended: Ended, limit: float) -> None:
    """The count of an exit, alone: its loop is closed, and nobody runs there who could ask for more."""
    _count(self, here, ended, limit)
    self._task = self._inner = None


def keep_told(self: Any, closers: _observers.Closers) -> None:
    """Keep `closers`: the observers that were told that `self` is open, and are to be told of its end."""
    self._extend().closers = closers


def tell_end(self: Facts, error: BaseException | None) -> None:
    """Tell the observers that were told that `self` is open, and have not been told of its end."""
    more: Any = self._more
    closers = more.closers if more.__class__ is More else more
    if closers is None:
        return
    more = self._extend()
    more.error = error
    try:
        # fmt: off
        _observers.closed(self, closers); more.closers = None  # one step: broken off, it has those who are left
    # fmt: on
    finally:
        more.error = None


def _step_out(self: Facts, fired: Fired) -> None:
    """Code after a timeout that fired is not beneath it: for the threads that it starts, that one is not spent.

    The budgets that its clean-up was free of bind it again; what the clean-up opened leads past them.
    """
    link = _context.current.get()
    if fired.passed is not None:
        with contextlib.suppress(RuntimeError):  # no loop is running: left by the garbage collector
            if asyncio.current_task() is self._task:
                _context.current.set(self._parent)
        return
    while link is not None and link is not self and (link._state is FINISHED or link._state is EXPIRED):
        link = link._parent
    if link is self:
        _context.current.set(self._parent)


def _count(self: Facts, here: Any, ended: Ended, limit: float) -> None:
    figures, fired, outcome = self._series.figures, ended.fired, ended.outcome
    # fmt: off
    if counted_as_dropped(self, here):
        ended.counted = True
    elif outcome is Outcome.COMPLETED and limit > 0.0:
        figures.record_completed(ended.elapsed, limit); ended.counted = True  # one step
    else:
        figures.record_exit(outcome, ended.elapsed, limit); ended.counted = True
    # fmt: on
    if fired is None:
        return
    here.unwinding.pop(id(self), None)  # not before: broken off, `broken_off` would take it for dropped
    if self._state is EXPIRED:
        figures.unwind.record(max(0.0, here.stopwatch() - fired.at))
    if fired.own:
        figures.expirations[outcome] = figures.expirations.get(outcome, 0) + 1
    if outcome is Outcome.INHERITED:
        figures.record_interruption(fired.owner if fired.owner in (BUDGET, REMOTE) else _process.label(fired.owner))


def refuse(self: Facts, here: Any, left: float, owner: Link | None) -> NoReturn:
    """Refuse to run the body of `self`: it needs more than is left, or more than its own limit."""
    more = self._extend()
    name = self.name if owner is None else owner.name
    self._started = here.stopwatch()
    self._deadline = self._started + left
    self._owner = owner
    self._task = self._stamp = None
    self._state, self._ended = FINISHED, Ended(Outcome.REJECTED, 0.0, name, None)
    figures = self._series.figures
    # fmt: off
    figures.record_exit(Outcome.REJECTED, 0.0, left); figures.unlimited += 1  # one step
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
        tell_end(self, refusal)
        del refusal

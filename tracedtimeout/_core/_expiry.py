"""What happens when a deadline fires, and how a timeout ends: decided here, once, for every exporter."""

from __future__ import annotations

import math
import sys
import weakref
from asyncio import CancelledError
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from . import _inside, _observers, _raised, _relatives, _reserves, _series, _warn, _where
from ._budget import BUDGET, REMOTE, Deadline, State, earliest
from ._outcome import DeadlineExceeded, Outcome, Spent, Where

if TYPE_CHECKING:
    from ._timeout import Timeout


@dataclass(slots=True)
class Expiry:
    """A deadline that fired and ended, or is ending, a timeout."""

    owner: str
    """Whose own deadline it was, or another's around it that passed before the timeout was left and took its place."""
    own: bool
    """Whether it was that of the timeout itself."""
    enforced: bool
    """Whether the timeout's own timer ran: for its own deadline, or for that of a budget directly around it."""
    fired_at: float
    """When, on the stopwatch."""
    places: list[_where.Place] = field(default_factory=list)
    spent: tuple[Spent, ...] = ()
    where: Where | None = None
    cancels: bool = True
    """Whether the task was cancelled for it: once, and to be uncancelled once. (`wait_for` with no time cancels what it
    waits for instead.)"""
    cancelling: int = 0
    """How often the task had been asked to end, this included."""
    around: Deadline | None = None
    """The link around it, where that is a budget which has passed: beneath it again once the timeout is left."""
    fired_for: str = field(init=False)
    """Whose own deadline fired, whatever came after: what the timeouts beneath are ended for."""
    interrupted: bool = False
    """Whether another cancelled the task while what it waits for was ending."""

    def __post_init__(self) -> None:
        self.fired_for = self.owner


_expiring: weakref.WeakValueDictionary[int, Timeout] = weakref.WeakValueDictionary()
"""The timeouts that have fired and are yet to be left, by `id`: they are timed no more, so no lane holds them. Weak: a
task that is dropped in the middle of its clean-up goes as it would."""


def expiring() -> list[Timeout]:
    """The timeouts that have fired and are yet to be left. Safe in any thread."""
    return [timeout for reference in _expiring.valuerefs() if (timeout := reference()) is not None]


def note(self: Timeout) -> None:
    """Have `expiring` list it, until it is left."""
    _expiring[id(self)] = self


listeners: list[Callable[[Timeout], None]] = []
"""Who else is told of each timeout that fires, once its task is cancelled: a door that must answer for it."""


def fire(self: Timeout, ended_by: str | None = None) -> None:
    """Cancel the body of `self`: its deadline passed, or that of `ended_by`, whose work nobody supervised, did.

    Called from callbacks of its loop only: a task that cancels itself from within would not be where it seems.
    """
    here = self._here
    owner, own = (ended_by, False) if ended_by is not None else _whose(self)
    task = self._task
    assert task is not None
    self._unschedule()
    self._extend().expiry = expiry = Expiry(
        owner,
        own,
        ended_by is None,
        here.stopwatch(),
        _where.places(task),
        _inside.spent_of(self) + _inside.unfinished_of(self),
    )
    _inside.extend_inside(self)  # what is opened in their clean-up is bound by the next around this one
    _relatives.count_expiring(self, 1)
    _relatives.pass_by_budgets(self)
    task.cancel()
    expiry.cancelling = task.cancelling()
    self._state = State.EXPIRING
    note(self)
    for listener in listeners:
        listener(self)


def close(self: Timeout, exc: BaseException | None, elapsed: float, package: str | None) -> None:
    """Leave `self` by any way but the common one; raises `DeadlineExceeded` where that takes the place of `exc`."""
    details = self._extend()
    expiry, task = details.expiry, self._task
    assert task is not None
    fired = self._state is State.EXPIRING
    handled = not fired
    if fired:
        _expiring.pop(id(self), None)
    else:
        self._unschedule()
        if not self._entries and not self._here.lanes.idle:
            self._here.lanes.rest()
    if expiry is not None:
        if expiry.cancels:
            _relatives.count_expiring(self, -1)
        handled = task.uncancel() <= self._cancelling if expiry.cancels else not expiry.interrupted
    outcome = _decide(self, exc, handled=handled)
    expiry = details.expiry
    closers = details.closers or getattr(self, "_elapsed", None)  # see `Facts`
    self._elapsed = elapsed  # before the state says that it is there: another thread may read it
    self._state = State.EXPIRED if fired else State.FINISHED
    details.outcome = outcome
    if expiry is not None:
        if package is None:
            package = _where.opener(sys._getframe(1))
        expiry.where = _where.innermost(expiry.places, package)
        expiry.places = []
    raised = _raised.in_place_of(self, exc) if fired and handled and exc is not None else None
    _count(self, outcome, elapsed)
    if expiry is not None and expiry.around is not None:
        _relatives.return_to_budgets(self, expiry.around)
    _relatives.leave(self, elapsed, fired=fired)
    if fired:
        _relatives.step_out(self)
    if closers is not None:
        details.error = raised or exc
        _observers.closed(self, closers)
        details.closers = details.error = None
    self._task = None  # task -> context -> timeout -> task would be a cycle
    if outcome is Outcome.SUPPRESSED or outcome is Outcome.LATE:
        _warn.ran_on(self)
    if raised is not None:
        del task  # which may end with what is raised, whose traceback leads to this frame
        try:
            raise raised from exc
        finally:
            del raised


def reject(self: Timeout, left: float) -> NoReturn:
    """Refuse to run the body of `self`: it needs more than is left."""
    _reserves.forget(self)
    details = self._extend()
    owner = self.owner
    self._started = self._here.stopwatch()
    self._deadline = self._started + left
    self._elapsed = 0.0
    self._state = State.FINISHED
    details.outcome = Outcome.REJECTED
    self._task = None
    series = self._series
    series.unlimited += 1
    series.record_exit(Outcome.REJECTED, 0.0, left)
    key = ("at_least" if left > 0.0 else "expired", "enforce")
    series.rejections[key] = series.rejections.get(key, 0) + 1
    refusal = DeadlineExceeded(
        f"{self.name!r} needs {details.at_least:.3f} s and {left:.3f} s is left of {owner!r}",
        name=self.name,
        limit=left,
        owner=owner,
        rejected=True,
    )
    if _observers.installed and (closers := _observers.opened(self)) is not None:
        details.error = refusal
        _observers.closed(self, closers)
        details.error = None
    try:
        raise refusal
    finally:
        del refusal


def _whose(self: Timeout) -> tuple[str, bool]:
    """Whose deadline its timer ran for, and whether it is its own; counts how late the timer was."""
    here = self._here
    own = self._when
    owner = None
    when = own
    if own is None or not here.lanes.is_due(own):
        when, owner = earliest(self._parent, here)
    if when is not None and math.isfinite(when):
        here.figures.timer_lag.record(max(0.0, here.stopwatch() - max(when, self._started)))
    return (self.name, True) if owner is None else (owner.name, False)


def _decide(self: Timeout, exc: BaseException | None, *, handled: bool) -> Outcome:
    """The outcome, by the table of outcomes; the one place that classifies."""
    expiry = self._expiry
    if isinstance(exc, CancelledError):
        if expiry is not None and handled:
            return Outcome.EXPIRED if expiry.own else Outcome.INHERITED
        return Outcome.INHERITED if _inherits(self) else Outcome.CANCELLED
    enforced = expiry is not None and expiry.enforced
    if exc is not None:
        return Outcome.REPLACED if enforced else Outcome.FAILED
    if enforced:
        return Outcome.SUPPRESSED
    if self.limit > 0.0 and self._here.stopwatch() > self._effective()[0]:
        return Outcome.LATE
    return Outcome.COMPLETED


def _inherits(self: Timeout) -> bool:
    """Whether the cancellation that leaves `self` is that of an enclosing deadline that fired, and no other's."""
    ender, cancels = _relatives.fired_around(self)
    task = self._task
    assert task is not None
    if ender is None or task.cancelling() - self._cancelling > cancels:
        return False
    its = ender._expiry
    assert its is not None
    if self._expiry is None:
        self._extend().expiry = Expiry(its.owner, False, False, its.fired_at, its.places)
    else:
        self._expiry.owner = its.owner
    return True


def _count(self: Timeout, outcome: Outcome, elapsed: float) -> None:
    series, expiry = self._series, self._expiry
    series.record_exit(outcome, elapsed, self.limit)
    if expiry is None:
        return
    if self._state is State.EXPIRED:
        series.unwind.record(max(0.0, self._here.stopwatch() - expiry.fired_at))
    if expiry.own:
        series.expirations[outcome] = series.expirations.get(outcome, 0) + 1
    if outcome is Outcome.INHERITED:
        owner = expiry.owner if expiry.owner in (BUDGET, REMOTE) else _series.label(expiry.owner)
        series.interruptions[owner] = series.interruptions.get(owner, 0) + 1

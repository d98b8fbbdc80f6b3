"""How a timeout ends: refused, fired, left. The one place that decides outcomes and counts them.

Each edge of its life but the common exit is written here: CREATED -refused-> FINISHED, ACTIVE -fires-> EXPIRING, and
any other exit. An exit decides first, from facts; then one line says that it is over; what is left to do comes after,
so that whatever breaks it off finds nothing half done that matters.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
import weakref
from asyncio import CancelledError
from collections.abc import Callable
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

from . import _link, _observers, _spent, _warn, _where
from ._exceeded import DeadlineExceeded, Told, Where, exceeded_message, new_exceeded
from ._family import end_beneath, forget_reserve, hand_on, let_go, open_beneath
from ._link import ACTIVE, BUDGET, EXPIRED, EXPIRING, FINISHED, REMOTE, Link, More, earliest, instant
from ._outcome import Outcome
from .figures import _process

if TYPE_CHECKING:
    from ._timeout import Timeout

INF = math.inf


class Fired(NamedTuple):
    """A deadline that fired, and the facts as they were then: plain numbers, code objects, no frames and no words."""

    at: float
    """On the stopwatch."""
    owner: str
    """Whose own deadline it was."""
    own: bool
    """Whether it was that of the timeout itself."""
    enforced: bool
    """Whether the timeout's own timer ran: for its own deadline, or for that of a budget directly around it."""
    cancelling: int
    """How often the task had been asked to end, this included."""
    cancels: bool = True
    """Whether the task was cancelled for it: once, and to be uncancelled once. (`wait_for` with no time cancels what it
    waits for instead.)"""
    places: list[_where.Place] | None = None
    """Where it waited, if that was in a gather or a TaskGroup; else the traceback tells."""
    spent: _spent.Raw = None
    unfinished: list[tuple[str, float]] | None = None
    passed: Link | None = None
    """The last of the budgets directly around it whose deadlines had passed: they bind its clean-up no more."""
    interrupted: bool = False
    """Whether another cancelled the task while what `wait_for` waited for was ending."""


class Ended:
    """How a timeout ended that did not complete in time."""

    __slots__ = ("counted", "elapsed", "fired", "opener", "outcome", "owner", "package", "raised", "stopping", "where")

    def __init__(
        self,
        outcome: Outcome,
        elapsed: float,
        owner: str,
        fired: Fired | None,
        package: str = "",
        stopping: float = 0.0,
        opener: _where.Place | None = None,
    ) -> None:
        self.outcome = outcome
        self.elapsed = elapsed
        self.stopping = stopping
        """Seconds from firing to leaving."""
        self.owner = owner
        self.fired = fired
        self.package = package
        """The top-level package of the code that opened the timeout."""
        self.opener = opener
        """Where that code is."""
        self.counted = False
        self.raised: weakref.ref[BaseException] | None = None
        """What it raised: where it waited is told by that exception, for as long as somebody holds it."""
        self.where: Where | None = None
        """Once somebody has asked."""


listeners: list[Callable[[Timeout], None]] = []
"""Who else is told of each timeout that fires, once its task is cancelled: a door that must answer for it."""

is_answer: Callable[[BaseException], bool] = lambda exc: False  # noqa: E731  # replaced by a name for a callable
"""Whether an exception is an answer to a request, and no failure: doors register what it is, see `answers_are`."""


def answers_are(predicate: Callable[[BaseException], bool]) -> None:
    """Have exceptions for which `predicate` says so leave a request, or a `with_timeout`, as a return does."""
    global is_answer
    is_answer = predicate


# Firing


def fire(self: Timeout, now: float, ended_by: str | None = None) -> None:
    """Cancel the body of `self`: its deadline passed, or that of `ended_by`, whose work nobody supervised, did.

    Called from callbacks of its loop only: a task that cancels itself from within would not be where it seems. Facts
    first, which may fail; then the cancellation; last out of the lane: what breaks it off is tried again by a tick.
    """
    lane, task = self._lane, self._task
    here = lane.here
    assert task is not None
    try:
        fired = _facts(self, here, now, ended_by)
    except Exception:
        owner = self.name if ended_by is None else ended_by
        fired = Fired(here.stopwatch(), owner, ended_by is None, ended_by is None, task.cancelling() + 1)
    _, self._state, self._fired, self._stamp = task.cancel(), EXPIRING, fired, None  # one step: see the guide
    lane.pop(self, None)
    here.unwinding[id(self)] = _Unwinding(self, here)
    for listener in listeners:
        listener(self)


class _Unwinding(weakref.ref["Timeout"]):
    """A timeout that has fired and is yet to be left. Dropped instead, it is counted as that: nobody else can."""

    __slots__ = ("figures", "key", "unwinding")

    def __new__(cls, timeout: Timeout, here: Any) -> Self:
        return super().__new__(cls, timeout, _dropped)

    def __init__(self, timeout: Timeout, here: Any) -> None:
        super().__init__(timeout, _dropped)  # type: ignore[call-arg]  # typeshed has but __new__
        self.key, self.unwinding, self.figures = id(timeout), here.unwinding, timeout._series.figures


def _dropped(reference: Any) -> None:
    if reference.unwinding.pop(reference.key, None) is reference:
        reference.figures.record_exit(Outcome.CANCELLED, 0.0, 0.0)


def _facts(self: Timeout, here: Any, now: float, ended_by: str | None) -> Fired:
    task, at, parent = self._task, here.stopwatch(), self._parent
    assert task is not None
    own, when, passed = ended_by is None, self._when, None
    owner = self.name if ended_by is None else ended_by
    if own and when > now:  # the deadline of a budget directly around it
        when, link = earliest(parent, here)
        own, owner = False, self.name if link is None else link.name
    if ended_by is None:
        here.figures.timer_lag.record(max(0.0, at - max(when, self._started_at())))
    if parent is not None and parent._bare:
        passed = _passed_budget(parent, here, now)
    unfinished = None
    if self._has_beneath():
        here.stamp = object()
        beneath = list(open_beneath(self))
        unfinished = [(each.name, at - each._started_at()) for each in beneath]
        if len(beneath) > 1 or self._inner is None:  # else it is its own task's
            self._extend().ending = beneath
    waiting = _where.through_children(task)
    cancelling = task.cancelling() + 1
    spent = _spent.frozen(self._spent)
    return Fired(
        at,
        owner,
        own,
        ended_by is None,
        cancelling,
        True,
        waiting,
        spent,
        unfinished,
        passed,
    )


def _passed_budget(link: Link | None, here: Any, now: float) -> Link | None:
    """The last of the budgets directly around that have passed; None if none has."""
    passed = None
    while link is not None and (link._bare or link._state is FINISHED):
        if link._state is ACTIVE and link._when != INF and instant(link, here) <= now:
            passed = link
        link = link._parent
    return passed


def end(self: Timeout, owner: str) -> None:
    """End `self`: the timeout `owner` above it was left after it fired, and nobody has ended the task of this one."""
    if self._state is ACTIVE and not _is_ending(self):
        fire(self, self._lane.here.clock(), owner)


def _is_ending(self: Timeout) -> bool:
    """Whether somebody else has asked its task to end since it was entered: then it is on its way, as in asyncio."""
    task, inner, own = self._task, self._inner, 0
    while inner is not None:
        own += inner._state is EXPIRING
        inner = inner._inner
    return task is None or task.cancelling() - own > cancelling_before(self)


def cancelling_before(self: Timeout) -> int:
    """How often the task had been asked to end when it entered `self`."""
    more = self._more
    return more.cancelling if more.__class__ is More else 0


# Leaving


def close(self: Timeout, exc: BaseException | None, package: str | None = None) -> DeadlineExceeded | None:
    """Leave `self`, which is out of its lane, by any way but the common one.

    Returns what to raise in the place of `exc`; None to let it pass.

    Raises:
        AssertionError: it is not entered, or has been left: as asyncio's.
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
    outcome, found = _decide(self, here, exc, fired, handled=handled, deadline=deadline, limit=limit)
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
        raised = _in_place_of(self, exc, ended, limit)

    if state is EXPIRING and self._fired.cancels:  # type: ignore[union-attr]  # it has fired
        _, self._state, self._ended, self._stamp = task.uncancel(), after, ended, None  # one step: see `broken_off`
    else:
        self._state, self._ended, self._stamp = after, ended, None
    settle = partial(_settle, self, here, ended, exc, raised, limit)
    if at_home:
        settle()
    elif here.is_open():
        here.soon(settle)
    else:
        _count(self, here, ended, limit)
        self._task = self._inner = None  # nobody runs there who could ask
    return raised


def broken_off(self: Timeout) -> None:
    """Clear up after an exit that an exception broke off: out of the lane, counted, no cancellation of ours left."""
    here, task, fired = self._here, self._task, self._fired
    pending = self._state is EXPIRING and fired is not None and fired.cancels
    elapsed = 0.0
    lane = self._lane
    assert lane is not None
    lane.pop(self, None)
    lane.pending[self] = None  # if this breaks off too, a tick goes on with it
    if self._ended is None:
        self._ended = Ended(Outcome.FAILED, elapsed, "", None)
    ended = self._ended
    if ended.__class__ is Ended and not ended.counted:
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


def _decide(
    self: Timeout,
    here: Any,
    exc: BaseException | None,
    fired: Fired | None,
    *,
    handled: bool,
    deadline: float,
    limit: float,
) -> tuple[Outcome, Fired | None]:
    """The outcome, by the table of outcomes; and whose deadline it was, where that is not what `fired` says."""
    if isinstance(exc, CancelledError):
        if fired is not None and handled:
            return Outcome.EXPIRED if fired.own else Outcome.INHERITED, None
        link = _ender(self, here, fired)
        if link is None:
            return Outcome.CANCELLED, None
        ender: Fired = link._fired  # type: ignore[attr-defined]  # only timeouts fire
        if link._here is here:
            self._deadline, self._owner = link._when, link
        if fired is not None:
            return Outcome.INHERITED, fired._replace(owner=ender.owner)
        return Outcome.INHERITED, Fired(ender.at, ender.owner, False, False, 0, places=ender.places)
    enforced = fired is not None and fired.enforced
    if exc is not None:
        if (found := _found_by_code(self, here, exc)) is not None:
            return Outcome.EXPIRED if found.own else Outcome.INHERITED, found
        if enforced or not (self.kind in ("request", "with_timeout") and is_answer(exc)):
            return Outcome.REPLACED if enforced else Outcome.FAILED, None
    if enforced:
        return Outcome.SUPPRESSED, None
    if limit > 0.0 and here.stopwatch() > deadline:
        return Outcome.LATE, None
    return Outcome.COMPLETED, None


def _ender(self: Timeout, here: Any, fired: Fired | None) -> Link | None:
    """The enclosing timeout that fired, if the cancellation that leaves `self` is of its making, and no other's.

    It is that of the outermost of the task, else of the nearest of another. What fired before `self` was entered is not
    in its chain.
    """
    if not here.unwinding and self._stamp is here.stamp:
        return None  # nothing here has fired and is open
    task, outer = self._task, _nearest_fired(self, here)
    ender: Link | None = None
    cancels, foreign, before = 0, False, cancelling_before(self)
    while outer is not None:
        if outer._state is EXPIRING:
            its: Fired = outer._fired  # type: ignore[attr-defined]  # only timeouts fire
            if outer._task is task:
                if its.cancelling > before:  # else it had fired as `self` was entered
                    ender, cancels = outer, cancels + 1
            elif not foreign:
                foreign = True
                ender, cancels = ender or outer, cancels + 1
        outer = outer._parent
    assert task is not None
    asked = task.cancelling() - before - (fired is not None and fired.cancels)
    return None if ender is None or asked > cancels else ender


_MOST_AROUND = 1_000


def _nearest_fired(self: Timeout, here: Any) -> Link | None:
    """The nearest around `self` that has fired and is yet to be left; the exit of its parent need not look again."""
    around, stamp, parent = here.around, here.stamp, self._parent
    known, found = around.pop(self, (None, None))
    outer, at_home = (found if known is stamp else parent), True
    while outer is not None and outer._state is not EXPIRING:
        at_home = at_home and (outer._bare or outer._here is here)  # another loop's may fire without a word
        outer = outer._parent
    if at_home and parent is not None and parent is not outer:
        if len(around) >= _MOST_AROUND:
            around.clear()
        around[parent] = stamp, outer
    return outer


def _found_by_code(self: Timeout, here: Any, exc: BaseException) -> Fired | None:
    """The expiry that code found, which `exc` tells of: of `self`, if that deadline has passed as it stands, or of one
    around it. A group counts where all that is in it does."""
    token = _token_of(exc)
    if token is None:
        return None
    reference, at = token
    link = reference()
    if link is self:
        fired: Fired | None = self._fired
        if fired is not None:
            return fired._replace(own=True, owner=self.name)
        if self._when > here.clock() + here.resolution:
            return None  # it was moved since
        return Fired(at, self.name, True, True, 0, spent=_spent.frozen(self._spent))
    outer = self._parent
    while outer is not None and outer is not link:
        outer = outer._parent
    if link is None or outer is None:
        return None
    return Fired(at, getattr(link, "owner", link.name), False, False, 0)


def _token_of(exc: BaseException) -> Any:
    """The token that `exc` carries, or all of whose leaves carry the same; None with none."""
    if isinstance(exc, BaseExceptionGroup):
        tokens = [_token_of(each) for each in exc.exceptions]
        first = tokens[0]
        if first is None or any(token is None or token[0]() is not first[0]() for token in tokens):
            return None
        return min(tokens, key=_found_at)
    return getattr(exc, "deadline_token", None) if isinstance(exc, DeadlineExceeded) else None


def _found_at(token: Any) -> float:
    at: float = token[1]
    return at


def _settle(
    self: Timeout, here: Any, ended: Ended, exc: BaseException | None, raised: DeadlineExceeded | None, limit: float
) -> None:
    """All that follows from an exit, in the loop's thread: figures, family, observers, warnings."""
    outcome, fired = ended.outcome, ended.fired
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
    if (more.closers if more.__class__ is More else more) is not None:
        more = self._extend()
        more.error = raised or exc
        try:
            _observers.closed(self, more.closers)
        finally:
            more.closers = more.error = None
    if outcome is Outcome.SUPPRESSED or outcome is Outcome.LATE:
        _warn.ran_on(self)


def _step_out(self: Timeout, fired: Fired) -> None:
    """Code after a timeout that fired is not beneath it: for the threads that it starts, that one is not spent.

    The budgets that its clean-up was free of bind it again; what the clean-up opened leads past them.
    """
    link = _link.current.get()
    if fired.passed is not None:
        with contextlib.suppress(RuntimeError):  # no loop is running: left by the garbage collector
            if asyncio.current_task() is self._task:
                _link.current.set(self._parent)
        return
    while link is not None and link is not self and (link._state is FINISHED or link._state is EXPIRED):
        link = link._parent
    if link is self:
        _link.current.set(self._parent)


def _count(self: Timeout, here: Any, ended: Ended, limit: float) -> None:
    figures, fired, outcome = self._series.figures, ended.fired, ended.outcome
    # fmt: off
    if self._fired is not None and self._fired.cancels and here.unwinding.pop(id(self), None) is None:
        ended.counted = True  # as dropped: the garbage collector tells weak references before it closes coroutines
    elif outcome is Outcome.COMPLETED and limit > 0.0:
        figures.record_completed(ended.elapsed, limit); ended.counted = True  # one step
    else:
        figures.record_exit(outcome, ended.elapsed, limit); ended.counted = True
    # fmt: on
    if fired is None:
        return
    if self._state is EXPIRED:
        figures.unwind.record(max(0.0, here.stopwatch() - fired.at))
    if fired.own:
        figures.expirations[outcome] = figures.expirations.get(outcome, 0) + 1
    if outcome is Outcome.INHERITED:
        figures.record_interruption(fired.owner if fired.owner in (BUDGET, REMOTE) else _process.label(fired.owner))


# What is raised


def _in_place_of(self: Timeout, exc: BaseException, ended: Ended, limit: float) -> DeadlineExceeded | None:
    """What to raise in place of `exc`; an exception of the body's own stays, with ours in its context (gh-105684)."""
    if isinstance(exc, CancelledError):
        raised = exceeded(self, ended, limit)
        raised.__cause__ = exc  # tells observers where it waited, before it is raised
        return raised
    assert self._fired is not None
    if not self._fired.cancels:
        return None  # asyncio's wait_for(x, 0) passes it on as it is
    _insert(self, exc, ended, limit)
    if isinstance(exc, ExceptionGroup):
        for member in exc.exceptions:
            _insert(self, member, ended, limit)
    return None


def exceeded(self: Timeout, ended: Ended, limit: float) -> DeadlineExceeded:
    """What `self` raises when a deadline ended it. Its words wait until somebody asks."""
    raised = new_exceeded(DeadlineExceeded)
    raised._tell = partial(_told, self.name, limit, ended)
    ended.raised = weakref.ref(raised)
    return raised


def _told(name: str, limit: float, ended: Ended, raised: DeadlineExceeded) -> Told:
    fired = ended.fired
    assert fired is not None
    where = where_of(ended, raised.__cause__)
    spent = _spent.told(fired.spent, fired.unfinished or ())
    message = exceeded_message(
        name,
        limit,
        ended.elapsed,
        owner=None if fired.own else fired.owner,
        spent=spent,
        where=where,
        stopping=ended.stopping,
    )
    return Told(message, name, limit, ended.elapsed, fired.owner, where, spent)


def where_of(ended: Ended, error: BaseException | None) -> Where | None:
    """Where it waited, by the error that left it or the CancelledError in the context of that; kept from then on."""
    if ended.where is None and ended.fired is not None:
        if ended.fired.places is not None:
            ended.where = _where.innermost(ended.fired.places, ended.package)
        else:
            while error is not None and not isinstance(error, CancelledError):
                error = error.__context__ or error.__cause__
            ended.where = _where.in_traceback(error, ended.package)
            if ended.where is None and error is not None and ended.opener is not None:
                ended.where = ended.opener.where()  # it awaits what the standard library waits in
    return ended.where


def _insert(self: Timeout, exc: BaseException, ended: Ended, limit: float) -> None:
    """Put our exception between `exc` and the CancelledError that it was raised in handling of."""
    while exc.__context__ is not None:
        if isinstance(exc.__context__, CancelledError):
            ours = exceeded(self, ended, limit)
            ours.__context__ = ours.__cause__ = exc.__context__
            exc.__context__ = ours
            break
        exc = exc.__context__


# Refusing


def refuse(self: Timeout, here: Any, left: float, owner: Link | None) -> NoReturn:
    """Refuse to run the body of `self`: it needs more than is left, or more than its own limit."""
    more = self._extend()
    name = self.name if owner is None else owner.name
    self._started = here.stopwatch()
    self._deadline = self._started + left
    self._owner = owner
    self._task = self._stamp = None
    self._state, self._ended = FINISHED, Ended(Outcome.REJECTED, 0.0, name, None)
    figures = self._series.figures
    figures.unlimited += 1
    figures.record_exit(Outcome.REJECTED, 0.0, left)
    key = ("at_least" if left > 0.0 else "expired", "enforce")
    figures.rejections[key] = figures.rejections.get(key, 0) + 1
    what = f"its own limit is {left:.3f} s" if owner is None else f"{left:.3f} s is left of {name!r}"
    refusal = DeadlineExceeded(
        f"{self.name!r} needs {more.at_least:.3f} s and {what}", name=self.name, limit=left, owner=name, rejected=True
    )
    if left <= 0.0 and owner is not None:
        refusal.deadline_token = (weakref.ref(owner), owner._here.stopwatch())
    if _observers.installed and (closers := _observers.opened(self)) is not None:
        more.error = refusal
        try:
            _observers.closed(self, closers)
        finally:
            more.error = None
    try:
        raise refusal
    finally:
        del refusal

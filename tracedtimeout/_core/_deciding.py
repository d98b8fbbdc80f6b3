"""The outcome of a timeout: the one place that decides it, by the table of outcomes."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from typing import Any

from . import _spent
from ._ended import Fired
from ._exceeded import DeadlineExceeded
from ._facts import Facts
from ._firing import cancelling_before
from ._link import EXPIRING, Link
from ._outcome import Outcome

is_answer: Callable[[BaseException], bool] = lambda exc: False  # noqa: E731  # replaced by a name for a callable
"""The predicate by which an exception is an answer to a request, and no failure: doors register it by `answers_are`."""


def answers_are(predicate: Callable[[BaseException], bool]) -> None:
    """Have exceptions for which `predicate` says so leave a request, or a `with_timeout`, as a return does."""
    global is_answer
    is_answer = predicate


def decide(
    self: Facts,
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


def _ender(self: Facts, here: Any, fired: Fired | None) -> Link | None:
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


def _nearest_fired(self: Facts, here: Any) -> Link | None:
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


def _found_by_code(self: Facts, here: Any, exc: BaseException) -> Fired | None:
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

"""The outcome of a timeout: the one place that decides it, by the table of outcomes."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from threading import get_ident
from typing import Any

from . import _spent
from ._ended import Fired
from ._exceeded import DeadlineExceeded
from ._facts import Facts
from ._firing import cancelling_before
from ._link import EXPIRING, Link, earliest, instant
from ._loop import Stamp
from ._outcome import Outcome

is_answer: Callable[[BaseException], bool] = lambda exc: False  # noqa: E731  # replaced by a name for a callable
"""The predicate by which an exception is an answer to a request, and no failure: doors register it by `answers_are`."""


def answers_are(predicate: Callable[[BaseException], bool]) -> None:
    """Have exceptions for which `predicate` says so leave a request, or a `with_timeout`, as a return does."""
    global is_answer
    is_answer = predicate


def decide(
    self: Facts, here: Any, exc: BaseException | None, fired: Fired | None, *, now: float, handled: bool, at_home: bool
) -> tuple[Outcome, Fired | None]:
    """The outcome at `now`, by the table of outcomes; and whose deadline it was, where that is not what `fired` says.

    The effective deadline of `self` is from here on what it was at the end.
    """
    if isinstance(exc, CancelledError):
        if fired is not None and handled:
            if fired.own:  # else it is frozen
                _freeze(self, here, at_home=at_home)
            return Outcome.EXPIRED if fired.own else Outcome.INHERITED, None
        link = _ender(self, here, fired)
        if link is None:
            _freeze(self, here, at_home=at_home)
            return Outcome.CANCELLED, None
        if link._here is here:
            self._deadline, self._owner = link._ended_for()
        else:
            _freeze(self, here, at_home=at_home)
        its: Fired = link._fired  # type: ignore[attr-defined]  # only timeouts fire
        if fired is not None:
            return Outcome.INHERITED, fired._replace(owner=its.owner)
        return Outcome.INHERITED, _untimed(its.at, its.owner, places=its.places)
    enforced = fired is not None and fired.enforced
    if fired is None or fired.own or not enforced:
        _freeze(self, here, at_home=at_home)
    if exc is not None:
        if (found := _found_by_code(self, here, exc)) is not None:
            return Outcome.EXPIRED if found.own else Outcome.INHERITED, found
        if enforced or not (self.kind in ("request", "with_timeout") and is_answer(exc)):
            return Outcome.REPLACED if enforced else Outcome.FAILED, None
    if enforced:
        return Outcome.SUPPRESSED, None
    # By both clocks: uvloop's, on which deadlines stand, is rounded to the millisecond.
    if now > self._deadline and 0.0 < self._granted(self._deadline) < now - self._started_at():
        return Outcome.LATE, None
    return Outcome.COMPLETED, None


def _freeze(self: Facts, here: Any, *, at_home: bool) -> None:
    """Work the effective deadline of `self` out for the last time."""
    if self._parent is None:
        self._deadline, self._owner = self._when, None
    elif at_home:
        self._effective(here)
    else:
        self._deadline, self._owner = earliest(self._parent, here)
        if self._when <= self._deadline:
            self._deadline, self._owner = self._when, None


def _ender(self: Facts, here: Any, fired: Fired | None) -> Link | None:
    """`ender`, for a `self` that may have fired itself, and whose task may have been asked to end before."""
    if not here.unwinding and self._stamp.__class__ is Stamp:
        return None  # nothing here has fired and is open, and none around it is another loop's
    task, before = self._task, cancelling_before(self)
    assert task is not None
    return ender(self, here, task.cancelling() - before - (fired is not None and fired.cancels), before)


def ender(self: Facts, here: Any, asked: int, before: int = 0) -> Link | None:
    """The enclosing timeout that fired, if the cancellation that leaves `self` is of its making, and no other's.

    It is that of the outermost of the task, else of the nearest of another. Each that fires asks the task to end, or
    those within that wait for each other; so somebody else has, where the task was `asked` more often since `self` was
    entered. It had been so `before` times then.
    """
    _, nearest, last, fired = _around(self, here, before)
    if asked > fired:
        return None
    link: Link | None = last if asked > 1 and nearest._task is self._task else nearest
    return link


_Around = tuple[object, Any, Any, int]
"""The timeouts from a link outwards that have fired and are yet to be left: the stamp of the loop, of that moment; the
nearest; the last, outwards, before which all are of the task of the nearest; and their number."""

_MOST_AROUND = 1_000


def _around(self: Facts, here: Any, before: int) -> _Around:
    """All around `self` that have fired and are yet to be left, but those of its task that had as it was entered.

    Of a nest that ends they are found once, and known to whoever is left next.
    """
    stamp, passed = here.stamp, list[Any]()
    known: dict[Any, _Around] = here.around if before == 0 and get_ident() == here.thread else {}
    link: Any = self._parent
    found: Any
    while link is not None and ((found := known.get(link)) is None or found[0] is not stamp):
        passed.append(link)
        link = link._parent
    around: _Around = (stamp, None, None, 0) if link is None else found
    if passed and len(known) >= _MOST_AROUND:
        known.clear()
    keeps = True
    for link in reversed(passed):
        keeps = keeps and link._here is here  # another loop's may fire without a word
        if link._state is EXPIRING and (
            link._task is not self._task
            or link._fired.cancelling > before
            or link._fired.at > self._started_at()  # what was asked for before was taken back since
        ):
            _, nearest, last, fired = around
            alike = nearest is not None and nearest._task is link._task
            around = stamp, link, last if alike else link, fired + 1
        if keeps:
            known[link] = around
    return around


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
        return _untimed(at, self.name, own=True, spent=_spent.frozen(self._spent))
    outer = self._parent
    while outer is not None and outer is not link:
        outer = outer._parent
    if link is None or outer is None:
        return None
    self._deadline, self._owner = instant(link, here), link
    return _untimed(at, getattr(link, "owner", link.name))


def _untimed(at: float, owner: str, *, own: bool = False, places: Any = None, spent: _spent.Raw = None) -> Fired:
    """An expiry for which no timer of the timeout itself ran."""
    return Fired(at, owner, own, False, 0, places=places, spent=spent)


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

"""The outcome of a timeout: the one place that decides it, by the table of outcomes."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable
from typing import Any, NamedTuple

from . import _spent
from ._ended import Fired
from ._exceeded import DeadlineExceeded
from ._facts import Facts
from ._firing import cancelling_before
from ._link import EXPIRING, Link, earliest
from ._outcome import Outcome
from ._tuples import importing

is_answer: Callable[[BaseException], bool] = lambda exc: False  # noqa: E731  # replaced by a name for a callable
"""The predicate by which an exception is an answer to a request, and no failure: doors register it by `answers_are`."""


def answers_are(predicate: Callable[[BaseException], bool]) -> None:
    """Have exceptions for which `predicate` says so leave a request, or a `with_timeout`, as a return does."""
    global is_answer
    is_answer = predicate


def decide(
    self: Facts, here: Any, exc: BaseException | None, fired: Fired | None, *, handled: bool, at_home: bool
) -> tuple[Outcome, Fired | None]:
    """The outcome, by the table of outcomes; and whose deadline it was, where that is not what `fired` says.

    The effective deadline of `self` is from here on what it was at the end.
    """
    if isinstance(exc, CancelledError):
        if fired is not None and handled:
            _freeze(self, here, at_home=at_home)
            return Outcome.EXPIRED if fired.own else Outcome.INHERITED, None
        link = _ender(self, here, fired)
        if link is None:
            _freeze(self, here, at_home=at_home)
            return Outcome.CANCELLED, None
        if link._here is here:
            self._deadline, self._owner = link._when, link
        else:
            _freeze(self, here, at_home=at_home)
        ender: Fired = link._fired  # type: ignore[attr-defined]  # only timeouts fire
        if fired is not None:
            return Outcome.INHERITED, fired._replace(owner=ender.owner)
        return Outcome.INHERITED, Fired(ender.at, ender.owner, False, False, 0, places=ender.places)
    _freeze(self, here, at_home=at_home)
    enforced = fired is not None and fired.enforced
    if exc is not None:
        if (found := _found_by_code(self, here, exc)) is not None:
            return Outcome.EXPIRED if found.own else Outcome.INHERITED, found
        if enforced or not (self.kind in ("request", "with_timeout") and is_answer(exc)):
            return Outcome.REPLACED if enforced else Outcome.FAILED, None
    if enforced:
        return Outcome.SUPPRESSED, None
    if here.stopwatch() > self._deadline and self._granted(self._deadline) > 0.0:
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
    """The enclosing timeout that fired, if the cancellation that leaves `self` is of its making, and no other's.

    It is that of the outermost of the task, else of the nearest of another. What fired before `self` was entered is not
    in its chain.
    """
    if not here.unwinding and self._stamp is here.stamp:
        return None  # nothing here has fired and is open
    task, before = self._task, cancelling_before(self)
    assert task is not None
    asked = task.cancelling() - before - (fired is not None and fired.cancels)
    if asked == 1 and fired is None and (link := single_ender(self, here, before)) is not None:
        return link
    around = _fired_around(self, here, before, asked)
    cancels = around.fired + (0 if around.other is None else 1 + max(0, around.further))
    return None if asked > cancels else around.own or around.other


def single_ender(self: Facts, here: Any, before: int) -> Link | None:
    """`_ender` where one cancellation was asked for, and the nearest timeout that fired asked for it: one of the task,
    or one of another whose work this is; else None."""
    parent, task, around = self._parent, self._task, here.around
    link: Any = around.get(self)
    if link.__class__ is _Around:
        return None
    if link is None:
        link = parent
    while link is not None and link._stays_in(task):
        link = link._parent
    nearest = link
    while link is not None and link._state is not EXPIRING:
        link = link._parent
    if link is None:
        return None
    if link._task is not task:
        asked_for_it = link._here is here
    else:  # with another task's between the two, what that was asked for counts as well
        asked_for_it = link is nearest and link._fired.cancelling == before + 1
    if not asked_for_it:
        return None
    around.pop(self, None)
    if parent is not link:
        _keep(parent, here, link)
    return link  # type: ignore[no-any-return]  # a link


@importing
class _Around(NamedTuple):
    """The timeouts around one that have fired and are yet to be left, as seen from the task of that one."""

    stamp: object
    """The stamp of the loop, of that moment."""
    start: Link | None
    """The nearest link that may have fired: none nearer has."""
    before: int
    """The number of times that the task had been asked to end before; -1 where the rest is not known."""
    own: Link | None = None
    """The outermost timeout of the task that has fired."""
    fired: int = 0
    """The number of timeouts of the task that have fired since then."""
    other: Link | None = None
    """The nearest timeout of another task that has fired, where the walk ends."""
    further: int = -1
    """The number of timeouts beyond `other` that have fired, each of which has cancelled the tasks of those within; -1
    where nobody has asked. Where `before` is -1, the number of those from `start` on."""


_MOST_AROUND = 1_000


def _fired_around(self: Facts, here: Any, before: int, asked: int) -> _Around:
    """The timeouts around `self` that have fired and are yet to be left; the exit of the parent need not look again."""
    stamp, task, parent = here.stamp, self._task, self._parent
    found: _Around | None = here.around.pop(self, None)
    if found.__class__ is not _Around:
        found = None
    at_home = True
    if found is None or found.stamp is not stamp or found.before != before:
        outer: Any = parent if found is None or found.stamp is not stamp else found.start
        further = found.further if found is not None and found.stamp is stamp and found.before == -1 else -1
        start = outer
        own, fired, other = None, 0, None
        while outer is not None:
            if outer._state is EXPIRING:
                if own is None:
                    start = outer
                further -= 1
                if outer._task is not task:
                    other = outer
                    break
                if outer._fired.cancelling > before:  # else it had fired as `self` was entered
                    own, fired = outer, fired + 1
            at_home = at_home and (outer._bare or outer._here is here)  # another loop's may fire without a word
            outer = outer._parent
        if own is None and other is None:
            start = None
        found = _Around(stamp, start, before, own, fired, other, max(further, -1))
    if (nearest := found.other) is not None and found.further < 0 and asked > found.fired + 1:
        # A chain of tasks that wait for each other: each timeout that fired has cancelled all tasks within.
        further, outer = 0, nearest._parent
        while outer is not None:
            further += outer._state is EXPIRING
            at_home = at_home and (outer._bare or outer._here is here)
            outer = outer._parent
        found = found._replace(further=further)
    if at_home and parent is not None:
        _keep_for(parent, here, found, task)
    return found


def _keep_for(parent: Any, here: Any, found: _Around, task: object) -> None:
    stamp, start, before, own, fired, other, further = found
    outwards = parent._parent
    if other is not None and parent is other:
        if further < 0:
            return
        found = _Around(stamp, outwards, -1, further=further)
    else:
        if parent._state is EXPIRING:
            start = outwards
            if parent._fired.cancelling > before:
                own, fired = None if parent is own else own, fired - 1
        elif start is parent:
            start = outwards  # it may fire until it is left, and is no part of what is around it
        if parent._task is not task:
            before, further = -1, -1 if own is not None or other is None or further < 0 else further + 1
        found = _Around(stamp, start, before, own, fired, other, further)
    _keep(parent, here, found)


def _keep(parent: Any, here: Any, found: Any) -> None:
    if len(here.around) >= _MOST_AROUND:
        here.around.clear()
    here.around[parent] = found


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

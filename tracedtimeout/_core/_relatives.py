"""What timeouts mean to each other: those around one, those inside it, and what each leaves the other.

A timeout binds those beneath it by being walked past (`_budget`). Beyond that it knows those directly inside it
(`_inside`).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from typing import TYPE_CHECKING, Any

from . import _reserves
from ._budget import REMOTE, Budget, Deadline, State, binds, current, instant, live, skip_left
from ._inside import add_spent, extend_inside

if TYPE_CHECKING:
    from ._timeout import Timeout

ACTIVE = State.ACTIVE
LEFT = (State.EXPIRED, State.FINISHED)

_lock = threading.Lock()
"""Held to adopt and to let go: a timeout on another thread's loop may be adopted too."""


def enclose(self: Timeout) -> tuple[float, float]:
    """Put `self` beneath what binds it; returns when to time it, and its effective deadline."""
    parent, details = self._parent, self._details
    if parent is not None and parent._state is not ACTIVE:
        self._parent = parent = live(parent, self._here)
    if details is not None and details.reserve is not None:
        _reserves.set_before(self)
    return timed_at(self)


def join(self: Timeout) -> None:
    """Make `self` known to the timeout around it."""
    outer: Any = self._parent
    while outer is not None and (outer.__class__ is Budget or not binds(outer, self._here)):
        outer = outer._parent
    if outer is None:
        return
    if outer._task is self._task:
        outer._inner = self
        return
    if outer._here is not self._here:
        self._extend()  # it is not told when that is moved
    _adopt(outer, self)


def timed_at(self: Timeout) -> tuple[float, float]:
    """When to time `self`, and its effective deadline.

    Its own deadline and those of bare budgets directly around it are timed by it; the other timeouts around it time
    their own. What is spent for good (another thread's) has nobody left to time it.
    """
    here = self._here
    timed = deadline = math.inf if self._when is None else self._when
    link, bare = self._parent, True
    while link is not None:
        if link._state is ACTIVE and link._here is here:
            when = link._when
        elif binds(link, here):
            when = instant(link, here) if link._when is not None or link._state is not ACTIVE else None
        else:
            bare = bare and link._state is State.FINISHED
            link = link._parent
            continue
        if bare and link.__class__ is not Budget:
            bare = False
        if when is not None and when < deadline:
            deadline = when
            if bare or link._state is not ACTIVE:
                timed = when
        link = link._parent
    return timed, deadline


def timed_anew(self: Timeout) -> tuple[float, float]:
    """`timed_at`, as its `reserve` stands now: the budget that it was set before may have been left."""
    if _reserves.holds(self):
        _reserves.set_before(self)
    return timed_at(self)


def around(link: Deadline | None) -> Timeout | None:
    """The nearest timeout from `link` outwards, past bare budgets."""
    while link.__class__ is Budget:
        link = link._parent
    return link  # type: ignore[return-value]  # there is no other kind; a cast() would be a call


def due_around(self: Timeout) -> list[Timeout]:
    """The enclosing timeouts of the same task that are due as well, outermost first."""
    due: list[Timeout] = []
    outer = around(self._parent)
    while outer is not None and (outer._task is self._task or outer._state in LEFT):
        if outer._state is ACTIVE and outer._here.lanes.is_due(timed_at(outer)[0]):
            due.append(outer)
        outer = around(outer._parent)
    return due[::-1]


def fired_around(self: Timeout) -> tuple[Timeout | None, int]:
    """The enclosing timeout whose firing ends `self`, and how often its task may have been cancelled for that.

    It is the outermost of the task, else the nearest of another. What fired before it was entered is not in its chain.
    """
    ender: Timeout | None = None
    cancels = 0
    foreign = False
    outer = around(self._parent)
    while outer is not None:
        if outer._state is State.EXPIRING:
            if outer._task is self._task:
                if outer._expiry is None or outer._expiry.cancelling > self._cancelling:  # else it was before
                    ender, cancels = outer, cancels + 1
            elif not foreign:
                foreign = True
                ender, cancels = ender or outer, cancels + 1
        outer = around(outer._parent)
    return ender, cancels


def let_go(self: Timeout, elapsed: float) -> None:
    """Tell the timeout that `self` joined that it is left, and what it took.

    That is the one around it, mostly; where that had fired, or was left meanwhile, one further out. If another has
    taken its place there, what it took goes to the nearest.
    """
    nearest = None
    outer = around(self._parent)
    if outer is None:  # nothing but budgets
        return
    with _lock:
        while outer is not None:
            known = _take_out(self, outer)
            if outer._state not in LEFT and (known or nearest is None):
                nearest = outer
            if known and nearest is outer:
                break
            outer = around(outer._parent)
        if nearest is not None:
            add_spent(nearest, self.name, elapsed)


def _take_out(self: Timeout, outer: Timeout) -> bool:
    """Have `outer` no longer list `self` as open inside it; whether it did."""
    if outer._inner is self:
        outer._inner = None
        return True
    adopted = None if outer._details is None else outer._details.adopted
    if adopted is None or self not in adopted:
        return False
    del adopted[self]
    return True


def leave(self: Timeout, elapsed: float, *, fired: bool) -> None:
    """Tell the others that `self` is left: what it took, and what becomes of those still open beneath it."""
    _reserves.forget(self)
    let_go(self, elapsed)
    outer, details = around(self._parent), self._extend()
    if details.adopted is not None:
        if not fired:
            _reserves.rearm(self)  # it binds nothing now
        with _lock:
            orphans, details.adopted = list(details.adopted), None
        for orphan in orphans:
            if fired:
                _end_soon(orphan, self)
            else:
                if orphan._parent is self:  # else a budget stands between
                    orphan._parent = self._parent
                if orphan._here is not self._here:
                    orphan._here.soon(extend_inside, orphan)
                else:
                    if orphan._state is ACTIVE and not orphan._here.lanes.is_firing(orphan):
                        orphan._rearm()
                    extend_inside(orphan)
                if outer is not None:
                    _adopt(outer, orphan)
    inner = self._inner
    if inner is not None and not fired and inner._parent is self and inner._state is ACTIVE:
        self._inner = None
        _reserves.rearm(self)
        inner._parent = self._parent
        extend_inside(inner)
        if outer is not None:
            if outer._task is inner._task:
                outer._inner = inner
            else:
                _adopt(outer, inner)
        inner._rearm()
    skip_left(self)


def source_of(owner: Deadline | None, self: Timeout) -> str:
    """Where the effective deadline of `self` comes from, in the words of the span attribute."""
    if owner is None:
        return "none"
    if owner is self:
        return "own"
    return "header" if owner.name == REMOTE else "inherited"


def _adopt(outer: Timeout, child: Timeout) -> None:
    with _lock:
        details = outer._details
        if details is None or details.plain:
            details = outer._extend()
        if details.adopted is None:
            details.adopted = {}
        details.adopted[child] = None
    if outer._state is not ACTIVE and outer._state is not State.EXPIRING:  # left meanwhile, in its own thread
        _end_soon(child, outer)


def _end_soon(child: Timeout, owner: Timeout) -> None:
    """End `child`, which nobody supervised, from a callback of its own loop."""
    if owner._expiry is not None:
        child._here.soon(child._end, owner._expiry.fired_for)


def is_ending(self: Timeout) -> bool:
    """Whether somebody else has asked its task to end since it was entered: then it is on its way, as in asyncio."""
    task = self._task
    return task is None or task.cancelling() - self._extend().expiring_inside > self._cancelling


def pass_by_budgets(self: Timeout) -> None:
    """Its timer was also that of the budgets directly around it: those that have passed bind its clean-up no more."""
    link, passed, lanes = self._parent, None, self._here.lanes
    while isinstance(link, Budget):
        if link._state is not ACTIVE or (link._when is not None and lanes.is_due(instant(link, self._here))):
            passed = link
        link = link._parent
    if passed is not None and self._expiry is not None:
        self._expiry.around, self._parent = self._parent, passed._parent


def return_to_budgets(self: Timeout, around: Deadline) -> None:
    """Code after its clean-up is bound by the budgets again. What the clean-up opened leads past them, so begin anew."""  # noqa: E501
    self._parent = around
    with contextlib.suppress(RuntimeError):  # no loop is running: left by the garbage collector
        if asyncio.current_task() is self._task:
            current.set(around)


def step_out(self: Timeout) -> None:
    """Code after a timeout that fired is not beneath it: for the threads that it starts, that one is not spent."""
    link = current.get()
    while link is not None and link is not self and link._state in LEFT:
        link = link._parent
    if link is self:
        current.set(self._parent)


def count_expiring(self: Timeout, change: int) -> None:
    """Tell the timeouts around `self` in its task that it has that task cancelled, or no longer has."""
    outer = around(self._parent)
    while outer is not None and (outer._task is self._task or outer._state in LEFT):
        outer._extend().expiring_inside += change
        outer = around(outer._parent)

"""Firing: the edge ACTIVE -fires-> EXPIRING, and the facts of that moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _spent, _where
from ._ended import Fired
from ._facts import Facts
from ._family import listed, open_beneath
from ._link import ACTIVE, EXPIRING, FINISHED, INF, Link, earliest, instant
from ._more import More

listeners: list[Callable[[Any], None]] = []
"""Called with each timeout that fires, once its task is cancelled: by a door that must answer for it."""


def fire(self: Facts, now: float, ended_by: str | None = None) -> None:
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
    unwinding = here.unwinding
    key, until_left = id(self), unwinding.reference(self)
    # One step: see the guide. One that fired unseen by `unwinding` would be taken for dropped as it is left, uncounted.
    _, self._state, self._fired, self._stamp, unwinding[key] = task.cancel(), EXPIRING, fired, None, until_left
    lane.pop(self, None)
    if here.around:
        here.around.clear()  # where the exit of one of a nest never ran, what was known of it would be kept
    for listener in listeners:
        listener(self)


def _facts(self: Facts, here: Any, now: float, ended_by: str | None) -> Fired:
    task, parent, more, at = self._task, self._parent, self._more, here.stopwatch()
    assert task is not None
    own, due, passed, unfinished = ended_by is None, self._when, None, None
    owner = ended_by or (self._series.name if more is None else self.name)
    if parent is not None:
        if own and due > now:  # the deadline of a budget directly around it
            due, link = earliest(parent, here)
            own, owner = False, self.name if link is None else link.name
            self._deadline, self._owner = due, link  # for good
        if parent._bare:
            passed = _passed_budget(parent, here, now)
    if ended_by is None:  # it is late since it was due and could be: one may be entered, or moved, past its deadline
        if (started := self._started) is not None and started > due:
            due = started
        if more.__class__ is More and more.moved_at > due:
            due = more.moved_at
        here.figures.timer_lag.record(at - due if at > due else 0.0)
    if self._inner is not None or (more.__class__ is More and more.children):
        here.lift()
        beneath = list(open_beneath(self))
        unfinished = [(each.name, at - each._started_at()) for each in beneath]
        if beneath != [self._inner]:  # else it is its own task's
            self._extend().ending = beneath
    waiting = _where.through_children(task)
    cancelling = task.cancelling() + 1
    spent = _spent.frozen(self._spent)
    return Fired(at, owner, own, ended_by is None, cancelling, True, waiting, spent, unfinished, passed)


def _passed_budget(link: Link | None, here: Any, now: float) -> Link | None:
    """The last of the budgets directly around that have passed; None if none has."""
    passed = None
    while link is not None and (link._bare or link._state is FINISHED):
        if link._state is ACTIVE and link._when != INF and instant(link, here) <= now:
            passed = link
        link = link._parent
    return passed


def end(self: Facts, ender: Link) -> None:
    """End `self`: the link `ender` above it was left after it fired, and nobody has ended the task of this one."""
    if self._state is ACTIVE and not _is_ending(self):
        here = self._lane.here
        fire(self, here.clock(), ender.name)
        self._deadline, self._owner = instant(ender, here), ender  # for good


def _is_ending(self: Facts) -> bool:
    """True if somebody else has asked its task to end since it was entered: then it is on its way, as in asyncio."""
    task, own, waiting = self._task, 0, list[Link]([self])
    while waiting:  # those of its clean-up are no `_inner`
        for each in listed(waiting.pop()):
            if each._task is task:
                own += each._state is EXPIRING and each._fired.cancels  # type: ignore[attr-defined]  # timeouts alone fire
                waiting.append(each)
    return task is None or task.cancelling() - own > cancelling_before(self)


def cancelling_before(self: Facts) -> int:
    """The number of times that the task had been asked to end when it entered `self`."""
    more = self._more
    return more.cancelling if more.__class__ is More else 0

"""Reserves: timeouts that end some seconds before the deadline around them. They alone are pushed when another moves.

Each function writes `self` alone, in the thread of its loop.
"""

from __future__ import annotations

from typing import Any

from ._link import ACTIVE, INF, Link, at_home, in_force, nearest_open, tell
from ._more import More
from .figures._series import NEVER


def set_before(self: Link, here: Any) -> None:
    """Set the deadline of `self` to its reserve before the enclosing one, and no later than asked."""
    more, parent = self._more, self._parent
    around = INF if parent is None else in_force(parent, here)
    when = min(more.asked, around - more.reserve)
    self._when = NEVER if when == INF else when


def hold_reserve(self: Link) -> None:
    """Have the links around `self` know that `self` moves with them."""
    link = self
    while (outer := nearest_open(link)) is not None and at_home(outer, self._here):
        if not _know(outer, link):
            return
        link = outer
    if outer is not None:
        tell(outer, _hold_from_elsewhere, link)


def forget_reserve(self: Link) -> None:
    """Undo `hold_reserve`."""
    link = self
    while (outer := nearest_open(link)) is not None and _forget(outer, link):
        link = outer


def rearm(self: Link, here: Any) -> None:
    """Move the deadlines that stand a reserve before that of `self`."""
    waiting = _reserving(self)
    for each in waiting:
        if at_home(each, here):
            _set_anew(each, here)
            waiting += _reserving(each)
        else:
            tell(each, _rearm_from_elsewhere)


def inherit_reserves(self: Link, more: Any) -> None:
    """Have `self` know the reserves that its child knew, which was left; `more` is the child's."""
    if more.__class__ is More and more.reserving:
        theirs = self._extend()
        theirs.reserving = {**(theirs.reserving or {}), **more.reserving}
        hold_reserve(self)


def _know(self: Link, link: Link) -> bool:
    """Know that `link`, directly beneath `self`, holds a reserve; returns whether that is news."""
    more = self._extend()
    if more.reserving is None:
        more.reserving = {}
    elif link in more.reserving:
        return False
    more.reserving[link] = None
    return True


def _forget(self: Link, link: Link) -> bool:
    """Undo `_know`; returns whether `self` knows, and holds, none any more."""
    more = self._more
    if more.__class__ is not More or not more.reserving:
        return False
    more.reserving.pop(link, None)
    return not more.reserving and more.reserve is None


def _reserving(self: Link) -> list[Link]:
    more = self._more
    return list(more.reserving or ()) if more.__class__ is More else []


def _set_anew(self: Any, here: Any) -> None:
    more = self._more
    if more.__class__ is More and more.reserve is not None and self._state is ACTIVE:
        self._started = self._started_at()  # which the deadline as it was may tell
        more.moved_at = here.stopwatch()
        set_before(self, here)
        self._retime()


def _rearm_from_elsewhere(self: Link) -> None:
    if self._state is ACTIVE:
        here = self._here
        here.move()
        _set_anew(self, here)
        rearm(self, here)


def _hold_from_elsewhere(self: Link, link: Link) -> None:
    if self._state is ACTIVE:
        _know(self, link)
        hold_reserve(self)

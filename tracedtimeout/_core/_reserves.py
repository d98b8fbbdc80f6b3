"""Timeouts that end a `reserve` before the deadline around them: they alone are pushed when another moves."""

from __future__ import annotations

import math
import weakref
from typing import TYPE_CHECKING

from ._budget import State, earliest

if TYPE_CHECKING:
    from ._timeout import Timeout

_asked: weakref.WeakKeyDictionary[Timeout, float] = weakref.WeakKeyDictionary()
"""Those that are open, and the deadline asked of each."""


def holds(self: Timeout) -> bool:
    """Whether `self` is one of them."""
    return self in _asked


def forget(self: Timeout) -> None:
    """Let go of one that is left, or was refused."""
    _asked.pop(self, None)


def set_before(self: Timeout) -> None:
    """Set its own deadline to stand its reserve before the enclosing one, and no later than asked."""
    reserve = self._extend().reserve
    assert reserve is not None
    asked = _asked.setdefault(self, math.inf if self._when is None else self._when)
    when = min(asked, earliest(self._parent, self._here)[0] - reserve)
    self._when = None if when == math.inf else when


def rearm(moved: Timeout) -> None:
    """Move the deadlines that stand a `reserve` before that of `moved`."""
    forget(moved)
    for reference in _asked.keyrefs():  # a copy, made at once: other threads' loops have theirs
        each = reference()
        link = None if each is None else each._parent
        while link is not None and link is not moved:
            link = link._parent
        if each is not None and link is moved:
            if each._here is moved._here:
                _set_anew(each)  # at once: deadline() is right when reschedule() returns
            else:
                each._here.soon(_set_anew, each)


def _set_anew(self: Timeout) -> None:
    if self._state is State.ACTIVE and holds(self):
        set_before(self)
        self._rearm()

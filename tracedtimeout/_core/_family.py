"""Parents and children: who lies beneath whom, and what each leaves the others.

A link binds those beneath it by being walked past (`_link`). Beyond that a parent knows its children: to read off the
unfinished when it fires, to end those that nobody supervises, and to tell that something lies beneath it when it moves.
A child is known to its nearest open parent. On another loop all of that is done by callbacks, in the parent's thread.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator
from typing import Any

from . import _spent
from ._link import ACTIVE, EXPIRED, EXPIRING, FINISHED, INF, NO_LOOP, Link, More, earliest
from .figures._series import NEVER

LEFT = (EXPIRED, FINISHED)


def join(self: Link, here: Any) -> None:
    """Make `self`, entered just now on the loop of `here`, known to its parent."""
    parent = self._parent
    assert parent is not None
    if parent._here is here:
        if parent._task is self._task and parent._inner is None:
            parent._inner = self
        else:
            _adopt(parent, self)
    elif parent._here is not NO_LOOP:
        parent._here.soon(_adopt_from_elsewhere, parent, self)


def let_go(self: Link, here: Any, name: str, elapsed: float, now: float) -> None:
    """Tell the nearest open parent of `self` that `self` is left at `now`, and what it took."""
    outer = self._parent
    if outer is not None and outer._state is ACTIVE and (more := outer._more).__class__ is More and outer._here is here:
        children = more.children  # the common case: a child task's
        if children and self in children:
            del children[self]
            outer._spent = _spent.added_beside(outer._spent, name, elapsed, now)
            return
    task = self._task
    outer = nearest_open(self)
    if outer is None or outer._here is NO_LOOP:
        return
    if outer._here is not here:
        outer._here.soon(_let_go_from_elsewhere, outer, self, name, elapsed)
        return
    _take_out(outer, self)
    if outer._task is task:
        outer._spent = _spent.added(outer._spent, name, elapsed)
    else:
        outer._spent = _spent.added_beside(outer._spent, name, elapsed, now)


def left(self: Link, here: Any) -> None:
    """A budget was left: its parent has its children from now on, and what they took."""
    if here is NO_LOOP or here.forked:
        return
    outer = nearest_open(self)
    if outer is not None and outer._here is here:
        _take_out(outer, self)
        while outer is not None and outer._state is not ACTIVE:
            outer = outer._parent  # one that has fired knows what it needs
        if outer is not None and outer._here is here:
            outer._spent = _spent.merged(outer._spent, self._spent)
    hand_on(self, here)


def hand_on(self: Link, here: Any) -> None:
    """Those still open beneath `self`, which was left, are its parent's children from now on."""
    inner, more = self._inner, self._more
    children = more.children if more.__class__ is More else None
    if inner is not None and inner._state in LEFT:
        inner = None  # what an exception broke off
    if inner is None and not children:
        return
    outer = nearest_open(self)
    here.stamp = object()
    handed: list[Any] = []
    if outer is not None and (outer._bare or outer._here is not here or outer._state is EXPIRING):
        handed = [*([] if inner is None else [inner]), *_each(children)]
    fired = outer is not None and outer._state is EXPIRING and outer._here is here
    if fired and handed and self._state is FINISHED and not self._bare:
        theirs = outer._extend()  # type: ignore[union-attr]  # it fired with these beneath it
        theirs.ending = [*(theirs.ending or ()), *(each for each in handed if not each._bare)]
    if outer is not None and outer._here is here:
        _hand_children(children, outer)
        if inner is not None and outer._task is inner._task and outer._inner is None:
            outer._inner = inner
        elif inner is not None:
            _adopt(outer, inner)
        _hand_reserving(self, outer)
    elif outer is not None and outer._here is not NO_LOOP:
        for each in handed:
            outer._here.soon(_adopt_from_elsewhere, outer, each)
    if outer is not None and outer._bare:  # a budget has no timer: those of the timeouts directly inside stand for it
        for each in handed:
            each._retime()
    self._inner = None
    if more.__class__ is More:
        more.children = None
        rearm(self, here)
        more.reserving = None


def end_beneath(self: Link, here: Any, owner: str) -> None:
    """`self` was left after it fired: the children in other tasks that nobody supervises end, for `owner`.

    A child of another TaskGroup, one entered outside `self`, belongs to that group, and is handed on.
    """
    task, more = self._task, self._more
    if more.__class__ is More and more.ending:
        ending, more.ending = more.ending, None
        for each in ending:
            if each._task is not task and each._state is ACTIVE and not _is_supervised(each):
                each._here.soon(each._end, owner)
    hand_on(self, here)


def open_beneath(self: Link) -> Iterator[Link]:
    """Those open directly beneath `self`; those in budgets there in their place."""
    waiting: list[Link] = [self]
    while waiting:
        link = waiting.pop()
        inner, more = link._inner, link._more
        found = [] if inner is None else [inner]
        if more.__class__ is More and more.children:
            found += _each(more.children)
        for each in found:
            if each._bare:
                waiting.append(each)
            else:
                yield each


def nearest_open(self: Link) -> Link | None:
    """The nearest parent that is not left; those left without firing are passed by from now on."""
    while (outer := self._parent) is not None and outer._state is FINISHED:
        self._parent = outer._parent  # else a chain of generations would grow
    while outer is not None and outer._state in LEFT:
        outer = outer._parent
    return outer


# Reserves: timeouts that end some seconds before the deadline around them. They alone are pushed when another moves.


def set_before(self: Link, here: Any) -> None:
    """Set its own deadline to stand its reserve before the enclosing one, and no later than asked."""
    more, parent = self._more, self._parent
    around = INF
    if parent is not None:
        around = (
            parent._effective(here) if parent._here is here and parent._state is ACTIVE else earliest(parent, here)[0]
        )
    when = min(more.asked, around - more.reserve)
    self._when = NEVER if when == INF else when


def hold_reserve(self: Link) -> None:
    """Have those around `self` know that what moves them moves it."""
    link = self
    while (outer := nearest_open(link)) is not None and outer._here is link._here:
        more = outer._extend()
        if more.reserving is None:
            more.reserving = {}
        elif link in more.reserving:
            return
        more.reserving[link] = None
        link = outer
    if outer is not None and outer._here is not NO_LOOP:
        outer._here.soon(_reserve_from_elsewhere, outer, link)


def forget_reserve(self: Link) -> None:
    """Undo `hold_reserve`."""
    link = self
    while (outer := nearest_open(link)) is not None and outer._more.__class__ is More and outer._more.reserving:
        outer._more.reserving.pop(link, None)
        if outer._more.reserving or outer._more.reserve is not None:
            return
        link = outer


def rearm(moved: Link, here: Any) -> None:
    """Move the deadlines that stand a reserve before that of `moved`."""
    more = moved._more
    waiting = list(more.reserving or ()) if more.__class__ is More else []
    for each in waiting:
        if each._here is not here:
            each._here.soon(_rearm_there, each)
            continue
        its = each._more
        if its.reserve is not None and each._state is ACTIVE:
            set_before(each, here)
            each._retime()
        waiting += its.reserving or ()


def _rearm_there(self: Link) -> None:
    if self._state is ACTIVE and self._more.__class__ is More:
        here = self._here
        here.stamp = object()
        if self._more.reserve is not None:
            set_before(self, here)
            self._retime()
        rearm(self, here)


def _reserve_from_elsewhere(outer: Link, link: Link) -> None:
    if outer._state is ACTIVE:
        more = outer._extend()
        more.reserving = {**(more.reserving or {}), link: None}
        hold_reserve(outer)


def _hand_reserving(self: Link, outer: Link) -> None:
    more = self._more
    if more.__class__ is More and more.reserving:
        theirs = outer._extend()
        theirs.reserving = {**(theirs.reserving or {}), **more.reserving}
        hold_reserve(outer)


def _adopt(parent: Link, child: Link) -> None:
    more = parent._extend()
    if more.children is None:
        more.children = {}
    more.children[child if child._when != INF else weakref.ref(child)] = None


def _adopt_from_elsewhere(outer: Link, child: Link) -> None:
    """`_adopt`, of another loop's child, in the parent's thread; either may have been left meanwhile."""
    if child._state in LEFT:
        return
    here = outer._here
    if outer._state is FINISHED and (found := nearest_open(outer)) is not None:
        outer = found
    if outer._state is EXPIRED:
        child._here.soon(child._end, outer._ended_for())
    elif outer._here is not here:
        outer._here.soon(_adopt_from_elsewhere, outer, child)
    elif outer._state is not FINISHED:
        _adopt(outer, child)
        if outer._state is EXPIRING:
            more = outer._extend()
            more.ending = [*(more.ending or ()), child]


def _let_go_from_elsewhere(outer: Link, child: Link, name: str, elapsed: float) -> None:
    if outer._state not in LEFT:
        _take_out(outer, child)
        outer._spent = _spent.added_beside(outer._spent, name, elapsed, outer._here.stopwatch())


def _take_out(outer: Link, child: Link) -> None:
    """Have `outer` no longer list `child`."""
    if outer._inner is child:
        outer._inner = None
        return
    more = outer._more
    if more.__class__ is More and more.children and (key := _key(child, more.children)) is not None:
        del more.children[key]


def _key(child: Link, children: dict[Any, None]) -> Any:
    """What `child` is listed as, or None."""
    if child in children:
        return child
    weak = weakref.ref(child)
    return weak if weak in children else None


def _each(children: dict[Any, None] | None) -> list[Any]:
    """Those listed, as it stands."""
    listed = [] if children is None else list(children)
    found = [each() if each.__class__ is weakref.ref else each for each in listed]
    return [each for each in found if each is not None]


def _hand_children(children: dict[Any, None] | None, outer: Link) -> None:
    """Smaller into larger: a chain of generations hands its children on in constant time each."""
    if not children:
        return
    more = outer._extend()
    theirs = more.children
    if theirs is None or len(theirs) < len(children):
        children.update(theirs or ())
        more.children = children
    else:
        theirs.update(children)


_ANYIO = "anyio._backends._asyncio"


def _is_supervised(child: Link) -> bool:
    """Whether a TaskGroup waits for the task of `child`: asyncio's, or anyio's.

    It is one entered outside the timeout that was left, for those inside have been waited for by then.
    """
    task: Any = child._task
    for callback, _ in getattr(task, "_callbacks", None) or ():
        if isinstance(getattr(callback, "__self__", None), asyncio.TaskGroup):
            return True
        if getattr(callback, "__module__", "") == _ANYIO and "TaskGroup" in getattr(callback, "__qualname__", ""):
            return True
    return False

"""Parents and children: who lies beneath whom, and what each leaves the others.

A link binds those beneath it by being walked past (`_link`). Beyond that a parent knows its children: to read off the
unfinished when it fires, to end those that nobody supervises, and to tell that something lies beneath it when it moves.
A child is known to its nearest open parent. Each function writes `self` alone: what concerns a link of another loop is
told to it, by a callback in that loop's thread.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator
from typing import Any

from . import _spent
from ._link import ACTIVE, EXPIRED, EXPIRING, FINISHED, INF, NO_LOOP, Link, at_home, is_left, nearest_open, tell
from ._more import More
from ._reserves import inherit_reserves, rearm


def join(self: Link, here: Any) -> None:
    """Make `self`, entered just now on the loop of `here`, known to its parent."""
    parent = self._parent
    assert parent is not None
    if at_home(parent, here):
        _take_in(parent, self)
    else:
        tell(parent, _adopt_from_elsewhere, self)


def let_go(self: Link, here: Any, name: str, elapsed: float, now: float) -> None:
    """Tell the nearest open parent of `self` that `self` is left at `now`, and what it took."""
    outer: Any = self._parent
    if outer is None:
        return
    if outer._inner is self:  # the common cases, written out: who has anything beneath it is open
        outer._inner = None
        if outer._state is ACTIVE:  # one that has fired knows what it needs
            outer._spent = (name, elapsed) if outer._spent is None else _spent.added(outer._spent, name, elapsed)
        return
    if not outer._bare and (more := outer._more).__class__ is More and outer._lane.here is here:
        children = more.children  # a child task's
        if children and self in children:
            del children[self]
            if outer._state is ACTIVE:
                outer._spent = _spent.added_beside(outer._spent, name, elapsed, now)
            return
    if is_left(outer) and (outer := nearest_open(self)) is None:
        return
    if at_home(outer, here):
        _take_out(outer, self)
        if outer._state is ACTIVE:
            _note(outer, name, elapsed, now, beside=outer._task is not self._task)
    else:
        tell(outer, _let_go_from_elsewhere, self, name, elapsed)


def left(self: Link, here: Any) -> None:
    """Have the parent of `self`, a budget that was left, take over its children, and what they took."""
    if here is NO_LOOP or here.forked:
        return
    outer = nearest_open(self)
    if outer is not None and at_home(outer, here):
        _take_out(outer, self)
        while outer is not None and outer._state is not ACTIVE:
            outer = outer._parent  # one that has fired knows what it needs
        if outer is not None and at_home(outer, here):
            _merge(outer, self._spent, None if outer._task is self._task else here.stopwatch())
    hand_on(self, here)


def hand_on(self: Link, here: Any) -> None:
    """Have the parent of `self`, which was left, take over those still open beneath it."""
    inner, more = self._inner, self._more
    children = more.children if more.__class__ is More else None
    if inner is not None and is_left(inner):
        inner = None  # what an exception broke off
    if inner is None and not children:
        return
    if more.__class__ is More and more.ending_for is not None and self._state is FINISHED:
        for each in list(open_beneath(self)):
            _end_unless_supervised(each, here, self._task, more.ending_for)
    reserving = more.__class__ is More and bool(more.reserving)
    (here.move if reserving else here.lift)()
    outer = nearest_open(self)
    if outer is not None:
        _take_over(outer, self, here, inner, children)
    self._inner = None
    if more.__class__ is More:
        more.children = None
        rearm(self, here)
        more.reserving = None


def end_beneath(self: Link, here: Any) -> None:
    """End the children in other tasks that nobody supervises: `self` was left after it fired.

    A child of another TaskGroup, one entered outside `self`, belongs to that group, and is handed on.
    """
    more = self._more
    if more.__class__ is More and more.ending:
        ending, more.ending = more.ending, None
        for each in ending:
            _end_unless_supervised(each, here, self._task, self._ended_for()[1])
    hand_on(self, here)


def open_beneath(self: Link) -> Iterator[Link]:
    """The timeouts open directly beneath `self`; for a budget there, the timeouts in it."""
    waiting = [self]
    while waiting:
        for each in listed(waiting.pop()):
            if each._bare:
                waiting.append(each)
            else:
                yield each


def _take_in(self: Link, child: Link) -> None:
    """List `child`, which lies directly beneath `self`."""
    if self._inner is None and child._task is self._task:
        self._inner = child
    else:
        _list(self, child)


def _list(self: Link, child: Link) -> None:
    """List `child`, which lies directly beneath `self` in another task."""
    more = self._extend()
    if more.children is None:
        more.children = {}
    more.children[child if child._when != INF else weakref.ref(child)] = None


def _take_out(self: Link, child: Link) -> None:
    """List `child` no more."""
    if self._inner is child:
        self._inner = None
        return
    more = self._more
    if more.__class__ is More and more.children and (key := _key(child, more.children)) is not None:
        del more.children[key]


def _take_over(self: Link, gone: Link, here: Any, inner: Link | None, children: dict[Any, None] | None) -> None:
    """List what lay beneath `gone`, a child of `self` on the loop of `here`, which was left."""
    home, handed = at_home(self, here), []
    if self._bare or not home or self._state is EXPIRING:
        handed = [*([] if inner is None else [inner]), *_each(children)]
    if not home:
        for each in handed:
            tell(self, _adopt_from_elsewhere, each)
    else:
        if handed and self._state is EXPIRING and gone._state is FINISHED and not gone._bare:
            more = self._extend()  # it fired with these beneath it
            more.ending = [*(more.ending or ()), *(each for each in handed if not each._bare)]
        if children:
            _list_all(self, children)
        if inner is not None:
            _take_in(self, inner)
        inherit_reserves(self, gone._more)
    if self._bare:  # a budget has no timer: those of the timeouts directly inside stand for it
        for each in handed:
            each._retime()


def _list_all(self: Link, children: dict[Any, None]) -> None:
    """List `children`, smaller into larger: a chain of generations hands its own on in constant time each."""
    more = self._extend()
    theirs = more.children
    if theirs is None or len(theirs) < len(children):
        children.update(theirs or ())
        more.children = children
    else:
        theirs.update(children)


def _note(self: Link, name: str, elapsed: float, now: float, *, beside: bool) -> None:
    """Note that one called `name`, left at `now`, took so many seconds: beside the task of `self`, or in it."""
    if beside:
        self._spent = _spent.added_beside(self._spent, name, elapsed, now)
    else:
        self._spent = _spent.added(self._spent, name, elapsed)


def _merge(self: Link, spent: _spent.Raw, until: float | None) -> None:
    self._spent = _spent.merged(self._spent, spent, until)


def _adopt_from_elsewhere(self: Link, child: Link) -> None:
    """List `child`, of another loop, in the thread of `self`; either may have been left meanwhile."""
    if is_left(child):
        return
    here = self._here
    if self._state is FINISHED and (found := nearest_open(self)) is not None:
        if at_home(found, here):
            _adopt(found, child)
        else:
            tell(found, _adopt_from_elsewhere, child)
    else:
        _adopt(self, child)


def _adopt(self: Link, child: Link) -> None:
    """List `child`, of another loop; or end it, if `self` has fired and been left."""
    if self._state is EXPIRED:
        tell(child, _end_here, self._ended_for()[1])
    elif self._state is not FINISHED:
        _list(self, child)
        if self._state is EXPIRING:
            more = self._extend()
            more.ending = [*(more.ending or ()), child]


def _let_go_from_elsewhere(self: Link, child: Link, name: str, elapsed: float) -> None:
    if not is_left(self):
        _take_out(self, child)
        _note(self, name, elapsed, self._here.stopwatch(), beside=True)


def _end_here(self: Link, ender: Link) -> None:
    self._end(ender)


def _end_unless_supervised(self: Link, here: object, task: object, ender: Link) -> None:
    """End `self`, for `ender`, unless it is of `task`, or its own task is waited for.

    It may be left in its own way before its turn comes, or when its task was asked to end before: see `hand_on`.
    """
    if self._task is not task and self._state is ACTIVE and not _is_supervised(self):
        if at_home(self, here):
            self._extend().ending_for = ender
        tell(self, _end_here, ender)


def listed(self: Link) -> list[Link]:
    """The links listed as directly beneath `self` at this moment."""
    inner, more = self._inner, self._more
    found = [] if inner is None else [inner]
    return found + _each(more.children) if more.__class__ is More else found


def _each(children: dict[Any, None] | None) -> list[Any]:
    listed = [] if children is None else list(children)
    found = [each() if each.__class__ is weakref.ref else each for each in listed]
    return [each for each in found if each is not None]


def _key(child: Link, children: dict[Any, None]) -> Any:
    """The key under which `child` is listed, or None."""
    if child in children:
        return child
    weak = weakref.ref(child)
    return weak if weak in children else None


_ANYIO = "anyio._backends._asyncio"


def _is_supervised(self: Link) -> bool:
    """True if a TaskGroup waits for the task of `self`: asyncio's, or anyio's.

    It is one entered outside the timeout that was left, for those inside have been waited for by then.
    """
    task: Any = self._task
    for callback, _ in getattr(task, "_callbacks", None) or ():
        if isinstance(getattr(callback, "__self__", None), asyncio.TaskGroup):
            return True
        if getattr(callback, "__module__", "") == _ANYIO and "TaskGroup" in getattr(callback, "__qualname__", ""):
            return True
    return False

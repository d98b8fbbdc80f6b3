"""The chain of deadlines: one link for each timeout and budget, innermost first.

A link bounds those beneath it by being walked past. So a deadline that moves, moves all that lie beneath, with nothing
to push. What a walk finds is kept (`_deadline`, `_owner`) with the loop's stamp of that moment, and holds for as long
as that is the loop's stamp: whatever moves, fires or is left with something beneath it replaces the stamp.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

from ._loop import Stamp, state_of
from ._more import More

INF = math.inf

BUDGET = "_budget"
REMOTE = "_remote"


class State(Enum):
    """The life of a deadline; the values are what asyncio's ``repr`` shows.

    CREATED -enter-> ACTIVE -fires-> EXPIRING -exit-> EXPIRED; ACTIVE -exit-> FINISHED, or EXPIRED where code found the
    deadline passed; CREATED -refused-> FINISHED.
    """

    CREATED = "created"
    ACTIVE = "active"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    FINISHED = "finished"


CREATED, ACTIVE, EXPIRING, EXPIRED, FINISHED = State


NOBODY = object()
"""In the place of a link: there is none."""


class Reader(Protocol):
    """Somebody who asks for a deadline: a loop, or a thread without one."""

    @property
    def clock(self) -> Callable[[], float]: ...
    @property
    def stopwatch(self) -> Callable[[], float]: ...
    @property
    def stamp(self) -> object: ...


class _NoLoop:
    """The clock of threads without an event loop: that of every real loop."""

    clock = staticmethod(time.monotonic)
    stopwatch = staticmethod(time.monotonic)

    @property
    def stamp(self) -> Stamp:
        return Stamp(object())  # nothing that is known holds


NO_LOOP: Reader = _NoLoop()


class Link:
    """One deadline of the chain: a `Timeout` or a `Budget`. The loop's thread alone writes a link."""

    __slots__ = ("_deadline", "_inner", "_more", "_owner", "_parent", "_spent", "_stamp", "_state", "_task", "_when")

    _bare = False
    """True for a link without a timer: a budget."""

    _state: State
    _parent: Link | None
    """The next outwards, which may have been left: those are passed by."""
    _when: float
    """The link's own deadline; `NEVER` with none."""
    _deadline: float
    """The effective deadline, as of `_stamp`. Frozen as the link is left."""
    _owner: Link | None
    """The link whose own deadline that is, as of `_stamp`; None where its own is. Frozen as the link is left."""
    _stamp: object
    """The loop's stamp as `_deadline` and `_owner` were worked out; None where they are to be worked out anew. Of one
    that has fired, what `beyond` found."""
    _task: asyncio.Task[Any] | None
    """The task that entered the link, while that is open: task -> context -> link -> task would be a cycle."""
    _inner: Link | None
    """The link opened directly beneath this one in the same task, while that is open."""
    _spent: Any
    """The time that the links beneath took: None, (name, seconds) of the only one, or a dict of `_spent`'s."""
    _more: Any
    """`More`; None or closers (see `_observers`) where nothing else is there to know."""

    @property
    def _here(self) -> Any:
        """The state of the link's loop, or `NO_LOOP`."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """The name that the caller gave the timeout, or that of the code that opened it."""
        raise NotImplementedError

    def _outwards(self) -> Link | None:
        """The next link for who finds that this one binds nothing new."""
        return self._parent

    def _passed_by(self, here: object) -> Any:
        """The next outwards, as far as is known, that has not fired on the loop of `here`; itself if it has not."""
        return self

    def _binds(self, reader: object) -> bool:
        """True if the link still means anything to `reader`: the table "after it ended" of docs/timeouts.md.

        While it is active, yes. Once it has fired it is spent for good in other threads, and binds nothing new on its
        own loop: ending the work beneath it is the business of the task that was cancelled.
        """
        state = self._state
        return state is ACTIVE or (state is not FINISHED and self._here is not reader)

    def _started_at(self) -> float:
        """The instant of the entry, on the stopwatch."""
        raise NotImplementedError

    def _end(self, ender: Link) -> None:
        """End what is open here, and nobody supervises, for the deadline of `ender`; called in its loop."""
        raise NotImplementedError

    def _ended_for(self) -> tuple[float, Link]:
        """The deadline that fired, and whose own it was: its own, or one that its timer stood for, or that ended it."""
        raise NotImplementedError

    def _retime(self) -> None:
        """Have the link's timer stand where its deadlines do now."""

    def _extend(self) -> More:
        """The link's `More`: from here on the link is no common case, and is left with care."""
        more: Any = self._more
        if more.__class__ is not More:
            closers = more
            more = More()
            more.closers = closers
            self._more = more
        extended: More = more
        return extended

    def _has_beneath(self) -> bool:
        """True if something open is known to lie beneath the link."""
        return self._inner is not None or (self._more.__class__ is More and bool(self._more.children))

    def _effective(self, here: Any) -> float:
        """The effective deadline, on the clock of `here`, its own loop's; worked out where what is known is stale.

        The walk goes outwards to the first link that is still known, and keeps what it finds in all that it passed.
        """
        stamp = here.stamp
        if self._is_known(stamp):
            return self._deadline
        passed: list[Link] = [self]
        link = self._parent
        while link is not None and not link._is_known(stamp):
            if (outer := beyond(link, here)) is not link:
                link = outer
            else:
                passed.append(link)
                link = link._parent
        base, owner = (INF, None) if link is None else (link._deadline, link._owner or link)
        known = True
        while passed:
            link = passed.pop()
            own = link is self or (link._state is ACTIVE and link._here is here)
            if own:
                if link._when <= base:
                    base, owner = link._when, link
                link._deadline = base
                link._owner = None if owner is link else owner
                link._stamp = stamp if known else None
            elif link._binds(here):  # another loop's, or a thread's: it may move without a word to this loop
                known = False
                when = instant(link, here)
                if when < base:
                    base, owner = when, link
        if self._state is EXPIRING:
            self._stamp = None
        return base

    def _is_known(self, stamp: Stamp) -> bool:
        """True if its effective deadline is known as of `stamp`, its own loop's.

        What was known before still holds where nothing has moved since, and the link is open whose deadline it is: what
        has fired or was left meanwhile had a later one.
        """
        its = self._stamp
        if self._state is not ACTIVE or its.__class__ is not Stamp:
            return False
        if its is not stamp and (its.moved is not stamp.moved or (self._owner or self)._state is not ACTIVE):
            return False
        self._stamp = stamp
        return True

    def _outlasts(self, when: float, stamp: object) -> bool:
        """True if the link is open, and known not to end before `when`, as of `stamp`, that of its loop."""
        return self._state is ACTIVE and self._stamp is stamp and when <= self._deadline

    def _not_before(self, here: Any) -> float:
        """An instant that its effective deadline is not before: what was known of that, if nothing moved since.

        What fires or is left only makes way for later ones. So firing asks this, and n that fire one by one make for no
        walk, where each replaces the stamp (8,800 instructions each at 60 deep, and 3,500 at 15).
        """
        stamp = self._stamp
        return self._deadline if stamp.__class__ is Stamp and stamp.moved is here.stamp.moved else -INF


def reader_here() -> Any:
    """The state of the running loop, or `NO_LOOP` in threads without one."""
    try:
        return state_of(asyncio.get_running_loop())
    except RuntimeError:
        return NO_LOOP


def at_home(self: Link, here: object) -> bool:
    """True if `self` is of the loop whose state is `here`: the thread of that loop alone writes `self`."""
    return self._here is here


def is_left(self: Link) -> bool:
    """True if `self` was entered, and has been left."""
    return self._state is EXPIRED or self._state is FINISHED


def tell(self: Link, callback: Callable[..., None], *args: object) -> None:
    """Have the loop of `self` call `callback` with `self` and `args`; nothing where it has none."""
    here = self._here
    if here is not NO_LOOP:
        here.soon(callback, self, *args)


def nearest_open(self: Link) -> Link | None:
    """The nearest parent that is not left; those left without firing are passed by from now on."""
    while (outer := self._parent) is not None and outer._state is FINISHED:
        self._parent = outer._parent  # else a chain of generations would grow
    while outer is not None and is_left(outer):
        outer = outer._parent
    return outer


def in_force(self: Link, here: Any) -> float:
    """The deadline in force from `self` outwards, on the clock of `here`; ``inf`` with none."""
    return self._effective(here) if self._here is here and self._state is ACTIVE else earliest(self, here)[0]


def beyond(link: Any, here: object) -> Any:
    """The first link from `link` outwards that is not one of those that have fired on the loop of `here`.

    One that fired never binds again: each keeps where this leads, so that no run of them is walked twice.
    """
    run = []
    while link is not None and (outer := link._passed_by(here)) is not link:
        run.append(link)
        link = outer
    for each in run:
        each._stamp = NOBODY if link is None else link
    return link


def live(link: Any, here: object) -> Any:
    """The first link that binds what is opened now, from `link` outwards; None with none."""
    while link is not None and not link._binds(here):
        outer = beyond(link, here)
        link = link._outwards() if outer is link else outer
    return link


def earliest(link: Link | None, reader: Reader) -> tuple[float, Link | None]:
    """The deadline in force from `link` outwards, on the reader's clock, and whose it is; ``inf`` and None."""
    soonest, owner = INF, None
    while link is not None:
        if (link._when != INF or link._state is not ACTIVE) and link._binds(reader):
            when = instant(link, reader)
            if when < soonest:
                soonest, owner = when, link
        link = link._parent
    return soonest, owner


def instant(link: Link, reader: Reader) -> float:
    """The instant at which `link` ends, on the reader's clock; a deadline that fired has passed.

    The one place that converts clocks.
    """
    when, its, ours = link._when, link._here.clock, reader.clock
    if link._state is not ACTIVE:
        return min(when, its()) if its is ours else ours()
    return when if its is ours else ours() + (when - its())

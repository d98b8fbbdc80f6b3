"""The chain of deadlines in a context: one link for each timeout and budget, innermost first.

A link bounds those beneath it by being walked past. So a deadline that moves, moves all that lie beneath, with nothing
to push. What a walk finds is kept (`_deadline`, `_owner`) with the loop's stamp of that moment, and holds for as long
as that is the loop's stamp: whatever moves, fires or is left with something beneath it replaces the stamp.
"""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from enum import Enum
from typing import Any, Protocol

from ._loop import state_of
from .figures._series import NEVER

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


class Reader(Protocol):
    """Who asks for a deadline: a loop, or a thread without one."""

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
    def stamp(self) -> object:
        return object()  # nothing that is known holds


NO_LOOP: Reader = _NoLoop()


class More:
    """The facts of a link that most have not: options, children in other tasks, observers. The defaults stand in the
    class, for of most only a few are ever set."""

    name: str | None = None
    """Where it is not that of the series."""
    at_least = 0.0
    reserve: float | None = None
    asked = NEVER
    """With a reserve: the deadline that its user set."""
    said: float | None = None
    """The seconds in the code, where configuration has another limit."""
    cancelling = 0
    """How often its task had been asked to end as it was entered."""
    reschedules = 0
    closers: Any = None
    """Observers to be told of its end."""
    token: object = None
    """What the exceptions raised by code for this deadline carry."""
    error: BaseException | None = None
    """What leaves it, while its observers are told."""
    children: dict[Any, None] | None = None
    """Those opened directly beneath it in other tasks, and beside `_inner` in its own. Weak references to those with
    no deadline of their own, which are not kept when they are dropped."""
    ending: list[Link] | None = None
    """Those that were open beneath it as it fired: what of them nobody supervises ends when it is left."""
    reserving: dict[Link, None] | None = None
    """Of those directly beneath it, those that hold a reserve or have one that does beneath them."""


class Link:
    """One deadline of the chain: what a `Timeout` and a `Budget` are. Its loop's thread writes it."""

    __slots__ = ("_deadline", "_inner", "_more", "_owner", "_parent", "_spent", "_stamp", "_state", "_task", "_when")

    _bare = False
    """It has no timer: a budget."""

    _state: State
    _parent: Link | None
    """The next outwards, which may have been left: those are passed by."""
    _when: float
    """Its own deadline; `NEVER` with none."""
    _deadline: float
    """The effective deadline, as of `_stamp`. Frozen as it is left."""
    _owner: Link | None
    """Whose own deadline that is, as of `_stamp`; None where its own is. Frozen as it is left."""
    _stamp: object
    """The loop's stamp as `_deadline` and `_owner` were worked out; None where they are to be worked out anew."""
    _task: asyncio.Task[Any] | None
    """The task that entered it, while it is open: task -> context -> link -> task would be a cycle."""
    _inner: Link | None
    """The one opened directly beneath it in its own task, while that is open."""
    _spent: Any
    """What those beneath it took: None, (name, seconds) of the only one, or a dict of `_spent`'s."""
    _more: Any
    """`More`; None or closers (see `_observers`) where nothing else is there to know."""

    @property
    def _here(self) -> Any:
        """The state of its loop, or `NO_LOOP`."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """What its user calls it."""
        raise NotImplementedError

    def _outwards(self) -> Link | None:
        """The next link for who finds that this one binds nothing new."""
        return self._parent

    def _binds(self, reader: object) -> bool:
        """Whether it still means anything to `reader`: the table "after it ended" of the README.

        While it is active, yes. Once it has fired it is spent for good in other threads, and binds nothing new on its
        own loop: ending the work beneath it is the business of the task that was cancelled.
        """
        state = self._state
        return state is ACTIVE or (state is not FINISHED and self._here is not reader)

    def _started_at(self) -> float:
        """The instant it was entered, on the stopwatch."""
        raise NotImplementedError

    def _end(self, owner: str) -> None:
        """End what is open here, and nobody supervises, for the deadline of `owner`; called in its loop."""
        raise NotImplementedError

    def _ended_for(self) -> str:
        """Whose own deadline fired."""
        raise NotImplementedError

    def _retime(self) -> None:
        """Have its timer stand where its deadlines do now."""

    def _extend(self) -> More:
        """Its `More`: from here on it is not the common case, and is left with care."""
        more: Any = self._more
        if more.__class__ is not More:
            closers = more
            more = More()
            more.closers = closers
            self._more = more
        extended: More = more
        return extended

    def _has_beneath(self) -> bool:
        """Whether something open is known to lie beneath it."""
        return self._inner is not None or (self._more.__class__ is More and bool(self._more.children))

    def _effective(self, here: Any) -> float:
        """The effective deadline, on the clock of `here`, its own loop's; worked out where what is known is stale.

        The walk goes outwards to the first link that is still known, and keeps what it finds in all that it passed.
        """
        stamp = here.stamp
        if self._stamp is stamp:
            return self._deadline
        passed: list[Link] = [self]
        link = self._parent
        while link is not None and not (link._stamp is stamp and link._state is ACTIVE):
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
        return base


current: ContextVar[Any] = ContextVar("tracedtimeout", default=None)
"""The innermost link opened in this context, left or not: a `Link` or None (typed Any for speed of reading). Leaving
does not reset it (0.1 us, and impossible from another Context)."""


class Outside(Protocol):
    """Deadlines that another library's context holds, such as one that an instrumentation extracted and attached."""

    def inherited(self, innermost: Link | None, reader: Reader) -> Link | None:
        """The innermost link here, given that of our own chain: one it holds, put before that, or that itself."""

    def cut(self) -> Link | None:
        """A link that keeps what it holds now from being inherited by what is opened beneath it."""


outside: Outside | None = None
"""Set, by `look_outside`, when a propagator is loaded."""


def look_outside(elsewhere: Outside | None) -> None:
    """Inherit what another library's context holds as well, from now on; None: no more."""
    global outside
    outside = elsewhere
    _bind_inherited()


inherited: Callable[[], Any]
"""The innermost link of this context, left or not, that of another library's context included: `current.get` itself
where nothing else is to be asked, so that it costs nothing more."""


def _bind_inherited() -> None:
    global inherited
    elsewhere = outside
    own: Callable[[], Any] = current.get
    if getattr(sys.flags, "thread_inherit_context", 0):
        own = _brought
    inherited = own
    if elsewhere is not None:
        inherited = lambda: elsewhere.inherited(own(), reader_here())  # noqa: E731  # as the others, a name


class _Born(threading.local):
    """The link that a thread's own context was born with: a copy of the context that happened to start the thread."""

    def __init__(self) -> None:
        context = getattr(threading.current_thread(), "_context", None)
        self.link = None if context is None else context.get(current)


_born = _Born()
_probe: ContextVar[object] = ContextVar("tracedtimeout-probe", default=None)


def _brought() -> Any:
    """`current`, where threads inherit contexts: without what the thread itself was born with.

    A thread belongs to nobody's request; only a context that a job brings does (`asyncio.to_thread`, `Context.run`).
    """
    link = current.get()
    if link is None or _born.link is None:
        return link
    if not _in_job():
        outer = link
        while outer is not None:
            if outer is _born.link:
                return None if outer is link else link  # what was opened since has been told so as it was
            outer = outer._parent
    return link


def _in_job() -> bool:
    """Whether this thread runs a job in a context of the job's own, and no event loop: a loop's tasks copy the
    thread's."""
    if asyncio._get_running_loop() is not None:
        return False
    context = getattr(threading.current_thread(), "_context", None)
    token = _probe.set(object())
    try:
        return context is None or context.get(_probe) is not _probe.get()
    finally:
        _probe.reset(token)


_bind_inherited()


def forget_after_fork() -> None:
    """In the child of a fork: no context has a link."""
    global current
    current = ContextVar("tracedtimeout", default=None)
    _bind_inherited()


def reader_here() -> Any:
    """The state of the running loop, or `NO_LOOP` in threads without one."""
    try:
        return state_of(asyncio.get_running_loop())
    except RuntimeError:
        return NO_LOOP


def inherit_own(task: object, outer: Any = None) -> None:
    """Have what is opened next in `task` inherit only what is open in that task, or else `outer`, while it is open.

    For server doors: servers start the task of a request in the context of their own, or of the request before it on
    the connection, and nothing of that is this request's.
    """
    found = link = current.get()
    while link is not None and not (link._task is task and (link._state is ACTIVE or link._state is EXPIRING)):
        link = link._parent
    if link is None and outer is not None and outer._state is ACTIVE:
        link = outer
    if link is not found:
        current.set(link)


def live(link: Any, here: object) -> Any:
    """The first link that binds what is opened now, from `link` outwards; None with none."""
    while link is not None and not link._binds(here):
        link = link._outwards()
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
    """When `link` ends, on the reader's clock; a deadline that fired has passed. The one place that converts clocks."""
    when, its, ours = link._when, link._here.clock, reader.clock
    if link._state is not ACTIVE:
        return min(when, its()) if its is ours else ours()
    return when if its is ours else ours() + (when - its())

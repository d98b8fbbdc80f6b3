"""The innermost link of a context: what is opened next lies beneath it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
from collections.abc import Callable
from contextvars import Context, ContextVar
from types import FrameType
from typing import Any, Protocol

from ._link import ACTIVE, EXPIRING, Link, Reader, is_left, reader_here

current: ContextVar[Any] = ContextVar("tracedtimeout", default=None)
"""The innermost link opened in this context, left or not: a `Link` or None (typed Any for speed of reading). Leaving
does not reset it (0.1 us, and impossible from another Context)."""


_threads_inherit = bool(getattr(sys.flags, "thread_inherit_context", 0))
"""True if a thread starts with a copy of the context of who starts it."""


class Outside(Protocol):
    """Deadlines that another library's context holds, such as one that an instrumentation extracted and attached."""

    def inherited(self, innermost: Link | None, reader: Reader) -> Link | None:
        """The innermost link here, given that of our own chain: one it holds, put before that, or that itself."""

    def held_by(self, context: Context) -> object:
        """The deadline that `context` holds; None with none."""

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
    if _threads_inherit:  # pragma: no cover  # from 3.14 on, where it is asked for or without the GIL: `.ci/inherited`
        own = _brought
    inherited = own
    if elsewhere is not None:
        inherited = lambda: elsewhere.inherited(own(), reader_here())  # noqa: E731  # as the others, a name


def _own_context() -> Context | None:
    context: Context | None = getattr(threading.current_thread(), "_context", None)
    return context


class _Born(threading.local):
    """The deadlines that a thread's own context was born with: a copy of the context that happened to start the thread.

    Made as the thread first asks, before anything of ours is put into that context.
    """

    def __init__(self) -> None:
        context = _own_context()
        self.link = None if context is None else context.get(current)
        self.held = None if context is None or outside is None else outside.held_by(context)
        """The deadline that `outside` held there."""


_born = _Born()
_probe: ContextVar[object] = ContextVar("tracedtimeout-probe", default=None)
_RUNS = asyncio.Handle._run.__code__


def note_birth() -> None:
    """Remember what this thread was born with; called before another deadline is put into its context."""
    if _threads_inherit:  # pragma: no cover  # as in `_bind_inherited`
        _born.link  # noqa: B018  # made by being looked at


def came_with_thread(held: object) -> bool:
    """True if `held`, of another library's context, is in force here only because of who started the thread."""
    return _threads_inherit and held is _born.held and not _in_job()


def _brought() -> Any:  # pragma: no cover  # as in `_bind_inherited`
    """`current`, where threads inherit contexts: without what the thread itself was born with.

    A thread belongs to nobody's request; only a context that a job brings does (`asyncio.to_thread`, `Context.run`).
    What was opened since has been told so as it was.
    """
    born, link = _born.link, current.get()
    return None if link is not None and link is born and not _in_job() else link


def _in_job() -> bool:  # pragma: no cover  # as in `_bind_inherited`
    """True if this thread runs a job in a context of the job's own, or an event loop that was started in one.

    A task of a loop that runs in the thread's own context has a copy of that.
    """
    own = _own_context()
    if asyncio._get_running_loop() is not None:
        around = _around_loop()
        return around is not None and around is not own  # by identity: contexts are equal by what is in them
    token = _probe.set(object())
    try:
        return own is None or own.get(_probe) is not _probe.get()
    finally:
        _probe.reset(token)


def _around_loop() -> Context | None:  # pragma: no cover  # as in `_bind_inherited`
    """The context in which the running loop was started; None where that cannot be told, as of uvloop.

    A context leads to the one that it was entered in, and the outermost callback's was entered in the loop's.
    """
    handle: Any = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _RUNS:
            handle = frame.f_locals["self"]
        frame = frame.f_back
    if handle is None:
        return None
    return next((each for each in gc.get_referents(handle._context) if isinstance(each, Context)), None)


_bind_inherited()


def step_out(link: Link, *, past_budgets: bool) -> None:
    """Have code after `link`, which fired, not lie beneath it: for the threads that it starts, that one is not spent.

    The budgets that its clean-up was free of, with `past_budgets`, bind it again; what the clean-up opened leads past
    them.
    """
    innermost = current.get()
    if past_budgets:
        with contextlib.suppress(RuntimeError):  # no loop is running: left by the garbage collector
            if asyncio.current_task() is link._task:
                current.set(link._parent)
        return
    while innermost is not None and innermost is not link and is_left(innermost):
        innermost = innermost._parent
    if innermost is link:
        current.set(link._parent)


def forget_after_fork() -> None:
    """In the child of a fork: no context has a link."""
    global current
    current = ContextVar("tracedtimeout", default=None)
    _bind_inherited()


def inherit_own(task: object, outer: Any = None) -> Any:
    """Have what is opened next in `task` inherit only what is open in that task, or else `outer`, while it is open.

    Returns that, or None.

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
    return link

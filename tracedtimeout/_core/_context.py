"""The innermost link of a context: what is opened next lies beneath it."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

from ._link import ACTIVE, EXPIRING, Link, Reader, reader_here

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
    if getattr(sys.flags, "thread_inherit_context", 0):  # pragma: no cover  # see `_brought`
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


def _brought() -> Any:  # pragma: no cover  # where threads inherit contexts, from 3.14 on: `.ci/inherited`
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


def _in_job() -> bool:  # pragma: no cover  # as above
    """True if this thread runs a job in a context of the job's own, and no event loop: a loop's tasks copy the
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

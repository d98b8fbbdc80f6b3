"""Deadlines in OpenTelemetry's context: those that an instrumentation extracted become links of the budget's chain."""

from __future__ import annotations

import contextvars
from math import inf as INF  # noqa: N812  # a constant

from opentelemetry.context import Context, create_key, get_current, get_value, set_value

from tracedtimeout._core import _context, _link
from tracedtimeout._core._budget import Budget
from tracedtimeout._core._link import ACTIVE, REMOTE, Link, Reader

_KEY = create_key("tracedtimeout-deadline")


def with_deadline(context: Context, seconds: float) -> Context:
    """`context` with a deadline `seconds` from now, in force wherever that Context is attached."""
    _context.note_birth()  # it may be attached to the thread's own
    remote = Budget(seconds, name=REMOTE)
    remote._state = ACTIVE
    return set_value(_KEY, remote, context)


def deadline_in(context: Context) -> Budget | None:
    """The deadline that `context` holds, attached or not."""
    remote = get_value(_KEY, context)
    return remote if isinstance(remote, Budget) else None


def overrule() -> bool:
    """Keep the deadline that is attached here, if any, from binding what is opened from now on; whether there was one.

    For a door that reads the headers itself, by its own rules of whom to believe.
    """
    remote = None if _context.outside is None else deadline_in(get_current())
    if remote is None:
        return False
    _context.current.set(_put_in(remote, None, _link.live(_context.current.get(), _link.reader_here())))
    return True


class _Attached:
    """The source that `_budget` asks for deadlines once a propagator is loaded.

    A deadline binds what is opened while its Context is attached, and stays in the chain of that. At the head of a
    chain nothing is open beneath it: there it is dropped as soon as its Context is no longer attached.
    """

    def inherited(self, innermost: Link | None, reader: Reader) -> Link | None:
        remote = deadline_in(get_current())
        if remote is not None and _context.came_with_thread(remote):
            remote = None
        innermost = _link.live(innermost, reader)
        while innermost is not None and _is_over(innermost, remote):
            innermost = _link.live(innermost._parent, reader)
        if remote is None or _holds(innermost, remote):
            return innermost
        return _put_in(remote, remote._when, innermost)

    def held_by(self, context: contextvars.Context) -> Budget | None:
        held = (deadline_in(each) for each in context.values() if isinstance(each, Context))
        return next((each for each in held if each is not None), None)

    def cut(self) -> Link | None:
        remote = deadline_in(get_current())
        return None if remote is None else _put_in(remote, None, None)


def _put_in(remote: Budget, when: float | None, parent: Link | None) -> Budget:
    """A link for `remote`; with `when` None it only stands for it, so that none is put in."""
    link: Budget = object.__new__(Budget)
    link._reader, link._started, link._name = remote._reader, remote._started, remote._name
    link._when, link._parent, link._state = INF if when is None else when, parent, ACTIVE
    link._deadline = link._when
    link._owner = link._stamp = link._task = link._inner = link._spent = link._more = None
    link.stands_for = remote
    return link


def _is_over(link: Link, remote: Budget | None) -> bool:
    """True if `link` was put in for a deadline whose Context is no longer attached."""
    return isinstance(link, Budget) and link.stands_for not in (None, remote) and link._when != INF


def _holds(link: Link | None, remote: Budget) -> bool:
    while link is not None:
        if isinstance(link, Budget) and link.stands_for is remote:
            return True
        link = link._parent
    return False


def install() -> None:
    """Have every deadline attached from now on bound what is opened beneath it. Calling it again changes nothing."""
    if _context.outside is None:
        _context.look_outside(_Attached())

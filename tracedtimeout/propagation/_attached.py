"""Deadlines in OpenTelemetry's context: those that an instrumentation extracted become links of the budget's chain."""

from __future__ import annotations

from opentelemetry.context import Context, create_key, get_current, get_value, set_value

from tracedtimeout._core import _budget
from tracedtimeout._core._budget import REMOTE, Budget, Clock, Deadline, State

_KEY = create_key("tracedtimeout-deadline")


def with_deadline(context: Context, seconds: float) -> Context:
    """`context` and in it a deadline `seconds` from now; it is in force wherever that Context is attached."""
    remote = Budget(seconds, name=REMOTE)
    remote._state = State.ACTIVE
    return set_value(_KEY, remote, context)


def deadline_in(context: Context) -> Budget | None:
    """The deadline that `context` holds, attached or not."""
    remote = get_value(_KEY, context)
    return remote if isinstance(remote, Budget) else None


def overrule() -> bool:
    """Keep the deadline that is attached here, if any, from binding what is opened from now on; whether there was one.

    For a door that reads the headers itself, by its own rules of whom to believe.
    """
    remote = None if _budget.outside is None else deadline_in(get_current())
    if remote is None:
        return False
    _budget.current.set(_link(remote, None, _budget.live(_budget.current.get(), _budget.here())))
    return True


class _Attached:
    """The source that `_budget` asks for deadlines once a propagator is loaded.

    A deadline binds what is opened while its Context is attached, and stays in the chain of that. At the head of a
    chain nothing is open beneath it: there it is dropped as soon as its Context is no longer attached.
    """

    def inherited(self, innermost: Deadline | None, reader: Clock) -> Deadline | None:
        remote = deadline_in(get_current())
        innermost = _budget.live(innermost, reader)
        while innermost is not None and _is_over(innermost, remote):
            innermost = _budget.live(innermost._parent, reader)
        if remote is None or _holds(innermost, remote):
            return innermost
        return _link(remote, remote._when, innermost)

    def cut(self) -> Deadline | None:
        remote = deadline_in(get_current())
        return None if remote is None else _link(remote, None, None)


def _link(remote: Budget, when: float | None, parent: Deadline | None) -> Budget:
    """A link for `remote`; with `when` None it only stands for it, so that none is put in."""
    link: Budget = object.__new__(Budget)
    link._here, link._started, link.name = remote._here, remote._started, remote.name
    link._when, link._parent, link._state = when, parent, State.ACTIVE
    link.stands_for = remote
    return link


def _is_over(link: Deadline, remote: Budget | None) -> bool:
    """True if `link` was put in for a deadline whose Context is no longer attached."""
    return isinstance(link, Budget) and link.stands_for not in (None, remote) and link._when is not None


def _holds(link: Deadline | None, remote: Budget) -> bool:
    while link is not None:
        if isinstance(link, Budget) and link.stands_for is remote:
            return True
        link = link._parent
    return False


def install() -> None:
    """Have every deadline attached from now on bound what is opened beneath it. Calling it again changes nothing."""
    if _budget.outside is None:
        _budget.look_outside(_Attached())

"""Raising: the exception of a timeout in the place of its body's. Its words wait until somebody asks."""

from __future__ import annotations

import weakref
from asyncio import CancelledError
from functools import partial

from . import _spent
from ._ended import Ended, where_of
from ._exceeded import DeadlineExceeded, Told, exceeded_message, new_exceeded
from ._facts import Facts


def in_place_of(self: Facts, exc: BaseException, ended: Ended, limit: float) -> DeadlineExceeded | None:
    """The exception to raise in place of `exc`, or None: the body's own stays, with ours in its context (gh-105684)."""
    if isinstance(exc, CancelledError):
        raised = exceeded(self.name, ended, limit)
        raised.__cause__ = exc  # tells observers where it waited, before it is raised
        return raised
    assert self._fired is not None
    if not self._fired.cancels:
        return None  # asyncio's wait_for(x, 0) passes it on as it is
    _insert(self, exc, ended, limit)
    if isinstance(exc, ExceptionGroup):
        for member in exc.exceptions:
            _insert(self, member, ended, limit)
    return None


def exceeded(name: str, ended: Ended, limit: float) -> DeadlineExceeded:
    """The exception of a timeout called `name` that a deadline ended. Its words wait until somebody asks."""
    raised = new_exceeded(DeadlineExceeded)
    raised._tell = partial(_told, name, limit, ended)
    ended.raised = weakref.ref(raised)
    return raised


def _told(name: str, limit: float, ended: Ended, raised: DeadlineExceeded) -> Told:
    fired = ended.fired
    assert fired is not None
    where = where_of(ended, raised.__cause__) or where_of(ended, raised.__context__)  # `raise error from None`
    spent = _spent.told(fired.spent, fired.unfinished or (), within=ended.elapsed)
    message = exceeded_message(
        name,
        limit,
        ended.elapsed,
        owner=None if fired.own else fired.owner,
        spent=spent,
        where=where,
        stopping=ended.stopping,
    )
    return Told(message, name, limit, ended.elapsed, fired.owner, where, spent)


def _insert(self: Facts, exc: BaseException, ended: Ended, limit: float) -> None:
    """Put our exception between `exc` and the CancelledError that it was raised in handling of."""
    while exc.__context__ is not None:
        if isinstance(exc.__context__, CancelledError):
            ours = exceeded(self.name, ended, limit)
            ours.__context__ = ours.__cause__ = exc.__context__
            exc.__context__ = ours
            break
        exc = exc.__context__

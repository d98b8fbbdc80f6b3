"""The facts of a deadline that fired and of a timeout that ended, frozen. Words are made of them when somebody asks."""

from __future__ import annotations

import weakref
from asyncio import CancelledError
from typing import NamedTuple

from . import _spent, _where
from ._exceeded import Where
from ._link import BUDGET, REMOTE, Link
from ._outcome import Outcome
from ._tuples import importing
from .figures import _process
from .figures._series import Figures


@importing
class Fired(NamedTuple):
    """A deadline that fired, and the facts as they were then: plain numbers, code objects, no frames and no words."""

    at: float
    """On the stopwatch."""
    owner: str
    """The name of the timeout whose own deadline it was."""
    own: bool
    """True if the timeout's own deadline fired."""
    enforced: bool
    """True if the timeout's own timer ran: for its own deadline, or for that of a budget directly around it."""
    cancelling: int
    """The number of times that the task had been asked to end, this included."""
    cancels: bool = True
    """True if the task was cancelled for it: once, and to be uncancelled once. (`wait_for` with no time cancels what it
    waits for instead.)"""
    places: list[_where.Place] | None = None
    """The frames that the task waited in, if that was in a gather or a TaskGroup; else the traceback tells."""
    spent: _spent.Raw = None
    unfinished: list[tuple[str, float]] | None = None
    passed: Link | None = None
    """The last budget directly around the timeout whose deadline had passed: such bind the clean-up no more."""
    interrupted: bool = False
    """True if somebody else cancelled the task while the awaitable of `wait_for` was ending."""


class Ended:
    """The end of a timeout that did not complete in time."""

    __slots__ = ("counted", "elapsed", "fired", "opener", "outcome", "owner", "package", "raised", "stopping", "where")

    def __init__(
        self,
        outcome: Outcome,
        elapsed: float,
        owner: str,
        fired: Fired | None,
        package: str | None = "",
        opener: _where.Place | None = None,
        stopping: float = 0.0,
    ) -> None:
        self.outcome = outcome
        self.elapsed = elapsed
        self.stopping = stopping
        """Seconds from firing to leaving."""
        self.owner = owner
        self.fired = fired
        self.package = package
        """The top-level package of the code that opened the timeout; None where that is the first frame which the
        error has passed through."""
        self.opener = opener
        """The place of that code."""
        self.counted = False
        self.raised: weakref.ref[BaseException] | None = None
        """The exception that the timeout raised, which tells where the task waited, while somebody holds it."""
        self.where: Where | None = None
        """Once somebody has asked."""

    def count(self, figures: Figures, limit: float, *, expired: bool, dropped: bool = False) -> None:
        """Count this end of a timeout that was granted `limit` seconds, once: `dropped`, it has been."""
        outcome, fired = self.outcome, self.fired
        # fmt: off
        if dropped:
            self.counted = True
        else:
            figures.record_exit(outcome, self.elapsed, limit); self.counted = True  # one step
        # fmt: on
        if fired is None:
            return
        if expired:
            figures.unwind.record(max(0.0, self.stopping))
        if fired.own:
            figures.expirations[outcome] = figures.expirations.get(outcome, 0) + 1
        if outcome is Outcome.INHERITED:
            figures.record_interruption(label_of(fired.owner))


def label_of(owner: str) -> str:
    """The label under which interruptions by the deadline of `owner` are counted."""
    return owner if owner in (BUDGET, REMOTE) else _process.label(owner)


def where_of(ended: Ended, error: BaseException | None) -> Where | None:
    """The place where the timeout waited, by the error that left it or the CancelledError in its context."""
    if ended.where is None and ended.fired is not None:
        if ended.fired.places is not None:
            ended.where = _where.innermost(ended.fired.places, ended.package)
        else:
            while error is not None and not isinstance(error, CancelledError):
                error = error.__context__ or error.__cause__
            ended.where = _where.in_traceback(error, ended.package)
            if ended.where is None and error is not None and ended.opener is not None:
                ended.where = ended.opener.where()  # it awaits what the standard library waits in
    return ended.where

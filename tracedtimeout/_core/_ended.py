"""How a deadline fired, and how a timeout ended: facts, frozen as they were then. Words are made of them when asked."""

from __future__ import annotations

import weakref
from asyncio import CancelledError
from typing import NamedTuple

from . import _spent, _where
from ._exceeded import Where
from ._link import Link
from ._outcome import Outcome


class Fired(NamedTuple):
    """A deadline that fired, and the facts as they were then: plain numbers, code objects, no frames and no words."""

    at: float
    """On the stopwatch."""
    owner: str
    """Whose own deadline it was."""
    own: bool
    """Whether it was that of the timeout itself."""
    enforced: bool
    """Whether the timeout's own timer ran: for its own deadline, or for that of a budget directly around it."""
    cancelling: int
    """How often the task had been asked to end, this included."""
    cancels: bool = True
    """Whether the task was cancelled for it: once, and to be uncancelled once. (`wait_for` with no time cancels what it
    waits for instead.)"""
    places: list[_where.Place] | None = None
    """Where it waited, if that was in a gather or a TaskGroup; else the traceback tells."""
    spent: _spent.Raw = None
    unfinished: list[tuple[str, float]] | None = None
    passed: Link | None = None
    """The last of the budgets directly around it whose deadlines had passed: they bind its clean-up no more."""
    interrupted: bool = False
    """Whether another cancelled the task while what `wait_for` waited for was ending."""


class Ended:
    """How a timeout ended that did not complete in time."""

    __slots__ = ("counted", "elapsed", "fired", "opener", "outcome", "owner", "package", "raised", "stopping", "where")

    def __init__(
        self,
        outcome: Outcome,
        elapsed: float,
        owner: str,
        fired: Fired | None,
        package: str = "",
        stopping: float = 0.0,
        opener: _where.Place | None = None,
    ) -> None:
        self.outcome = outcome
        self.elapsed = elapsed
        self.stopping = stopping
        """Seconds from firing to leaving."""
        self.owner = owner
        self.fired = fired
        self.package = package
        """The top-level package of the code that opened the timeout."""
        self.opener = opener
        """Where that code is."""
        self.counted = False
        self.raised: weakref.ref[BaseException] | None = None
        """What it raised: where it waited is told by that exception, for as long as somebody holds it."""
        self.where: Where | None = None
        """Once somebody has asked."""


def where_of(ended: Ended, error: BaseException | None) -> Where | None:
    """Where it waited, by the error that left it or the CancelledError in the context of that; kept from then on."""
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

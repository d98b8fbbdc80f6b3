"""`View`: what a timeout shows to its user and to observers."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from ._exceeded import DeadlineExceeded, Spent, Where, exceeded_message
from ._outcome import Outcome


@runtime_checkable
class View(Protocol):
    """The facts that a timeout shows: ours, the instrumented asyncio's, the switched-off one's, and a door's request.

    Once it has ended, all but `error` and `where` are frozen: what they said at the end is what they say ever after.
    """

    @property
    def name(self) -> str:
        """The name that the caller gave the timeout, or that of the code that opened it."""

    @property
    def kind(self) -> str:
        """The way the timeout was made: ``timeout``, ``timeout_at``, ``wait_for``, ``with_timeout`` or ``request``."""

    @property
    def limit(self) -> float:
        """Seconds from entry to the effective deadline; ``inf`` with none."""

    @property
    def requested(self) -> float | None:
        """Seconds from entry to the own deadline, or in code where the limit is configured; None with no deadline."""

    @property
    def owner(self) -> str:
        """The name of the timeout whose own deadline is, or was, the effective one; empty with none."""

    @property
    def source(self) -> str:
        """The source of the effective deadline: ``own``, ``inherited``, ``header`` or ``none``."""

    @property
    def outcome(self) -> Outcome | None:
        """The way the timeout ended; None before."""

    @property
    def error(self) -> BaseException | None:
        """The exception that leaves the timeout, while observers are told of the end; else None."""

    @property
    def elapsed(self) -> float:
        """Seconds since the entry, or from entry to exit."""

    @property
    def overrun(self) -> float:
        """Seconds from the effective deadline to the exit; 0.0 for an exit in time."""

    @property
    def reschedules(self) -> int:
        """The number of calls of `reschedule`."""

    @property
    def where(self) -> Where | None:
        """The place the task was waiting in when the deadline fired.

        None if it did not, and once the exception that tells is gone and nobody had asked.
        """

    @property
    def spent(self) -> tuple[Spent, ...]:
        """The time that nested timeouts took, longest first; last, those still open when this one fired."""

    def deadline(self) -> float | None:
        """The effective deadline, on the event loop's clock; None with none."""

    def remaining(self) -> float:
        """Seconds left to the effective deadline, or that were left at the end; ``inf`` with none, never negative."""

    def when(self) -> float | None:
        """The timeout's own deadline, on the event loop's clock; None with no deadline."""

    def expired(self) -> bool:
        """True once the timeout has ended, or is ending, its body because a deadline passed."""


def message_of(view: View) -> str:
    """The message that an expiry of `view` raises, or would raise; for telemetry."""
    error = view.error
    if isinstance(error, DeadlineExceeded) and error.name == view.name:
        return str(error)
    return exceeded_message(
        view.name,
        view.limit,
        view.elapsed,
        owner=None if view.owner == view.name else view.owner,
        spent=view.spent,
        where=view.where,
    )


__all__ = ["View", "message_of"]

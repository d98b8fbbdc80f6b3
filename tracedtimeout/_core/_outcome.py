"""Outcomes: the ways in which a timeout ends, and what each is to those who tell of it."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """The ways in which a timeout ends, in order of precedence. The values are the label strings of every exporter."""

    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    INHERITED = "inherited"
    REPLACED = "replaced"
    SUPPRESSED = "suppressed"
    FAILED = "failed"
    LATE = "late"
    COMPLETED = "completed"

    is_deadline: bool
    """The outcomes of timeouts that end with `DeadlineExceeded`."""
    is_error: bool
    """An error of a span; a cancellation is none."""
    is_overdue: bool
    """A deadline passed or left too little: it is in the live page's list of what ran out of time, and a late span."""


_DEADLINE = (Outcome.REJECTED, Outcome.EXPIRED, Outcome.INHERITED)
_ERROR = (*_DEADLINE, Outcome.REPLACED, Outcome.FAILED)
_OVERDUE = (*_DEADLINE, Outcome.REPLACED, Outcome.SUPPRESSED, Outcome.LATE)

# Attributes of each member, and not properties: the hash of a member is a function of Python's, a read of these is not.
for _outcome in Outcome:
    _outcome.is_deadline = _outcome in _DEADLINE
    _outcome.is_error = _outcome in _ERROR
    _outcome.is_overdue = _outcome in _OVERDUE

"""What an outcome is to those who tell of it."""

from __future__ import annotations

from tracedtimeout import Outcome


def test_each_outcome_says_what_it_is() -> None:
    """Those that end with DeadlineExceeded, those that are an error of a span, and those for which time ran out."""
    rows = {outcome: (outcome.is_deadline, outcome.is_error, outcome.is_overdue) for outcome in Outcome}
    assert rows == {
        "rejected": (True, True, True),
        "cancelled": (False, False, False),
        "expired": (True, True, True),
        "inherited": (True, True, True),
        "replaced": (False, True, True),
        "suppressed": (False, False, True),
        "failed": (False, True, False),
        "late": (False, False, True),
        "completed": (False, False, False),
    }

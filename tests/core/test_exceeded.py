"""The exception of an expiry: its words are worked out when somebody asks, and again where that was broken off."""

from __future__ import annotations

import math

import pytest

from tracedtimeout import DeadlineExceeded, Spent
from tracedtimeout._core._exceeded import Told, exceeded_message, new_exceeded


def test_its_words_are_asked_for_again_where_that_was_broken_off() -> None:
    """By Ctrl-C, say: who asks next has them. What it does not have, it says as any object does."""
    asked: list[int] = []

    def tell(_: DeadlineExceeded) -> Told:
        asked.append(1)
        if len(asked) == 1:
            raise KeyboardInterrupt
        return Told("message", "name", 1.0, 2.0, "owner", None, ())

    made = new_exceeded(DeadlineExceeded)
    made._tell = tell
    with pytest.raises(KeyboardInterrupt):
        str(made)
    assert (str(made), made.args, repr(made), made.name, len(asked)) == (
        "message",
        ("message",),
        "DeadlineExceeded('message')",
        "name",
        2,
    )
    with pytest.raises(AttributeError, match=r"^'DeadlineExceeded' object has no attribute 'colour'$"):
        made.colour


def test_its_message_names_a_few_of_many() -> None:
    """Of what was nested in it; and no limit where there is none."""
    spent = tuple(Spent(f"q{number}", 1.0, 1) for number in range(20))
    message = exceeded_message("t", math.inf, 2.0, spent=spent)
    named = ", ".join(f"1.000 s in q{number}" for number in range(8))
    assert message == f"'t' exceeded its deadline after 2.000 s: {named}, and 12 more"

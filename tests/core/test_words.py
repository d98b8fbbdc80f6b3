"""Text from strangers is made fit for every log, span and page."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracedtimeout._core._words import LONGEST, described, words


class Odd(Exception):  # noqa: N818  # it is odd
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain text, also in ελληνικά", "plain text, also in ελληνικά"),
        ("two\nlines", r"two\nlines"),
        ("\x1b[2J", r"\x1b[2J"),
        (os.fsdecode(b"caf\xe9"), r"caf\udce9"),
        (Odd(), "<Odd without words>"),
        (12, "12"),
    ],
)
def test_what_cannot_be_printed_is_escaped(value: object, shown: str) -> None:
    """Line breaks, terminal codes and lone surrogates read as escapes; other text is as it was."""
    assert words(value) == shown


@given(st.text(st.characters(), max_size=50).map(lambda text: text * 40))
def test_words_are_printable_encodable_and_bounded(text: str) -> None:
    """Whatever the text, its words can be shown and sent, and stay below the bound."""
    shown = words(text)
    assert (shown.isprintable(), len(shown) <= LONGEST) == (True, True)
    assert shown.encode().decode() == shown


def test_an_exception_is_described_as_a_traceback_ends() -> None:
    """Type and text; the type alone where there is no text."""
    assert (described(ValueError("no")), described(ValueError())) == ("ValueError: no", "ValueError")

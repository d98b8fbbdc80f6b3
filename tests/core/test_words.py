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


def test_text_is_cut_where_it_is_longer() -> None:
    """As long as may be it is shown whole, escapes included; a character more, and its end says that there was more."""
    whole = "\n" + "x" * (LONGEST - 2)
    assert words(whole) == r"\n" + "x" * (LONGEST - 2)
    assert words(whole + "x") == r"\n" + "x" * (LONGEST - 5) + "..."
    assert words("\n" + "x" * 2 * LONGEST) == words(whole + "x")


def test_the_name_of_a_type_is_cut() -> None:
    """A type may be called anything: it is given 120 characters."""
    assert described(type("E" * 121, (Exception,), {})()) == "E" * 117 + "..."


def test_an_exception_is_described_as_a_traceback_ends() -> None:
    """Type and text; the type alone where there is no text."""
    assert (described(ValueError("no")), described(ValueError())) == ("ValueError: no", "ValueError")

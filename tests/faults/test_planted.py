"""Each part of the kit finds a fault of its kind that is planted in the package."""

from __future__ import annotations

import pytest

from .planted import PARTS, PLANTED, find


@pytest.mark.parametrize("part", PLANTED)
def test_the_source_has_the_line_that_is_changed(part: str) -> None:
    """Else nothing would be planted, and nothing found."""
    assert PLANTED[part].stands() > 0, "the pattern finds no line any more: plant the fault elsewhere"


@pytest.mark.long
@pytest.mark.parametrize("part", PARTS)
def test_a_planted_fault_is_found(part: str) -> None:
    """By the part that is for its kind, in a process of its own."""
    assert find(part) != ""

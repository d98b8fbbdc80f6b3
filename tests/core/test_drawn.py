"""Programs drawn by seed agree with asyncio: some of those that `python -m tests.core.drawn` runs by the thousands."""

from __future__ import annotations

from .drawn import Draw, differing


def test_what_is_drawn_shows_what_asyncio_shows() -> None:
    """Programs of one task, of awaited children, and of generators and coroutines that are broken off."""
    assert list(differing(range(400))) == []


def test_a_seed_draws_the_same_program_again() -> None:
    """So that the one that differs can be looked at."""
    assert Draw(7).program == Draw(7).program

"""The end of an SQLite statement that nobody waits for any more."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiosqlite

STEP = 0.005
"""Seconds between two interruptions: one that comes before its statement has begun in the thread is lost."""
STEPS = 20
"""Interruptions of one statement: SQLite's wait for another connection's lock cannot be interrupted."""


async def interrupt(connection: aiosqlite.Connection) -> None:
    """Interrupt what `connection` runs, until its thread is idle: for a tenth of a second at most."""
    idle = asyncio.ensure_future(_next_turn(connection))
    try:
        with suppress(ValueError):  # it was closed meanwhile
            for _ in range(STEPS):
                await connection.interrupt()
                if (await asyncio.wait([idle], timeout=STEP))[0]:
                    return
    finally:
        idle.cancel()


async def _next_turn(connection: aiosqlite.Connection) -> None:
    """Wait until the thread has done what stands before this in its queue.

    An empty cursor is no statement that could be interrupted itself. And it takes the place of the thread's last
    result: a cursor with rows left would have all statements after it interrupted too.
    """
    with suppress(ValueError):  # it was closed meanwhile
        async with connection.cursor():
            pass

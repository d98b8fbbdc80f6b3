"""The deadline in aiosqlite: a statement that is cut does not run on in its thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ._interrupt import interrupt

if TYPE_CHECKING:
    import aiosqlite

__all__ = ["interrupting"]


@asynccontextmanager
async def interrupting(connection: aiosqlite.Connection) -> AsyncIterator[None]:
    """A task that is cancelled inside interrupts the statement that it waits for.

    ``async with timeout(0.2), interrupting(connection): await connection.execute(...)``. Without it the thread of the
    connection goes on until the statement is done, and `close()` and the next statement wait for it. The connection is
    good afterwards; a transaction that was writing is rolled back by SQLite. It must be this task's alone: what others
    run on it meanwhile is interrupted too.

    A cursor that was left with rows to fetch is interrupted as well: close it, or SQLite interrupts what follows too.
    SQLite's wait for another connection's lock cannot be interrupted: keep ``aiosqlite.connect(timeout=)`` short.
    """
    try:
        yield
    except asyncio.CancelledError:
        await interrupt(connection)
        raise

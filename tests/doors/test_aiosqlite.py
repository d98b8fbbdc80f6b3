"""aiosqlite's statements end with the task that waits for them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import aiosqlite
import pytest

from tests.support.cuts import cut, cuts
from tracedtimeout import DeadlineExceeded, timeout
from tracedtimeout.integrations.aiosqlite import interrupting

pytestmark = pytest.mark.slow  # SQLite's own time, in a thread

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0"
SOON = 20.0
"""Seconds in which something happens that otherwise never does."""


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[aiosqlite.Connection]:
    """It closes in time, whatever was cut on it."""
    opened = await aiosqlite.connect(tmp_path / "file", timeout=0.05)
    yield opened
    async with asyncio.timeout(SOON):
        await opened.close()


async def test_a_statement_is_interrupted(connection: aiosqlite.Connection) -> None:
    """One that would run for ever ends with its task, and the connection is good."""
    with pytest.raises(DeadlineExceeded):
        async with timeout(0.1), interrupting(connection):
            await connection.execute_fetchall(ENDLESS)
    async with asyncio.timeout(SOON):
        assert list(await connection.execute_fetchall("SELECT 1")) == [(1,)]


async def test_one_that_has_not_begun(connection: aiosqlite.Connection) -> None:
    """Cut at each of its awaits, before the thread has it as well, the statement ends."""
    for suspensions in (1, 2, 3) * 5:

        async def work() -> None:
            async with interrupting(connection):
                async with connection.execute("SELECT 1"):
                    pass
                await connection.execute_fetchall(ENDLESS)

        assert await cut(work, suspensions)
        async with asyncio.timeout(SOON):
            assert list(await connection.execute_fetchall("SELECT 1")) == [(1,)]


async def test_a_thousand_cuts(connection: aiosqlite.Connection) -> None:
    """Each at a random await: no question gets the answer of another, and the connection is good afterwards."""
    answered: list[int] = []

    async def work(number: int) -> None:
        async with interrupting(connection):
            assert list(await connection.execute_fetchall("SELECT ?", (number,))) == [(number,)]
            if number % 5 == 0:
                await connection.execute_fetchall(ENDLESS)
        answered.append(number)

    told = await cuts(work, most=2, at_each=True, side_by_side=1)
    assert told[0] == len(answered)
    assert list(await connection.execute_fetchall("SELECT 1")) == [(1,)]


async def test_a_writing_transaction_is_rolled_back(connection: aiosqlite.Connection) -> None:
    """SQLite does it: an interrupted write leaves nothing of its transaction."""
    await connection.execute("CREATE TABLE kept (i)")
    await connection.commit()
    with pytest.raises(DeadlineExceeded):
        async with timeout(0.1), interrupting(connection):
            await connection.execute("INSERT INTO kept VALUES (1)")
            await connection.execute(f"INSERT INTO kept {ENDLESS}")
    assert not connection.in_transaction
    assert list(await connection.execute_fetchall("SELECT * FROM kept")) == []


async def test_what_is_not_cut_is_left_alone(connection: aiosqlite.Connection) -> None:
    """Errors pass, and so does what ends by itself."""
    async with interrupting(connection):
        assert list(await connection.execute_fetchall("SELECT 1")) == [(1,)]
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        async with interrupting(connection):
            await connection.execute("SELECT * FROM missing")


async def test_a_connection_that_is_closed(tmp_path: Path) -> None:
    """There is nothing to interrupt: the cancellation passes."""
    opened = await aiosqlite.connect(tmp_path / "file")
    with pytest.raises(DeadlineExceeded):
        async with timeout(0.01), interrupting(opened):
            await opened.close()
            await asyncio.sleep(SOON)


async def test_a_wait_for_a_lock(tmp_path: Path, connection: aiosqlite.Connection) -> None:
    """SQLite's wait for another's lock cannot be interrupted; the task is let go all the same."""
    await connection.execute("CREATE TABLE kept (i)")
    await connection.execute("BEGIN IMMEDIATE")
    async with aiosqlite.connect(tmp_path / "file", timeout=1.0) as other:
        with pytest.raises(DeadlineExceeded):
            async with timeout(0.05), interrupting(other):
                await other.execute("BEGIN IMMEDIATE")
        await connection.rollback()

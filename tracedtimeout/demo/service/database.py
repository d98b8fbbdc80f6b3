"""The shop's SQLite database: a file, a few connections, and queries that are quick, long or in each other's way."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite

CONNECTIONS = 8
BUSY = 0.05
"""Seconds that SQLite waits for its lock in the thread of a connection, where nothing can interrupt it."""

WORDS = ("amber", "birch", "copper", "desk", "enamel", "felt", "glass", "horn", "iron", "jute", "kettle", "lamp")

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price INTEGER NOT NULL, stock INTEGER NOT NULL);
CREATE TABLE orders (id INTEGER PRIMARY KEY, product INTEGER NOT NULL, placed REAL NOT NULL);
"""

SEARCH = "SELECT id, name, price FROM products WHERE name LIKE ? LIMIT 20"

SIMILAR = """
SELECT one.id, one.name, count(*) AS kin FROM products AS one, products AS other, products AS third
WHERE one.name LIKE ? AND other.name || third.name LIKE '%' || substr(one.name, 1, 5) || '%'
GROUP BY one.id ORDER BY kin DESC LIMIT 20
"""
"""Every product against every pair of others: minutes, on any machine."""


class Database:
    """A few connections to one file, lent to one user each."""

    def __init__(self, connections: list[aiosqlite.Connection]) -> None:
        self._all = connections
        self._free: asyncio.Queue[aiosqlite.Connection] = asyncio.Queue()
        for connection in connections:
            self._free.put_nowait(connection)

    async def fetch(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """The rows of a query."""
        async with self.connection() as connection:
            return [tuple(row) for row in await connection.execute_fetchall(sql, values)]

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[aiosqlite.Connection]:
        """A connection that holds the one lock for writing; waits for it as long as it is let."""
        async with self.connection() as connection:
            await _begin(connection)
            yield connection
            await connection.commit()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[aiosqlite.Connection]:
        """A connection of one's own. Whoever is cancelled in it leaves no query behind that runs on."""
        connection = await self._free.get()
        try:
            yield connection
        except BaseException:
            await connection.interrupt()
            raise
        finally:
            try:
                await connection.rollback()  # queues behind what its thread still does
            finally:
                self._free.put_nowait(connection)

    async def close(self) -> None:
        for connection in self._all:
            await connection.interrupt()
            await connection.close()


@asynccontextmanager
async def database(path: Path) -> AsyncIterator[Database]:
    """The database in `path`, made and filled if need be."""
    connections = [await aiosqlite.connect(path, isolation_level=None, timeout=BUSY) for _ in range(CONNECTIONS)]
    opened = Database(connections)
    try:
        await _fill(connections[0])
        yield opened
    finally:
        await opened.close()


async def take(connection: aiosqlite.Connection, product: int) -> int:
    """Take one piece of `product` out of stock, inside a transaction; returns the order's number."""
    await connection.execute("UPDATE products SET stock = stock - 1 WHERE id = ?", (product,))
    cursor = await connection.execute("INSERT INTO orders (product, placed) VALUES (?, ?)", (product, time.time()))
    assert cursor.lastrowid is not None
    return cursor.lastrowid


async def count_stock(connection: aiosqlite.Connection, seconds: float) -> int:
    """Count the whole stock again and again for `seconds`, inside a transaction; returns how often."""
    rounds, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        await connection.execute("UPDATE products SET stock = max(stock, 100)")
        rounds += 1
    return rounds


async def _begin(connection: aiosqlite.Connection) -> None:
    """Take the lock for writing, in short waits: between two, the task can be cancelled."""
    while True:
        try:
            await connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
        else:
            return


async def _fill(connection: aiosqlite.Connection) -> None:
    names = [f"{one} {other} {number}" for one in WORDS for other in WORDS for number in range(14)]
    await connection.executescript(SCHEMA)
    await connection.execute("BEGIN")
    await connection.executemany(
        "INSERT INTO products (name, price, stock) VALUES (?, ?, 100)",
        [(name, 500 + 7 * number) for number, name in enumerate(names)],
    )
    await connection.commit()

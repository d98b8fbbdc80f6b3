"""A thousand cuts, each at a random await, on one pool of PostgreSQL's: it is whole afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import QueuePool

from tests.services.postgres import Postgres
from tests.support.cuts import cuts, until
from tracedtimeout.integrations.sqlalchemy import bound_statements

asyncpg = pytest.importorskip("asyncpg", reason="pip install -e '.[databases]'")
pytest.importorskip("psycopg", reason="pip install -e '.[databases]'")
pytestmark = [pytest.mark.server, pytest.mark.slow]  # a real server, and real time in it

POOL = 5
WITHIN = 0.25
"""Seconds after which a statement is cut, if it was not before."""

KEEP = "INSERT INTO kept VALUES ({0})"
# The driver's request to cancel is lost if it comes before the statement does: the sleep is shorter than `until` waits.
ASK = "SELECT {0}::int FROM pg_sleep(CASE WHEN {0}::int % 17 = 0 THEN 5 ELSE 0.001 END)"
AT_WORK = """
SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND state <> 'idle'
"""


@pytest.fixture
async def watch(server: Postgres) -> AsyncIterator[Any]:
    """A connection beside the pool, to see what the server does; the table that the work writes to."""
    connection = await asyncpg.connect(server.dsn)
    await connection.execute("DROP TABLE IF EXISTS kept; CREATE TABLE kept (number int PRIMARY KEY)")
    yield connection
    await connection.close()


async def tried(work: Callable[[int], Coroutine[Any, Any, None]], finished: dict[int, int], *, most: int) -> None:
    """Cut it a thousand times, at each of its awaits, some of them while it is let finish."""
    await cuts(work, most=most, at_each=True, within=WITHIN)
    assert finished


async def whole(watch: Any, finished: dict[int, int]) -> None:
    """What must be true of the server: nobody at work or in a transaction; what was committed is there."""

    async def idle() -> bool:
        return not await watch.fetchval(AT_WORK)

    await until(idle)
    kept = {row["number"] for row in await watch.fetch("SELECT number FROM kept")}
    assert [number for number in finished if number not in kept] == []
    assert [number for number, answer in finished.items() if number != answer] == []


async def test_asyncpgs_pool(server: Postgres, watch: Any) -> None:
    """All its connections can be had, none is in a transaction, and no question got another's answer."""
    finished: dict[int, int] = {}
    async with asyncpg.create_pool(server.dsn, min_size=POOL, max_size=POOL) as pool:

        async def work(number: int) -> None:
            async with pool.acquire() as connection:
                async with connection.transaction():
                    await connection.execute(KEEP.format("$1"), number)
                    answer = await connection.fetchval(ASK.format("$1"), number)
                finished[number] = answer

        await tried(work, finished, most=8)
        await whole(watch, finished)
        async with AsyncExitStack() as stack:
            all_of_it = [await stack.enter_async_context(pool.acquire(timeout=10.0)) for _ in range(POOL)]
            assert [connection.is_in_transaction() for connection in all_of_it] == [False] * POOL
            assert await asyncio.gather(*(each.fetchval("SELECT 1") for each in all_of_it)) == [1] * POOL


@pytest.mark.parametrize(("driver", "bounded"), [("asyncpg", True), ("asyncpg", False), ("psycopg", True)])
async def test_sqlalchemys_pool(server: Postgres, watch: Any, driver: str, bounded: bool) -> None:
    """The same. (psycopg needs the limit on the server: once in some hundred cuts its cancellation comes too early.)"""
    finished: dict[int, int] = {}
    engine = create_async_engine(server.url(driver), pool_size=POOL, max_overflow=0, pool_timeout=10.0)
    if bounded:
        bound_statements(engine)

    async def work(number: int) -> None:
        async with engine.begin() as connection:
            await connection.execute(text(KEEP.format(":number")), {"number": number})
            asked = await connection.execute(text(ASK.replace("{0}::int", "cast(:number as int)")), {"number": number})
            answer = asked.scalar_one()
        finished[number] = answer

    await tried(work, finished, most=24)
    await whole(watch, finished)
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.checkedout() == 0
    async with AsyncExitStack() as stack:
        all_of_it = [await stack.enter_async_context(engine.connect()) for _ in range(POOL)]
        assert [await one(each) for each in all_of_it] == [1] * POOL
    await engine.dispose()


async def one(connection: AsyncConnection) -> Any:
    return (await connection.execute(text("SELECT 1"))).scalar_one()

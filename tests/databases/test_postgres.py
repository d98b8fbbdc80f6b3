"""The budget in SQLAlchemy, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tests.services.postgres import Postgres
from tracedtimeout import DeadlineExceeded, budget, detach, timeout
from tracedtimeout.integrations.sqlalchemy import bound_statements

pytest.importorskip("asyncpg", reason="pip install -e '.[databases]'")
pytest.importorskip("psycopg", reason="pip install -e '.[databases]'")
pytestmark = [pytest.mark.server, pytest.mark.slow]  # a real server, which keeps real time

IN_FORCE = text("SELECT 1000 * extract(epoch FROM current_setting('statement_timeout')::interval)")
NONE = 0.0


@pytest.fixture(params=["asyncpg", "psycopg"])
async def engine(server: Postgres, request: pytest.FixtureRequest) -> AsyncIterator[AsyncEngine]:
    """An engine that is bounded, by each driver."""
    made = create_async_engine(server.url(request.param))
    bound_statements(made)
    yield made
    await made.dispose()


@pytest.fixture
def blocking(server: Postgres) -> Iterator[Engine]:
    """One for threads."""
    made = create_engine(server.url("psycopg"))
    bound_statements(made)
    yield made
    made.dispose()


async def in_force(connection: AsyncConnection) -> float:
    """Milliseconds that the server grants a statement."""
    return float((await connection.execute(IN_FORCE)).scalar_one())


async def test_a_statement_is_granted_what_is_left(engine: AsyncEngine) -> None:
    """And 50 ms more; where nothing bounds, what the session grants."""
    async with engine.connect() as connection:
        assert await in_force(connection) == NONE
        async with timeout(60.0):
            assert 50_000 < await in_force(connection) <= 60_050
            async with timeout(10.0):
                assert 5_000 < await in_force(connection) <= 10_050
            assert 50_000 < await in_force(connection) <= 60_050
            with detach():
                assert await in_force(connection) == NONE
        with budget(0.0):
            assert await in_force(connection) == 51
        assert await in_force(connection) == NONE


async def test_the_sessions_own_limit_stands(engine: AsyncEngine) -> None:
    """It is never raised, is back when nothing bounds, and may be changed on the way."""
    async with engine.connect() as connection:
        await connection.execute(text("SET statement_timeout = 20000"))
        async with timeout(60.0):
            assert await in_force(connection) == 20_000
            async with timeout(10.0):
                assert 5_000 < await in_force(connection) <= 10_050
            await connection.execute(text("SET LOCAL statement_timeout = '30s'"))
            assert await in_force(connection) == 30_000
            async with timeout(10.0):
                assert 5_000 < await in_force(connection) <= 10_050
            assert await in_force(connection) == 30_000
        assert await in_force(connection) == 30_000


async def test_savepoints(engine: AsyncEngine) -> None:
    """A limit that a rollback to a savepoint brings back is known to be ours."""
    async with engine.begin() as connection:
        async with timeout(60.0):
            await in_force(connection)
            with pytest.raises(DBAPIError):
                async with timeout(10.0), connection.begin_nested():
                    await connection.execute(text("SELECT 1 / 0"))
            assert 50_000 < await in_force(connection) <= 60_050
        assert await in_force(connection) == NONE


async def test_nothing_is_left_on_the_connection(engine: AsyncEngine) -> None:
    """The limit ends with the transaction, committed or not: whoever has the connection next finds it as it was."""
    async with engine.connect() as connection:
        for end in (connection.commit, connection.rollback):
            async with timeout(10.0):
                assert await in_force(connection) > NONE
            await end()
            assert await in_force(connection) == NONE
            await connection.rollback()


async def test_a_transaction_of_another_kind(engine: AsyncEngine) -> None:
    """Nothing is run in front of what must be the first of a transaction."""
    async with timeout(10.0), engine.begin() as connection:
        await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        assert await in_force(connection) > NONE


async def test_many_rows(engine: AsyncEngine) -> None:
    """Statements with a list of parameters are bounded too, and those without any."""
    async with timeout(10.0), engine.begin() as connection:
        await connection.execute(text("CREATE TEMP TABLE kept (a int, b text) ON COMMIT DROP"))
        await connection.execute(
            text("INSERT INTO kept VALUES (:a, current_setting('statement_timeout'))"), [{"a": 1}, {"a": 2}]
        )
        kept = (await connection.exec_driver_sql("SELECT b FROM kept")).scalars().all()
        assert len(kept) == 2
        assert "0" not in kept


async def test_a_stream(engine: AsyncEngine) -> None:
    """A server-side cursor is opened under the limit."""
    async with timeout(10.0), engine.connect() as connection:
        rows = await connection.stream(text("SELECT current_setting('statement_timeout') FROM generate_series(1, 500)"))
        assert {row[0] async for row in rows} != {"0"}


async def test_autocommit_is_left_alone(engine: AsyncEngine) -> None:
    """Outside a transaction nothing is set: it would stay on the session."""
    async with engine.connect() as connection:
        free = await connection.execution_options(isolation_level="AUTOCOMMIT")
        async with timeout(10.0):
            assert await in_force(free) == NONE


async def test_our_deadline_comes_first(engine: AsyncEngine) -> None:
    """The task is cut by its timeout, as without a database; the server's limit is there for the rest."""
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(0.2, name="report"), engine.connect() as connection:
            await connection.execute(text("SELECT pg_sleep(30)"))
    assert caught.value.owner == "report"
    async with engine.connect() as connection:
        assert await in_force(connection) == NONE


async def test_the_servers_end_is_ours(engine: AsyncEngine) -> None:
    """Where no timer ends the task, the server does, and it is told as what it is; the connection is good."""
    async with engine.connect() as connection:
        with budget(0.1), pytest.raises(DeadlineExceeded, match=r"'_budget' exceeded its 0\.100 s deadline"):
            await connection.execute(text("SELECT pg_sleep(30)"))
        await connection.rollback()
        assert await in_force(connection) == NONE


async def test_the_servers_end_for_another_reason(engine: AsyncEngine) -> None:
    """The session's own limit, with time left, is the database's error as before."""
    async with engine.connect() as connection:
        await connection.execute(text("SET statement_timeout = 50"))
        with budget(30.0), pytest.raises(DBAPIError, match="statement timeout") as caught:
            await connection.execute(text("SELECT pg_sleep(30)"))
    assert not isinstance(caught.value, DeadlineExceeded)


async def test_errors_are_the_databases_own(engine: AsyncEngine) -> None:
    """What is wrong with a statement, or the transaction that failed, is told as without us."""
    async with timeout(10.0), engine.connect() as connection:
        with pytest.raises(DBAPIError, match="division by zero"):
            await connection.execute(text("SELECT 1 / 0"))
        with pytest.raises(DBAPIError, match="transaction is aborted"):
            await connection.execute(text("SELECT 1"))


async def test_undone(engine: AsyncEngine, server: Postgres) -> None:
    """What `bound_statements` returned takes it back, once or twice; other engines keep theirs."""
    other = create_async_engine(server.url("asyncpg"))
    undo = bound_statements(other)
    for _ in range(2):
        undo()
    async with timeout(10.0), other.connect() as free, engine.connect() as bound:
        assert [await in_force(free), await in_force(bound) > NONE] == [NONE, True]
    await other.dispose()


def test_threads(blocking: Engine) -> None:
    """A blocking engine has no timer but the server's: the statement ends when the budget does."""
    with blocking.connect() as connection:
        with budget(0.1), pytest.raises(DeadlineExceeded, match=r"'_budget' exceeded its 0\.100 s deadline"):
            connection.execute(text("SELECT pg_sleep(30)"))
        connection.rollback()
        assert connection.execute(IN_FORCE).scalar_one() == NONE


async def test_a_thread_of_a_request(blocking: Engine) -> None:
    """The budget goes into a thread with the context; there the timeout that was opened on the loop ends the query."""

    def report() -> Any:
        with blocking.connect() as connection:
            return _sleep(connection)

    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(0.2, name="request"):
            thread = asyncio.create_task(asyncio.to_thread(report))
            await asyncio.shield(thread)
    assert caught.value.name == "request"
    with pytest.raises(DeadlineExceeded, match="'request' exceeded"):
        await thread


def _sleep(connection: Connection) -> Any:
    return connection.execute(text("SELECT pg_sleep(30)")).all()

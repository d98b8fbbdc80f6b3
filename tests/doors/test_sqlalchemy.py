"""Statements of SQLAlchemy's aiosqlite end with their task; PostgreSQL's are in tests/databases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.doors.test_aiosqlite import ENDLESS, SOON
from tracedtimeout import DeadlineExceeded, timeout
from tracedtimeout.integrations.sqlalchemy import bound_statements


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """An engine with one connection, so that one that is not given back would be missed."""
    made = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'file'}", pool_size=1, max_overflow=0)
    bound_statements(made)
    yield made
    await made.dispose()


@pytest.mark.slow  # SQLite's own time, in a thread
async def test_a_statement_is_interrupted(engine: AsyncEngine) -> None:
    """A statement that would run for hours ends with its task, and the pool is whole."""
    for _ in range(3):
        with pytest.raises(DeadlineExceeded):
            async with timeout(0.1), engine.connect() as connection:
                await connection.execute(text(ENDLESS))
        async with asyncio.timeout(SOON), engine.connect() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


@pytest.mark.slow  # as above
async def test_a_stream_is_interrupted(engine: AsyncEngine) -> None:
    """So does one whose rows are fetched one by one."""
    with pytest.raises(DeadlineExceeded):
        async with timeout(0.1), engine.connect() as connection:
            async for _ in await connection.stream(text(ENDLESS)):
                pytest.fail("there is no row")
    async with asyncio.timeout(SOON), engine.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


@pytest.mark.slow  # as above
async def test_a_pool_made_anew(engine: AsyncEngine) -> None:
    """After `dispose()` the engine has another pool, whose statements are interrupted as well."""
    await engine.dispose()
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        async with timeout(0.1), engine.connect() as connection:
            await connection.execute(text(ENDLESS))
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize("wrong", [None, "postgresql://"])
def test_no_engine(wrong: Any) -> None:
    """It is a TypeError."""
    with pytest.raises(TypeError, match="engine must be an Engine or an AsyncEngine"):
        bound_statements(wrong)


def test_an_engine_for_something_else() -> None:
    """It is named."""
    with pytest.raises(ValueError, match=r"not sqlite\+pysqlite"):
        bound_statements(create_engine("sqlite://"))


async def test_undone(engine: AsyncEngine) -> None:
    """What it returned takes it back, once or twice."""
    undo = bound_statements(engine)
    undo()
    undo()

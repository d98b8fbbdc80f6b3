"""The budget in SQLAlchemy: a statement that nobody waits for any more ends in the database as well."""

from __future__ import annotations

import asyncio
import math
import re
import reprlib
from collections.abc import Callable
from typing import Any

from tracedtimeout import checkpoint, remaining

from ._extra import extra
from ._interrupt import interrupt

with extra("sqlalchemy"):
    from sqlalchemy import event
    from sqlalchemy.engine import Connection, Engine, ExceptionContext, ExecutionContext
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["bound_statements"]

SLACK = 50
"""Milliseconds that the server waits longer than the budget, so that our own deadline comes first."""
MOST = 2**31 - 1
"""Milliseconds that PostgreSQL can count."""
CANCELED = "57014"
"""PostgreSQL's code for a statement that it ended."""

QUICK = re.compile(r"\s*(SET|SHOW|LOCK|SAVEPOINT|ROLLBACK|RELEASE|COMMIT|BEGIN|START)\b", re.IGNORECASE)
"""Statements before which nothing is set. A query in front of SET TRANSACTION is an error, and one in front of LOCK
takes the snapshot that was to be taken behind the lock; ROLLBACK TO is all that a transaction which failed can run."""

LIMIT = """
SELECT set_config('tracedtimeout.own', own, true),
       set_config('tracedtimeout.set', set_config('statement_timeout', in_force, true), true)
FROM (
    SELECT own, CASE WHEN {0}::bigint = 0 OR 1000 * extract(epoch FROM own::interval) BETWEEN 1 AND {0}::bigint
                     THEN own ELSE {0}::bigint::text END AS in_force
    FROM (
        SELECT CASE WHEN current_setting('statement_timeout') = current_setting('tracedtimeout.set', true)
                    THEN current_setting('tracedtimeout.own') ELSE current_setting('statement_timeout') END AS own
        OFFSET 0
    ) AS known OFFSET 0
) AS chosen
"""
"""Sets, for the transaction, the lesser of the milliseconds asked for and the session's own limit, with 0 for none.

The server keeps what the session's own limit is and what was set in its place, so that both are right after ROLLBACK
TO SAVEPOINT and after a SET of the user's. OFFSET 0 has each setting read once, before it is set. SET LOCAL does the
same but takes no parameters: each number would be a statement of its own in the driver's cache."""
PLACES = {"asyncpg": "$1", "psycopg": "%(limit)s"}

_LIMITED = "tracedtimeout.limited"
"""Key in a connection's `record_info`: whether a limit of ours may be in force in its transaction."""


def bound_statements(engine: Engine | AsyncEngine) -> Callable[[], None]:
    """Have the database end a statement when the budget is spent; what it returns undoes it.

    PostgreSQL, by asyncpg or psycopg: before each statement in a transaction `statement_timeout` is set, for that
    transaction, to the milliseconds left of the budget and 50 more; never above the session's own, and back to that
    where nothing bounds. This costs one more round trip for each statement under a budget. The server's error 57014
    after a passed deadline is raised as `DeadlineExceeded`. Not covered: autocommit, COMMIT, and LOCK where it is the
    first statement.

    aiosqlite: a statement whose task is cancelled is interrupted.

    Raises:
        TypeError: `engine` is no engine.
        ValueError: it is one for another database or driver.
    """
    if not isinstance(engine, Engine | AsyncEngine):
        raise TypeError(f"engine must be an Engine or an AsyncEngine, not {reprlib.repr(engine)}")
    target = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
    listeners = _listeners(target.dialect.name, target.dialect.driver)
    for name, listener in listeners.items():
        event.listen(target, name, listener)

    def undo() -> None:
        for name, listener in listeners.items():
            if event.contains(target, name, listener):
                event.remove(target, name, listener)

    return undo


def _listeners(database: str, driver: str) -> dict[str, Callable[..., Any]]:
    """SQLAlchemy's events, and what listens to each: functions of this engine's own."""
    if (database, driver) == ("sqlite", "aiosqlite"):
        return {"invalidate": lambda connection, record, error: _interrupt(connection, error)}
    if database != "postgresql" or driver not in PLACES:
        raise ValueError(f"engine must be for PostgreSQL (asyncpg, psycopg) or aiosqlite, not {database}+{driver}")
    sql = LIMIT.format(PLACES[driver])
    # Within SQLAlchemy's handling of errors: before_cursor_execute is not, until 2.1.
    return {
        "begin": lambda connection: _marks(connection).pop(_LIMITED, None),
        "do_execute": lambda cursor, statement, parameters, context: _limit(sql, statement, context),
        "do_executemany": lambda cursor, statement, parameters, context: _limit(sql, statement, context),
        "do_execute_no_params": lambda cursor, statement, context: _limit(sql, statement, context),
        "handle_error": _ended_by_server,
    }


def _limit(sql: str, statement: str, context: ExecutionContext) -> None:
    """Set the limit for the statement that is about to run, on its connection."""
    connection, limit = context.root_connection, _milliseconds()
    marks = _marks(connection)
    if not (limit or marks.get(_LIMITED)) or QUICK.match(statement) or _autocommits(connection):
        return
    marks[_LIMITED] = bool(limit)
    cursor = connection.connection.cursor()
    try:
        cursor.execute(sql, (limit,) if "$1" in sql else {"limit": limit})
    finally:
        cursor.close()


def _marks(connection: Connection) -> dict[Any, Any]:
    """The marks of a connection, in `record_info`: `info` is not there while an engine gets to know its database."""
    marks = connection.connection.record_info
    return {_LIMITED: True} if marks is None else marks  # None: it was detached from the pool


def _milliseconds() -> int:
    """The limit of a statement; 0 for none, as in PostgreSQL."""
    left = remaining() * 1000
    return 0 if left > MOST - SLACK else max(1, math.ceil(left)) + SLACK


def _autocommits(connection: Connection) -> bool:
    return bool(getattr(connection.connection.dbapi_connection, "autocommit", False))


def _ended_by_server(context: ExceptionContext) -> None:
    if getattr(context.original_exception, "sqlstate", None) == CANCELED:
        checkpoint()


def _interrupt(connection: Any, error: BaseException | None) -> None:
    """End the statement of a connection that is given up: to be closed, it waits for its thread."""
    if isinstance(error, asyncio.CancelledError):
        connection.run_async(interrupt)

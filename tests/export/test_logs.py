"""The log has one line for each expiry, and fields for those who read it by machine."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import Any

import pytest
import structlog

from tests.support.telemetry import block
from tracedtimeout import budget, install, timeout
from tracedtimeout._core import _warn
from tracedtimeout.logs import LogObserver
from tracedtimeout.testing import run


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    undo = install(registry=None, spans="off", observers=[LogObserver(logging.getLogger("shop"), level=logging.ERROR)])
    yield
    undo()


def lines(caplog: pytest.LogCaptureFixture, main: Coroutine[Any, Any, None]) -> list[str]:
    """What is logged while `main` runs."""
    with caplog.at_level(logging.INFO), suppress(TimeoutError, LookupError):
        run(main)
    return [record.getMessage() for record in caplog.records if record.name == "shop"]


async def checkout() -> None:
    """Expire in the second of two steps."""
    async with timeout(2.0, name="checkout"):
        async with timeout(5.0, name="load"):
            await asyncio.sleep(0.5)
        async with timeout(5.0, name="charge"):
            await asyncio.sleep(3.0)


def test_an_expiry_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Its message is the exception's; the nested timeout that it cancelled has none of its own."""
    (line,) = lines(caplog, checkout())
    assert (line.startswith("'checkout' exceeded its 2.000 s deadline after 2.000 s: "), "\n" in line) == (True, False)
    assert line.partition("; waiting at ")[2].startswith("tests.export.test_logs:")


def test_a_line_has_fields(caplog: pytest.LogCaptureFixture) -> None:
    """Name, outcome, owner, seconds, place and nested work are there without parsing."""
    lines(caplog, checkout())
    (record,) = caplog.records
    fields = {key: value for key, value in vars(record).items() if key.startswith("timeout_")}
    where = fields.pop("timeout_where")
    assert where.startswith("tests.export.test_logs:")
    assert (record.levelname, fields) == (
        "ERROR",
        {
            "timeout_name": "checkout",
            "timeout_outcome": "expired",
            "timeout_owner": "checkout",
            "timeout_limit": 2.0,
            "timeout_elapsed": 2.0,
            "timeout_overrun": 0.0,
            "timeout_spent": ["0.500 s in load", "1.500 s in charge (unfinished)"],
        },
    )


def test_one_ended_by_a_budget_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """A deadline with no timer of its own is told of by the timeout that it ended."""

    async def main() -> None:
        with budget(1.0):
            async with timeout(None, name="consume"):
                await asyncio.Event().wait()

    assert [line.partition(": waiting")[0] for line in lines(caplog, main())] == [
        "'consume' was ended by the deadline of '_budget' after 1.000 s"
    ]


def test_a_rejection_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """It says what was needed and whose time ran out."""

    async def main() -> None:
        async with timeout(1.0, name="checkout"):
            async with timeout(3.0, name="refund", at_least=2.0):
                pytest.fail("not rejected")

    assert lines(caplog, main()) == ["'refund' needs 2.000 s and 1.000 s is left of 'checkout'"]


def test_a_suppressed_expiry_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """The caller saw nothing, the log does."""

    async def main() -> None:
        async with timeout(1.0, name="stubborn"):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(2.0)

    (line,) = lines(caplog, main())
    assert line == "'stubborn' exceeded its 1.000 s deadline after 1.000 s; suppressed by its body"


def test_a_replaced_expiry_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """The exception that took its place is named, whatever its message holds."""

    async def main() -> None:
        async with timeout(1.0, name="lookup"):
            try:
                await asyncio.sleep(2.0)
            except asyncio.CancelledError:
                raise LookupError("no\nrow") from None

    (line,) = lines(caplog, main())
    assert line.startswith("'lookup' exceeded its 1.000 s deadline after 1.000 s: waiting at ")
    assert line.endswith(r"; replaced by LookupError('no\nrow')")


def test_what_was_left_late_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """A body that blocked the loop past its deadline is told of, though nothing fired."""

    async def main() -> None:
        async with timeout(1.0, name="report"):
            await block(1.5)

    assert lines(caplog, main()) == [
        "'report' left 0.500 s after its deadline, which could not fire: the event loop was blocked"
    ]


def test_one_event_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """The warning that tells of work that ran on stays out while an observer has a line for it, and no longer."""

    async def stubborn() -> None:
        async with timeout(1.0, name="stubborn"):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(2.0)

    def loggers() -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.INFO):
            run(stubborn())
        return [record.name for record in caplog.records]

    assert loggers() == ["shop"]
    _warn._warned.clear()
    install(registry=None, spans="off")()
    assert loggers() == ["tracedtimeout"]


class Odd(Exception):  # noqa: N818  # it is odd
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (Odd(), "<Odd without words>"),
        (ValueError("caf\udce9\x1b[2J\n"), r"ValueError('caf\udce9\x1b[2J\n')"),
        (ValueError("x" * 10**6), "ValueError('xxx"),
    ],
    ids=["odd", "unprintable", "huge"],
)
def test_words_of_strangers_are_made_fit(error: Exception, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    """A line is printable, can be encoded, and has at most 1,000 characters, whatever an exception says of itself."""

    async def main() -> None:
        with suppress(Odd, ValueError):
            async with timeout(1.0, name="lookup"):
                try:
                    await asyncio.sleep(2.0)
                except asyncio.CancelledError:
                    raise error from None

    lines(caplog, main())
    (record,) = caplog.records
    line = record.getMessage()
    assert f"; replaced by {shown}" in line
    assert (line.isprintable(), len(line) <= 1_000) == (True, True)


def test_structlog_renders_lines_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """Its formatter for the standard library's records shows the fields of ours."""
    handler = logging.StreamHandler(sys.stdout)
    adders: list[Any] = [structlog.stdlib.add_log_level, structlog.stdlib.ExtraAdder()]
    rendering: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.JSONRenderer(),
    ]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=adders, processors=rendering))
    logger = logging.getLogger("shop")
    logger.addHandler(handler)
    try:
        run(suppressed(checkout()))
    finally:
        logger.removeHandler(handler)
    told = json.loads(capsys.readouterr().out)
    assert (told["level"], told["timeout_name"], told["timeout_limit"]) == ("error", "checkout", 2.0)
    assert told["event"].startswith("'checkout' exceeded its 2.000 s deadline")


def test_nothing_else_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Completed, failed and cancelled timeouts are no expiries, nor is the foreign TimeoutError of a body."""

    async def main() -> None:
        async with timeout(1.0, name="fine"):
            await asyncio.sleep(0.5)
        with suppress(TimeoutError):
            async with timeout(1.0, name="fails"):
                raise TimeoutError
        with suppress(asyncio.CancelledError):
            async with timeout(1.0, name="cancelled"):
                raise asyncio.CancelledError

    assert lines(caplog, main()) == []


def test_a_silent_logger_is_not_bothered(caplog: pytest.LogCaptureFixture) -> None:
    """Below the level nothing is built."""
    logging.getLogger("shop").setLevel(logging.CRITICAL)
    try:
        run(suppressed(checkout()))
    finally:
        logging.getLogger("shop").setLevel(logging.NOTSET)
    assert caplog.records == []


async def suppressed(main: Coroutine[Any, Any, None]) -> None:
    with suppress(TimeoutError):
        await main

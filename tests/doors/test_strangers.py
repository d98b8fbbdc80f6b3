"""SECURITY.md: what a stranger can do by headers, and what it cannot."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest

from tests.services.asgi_servers import Receive, Scope, Send, outcomes, respond
from tracedtimeout import remaining
from tracedtimeout._core.figures import _process
from tracedtimeout.integrations.asgi import DeadlineMiddleware
from tracedtimeout.propagation import HEADERS
from tracedtimeout.testing import run

WORD = "strangersword"
HOSTILE = [{header: value} for header in HEADERS for value in ("0", "1", "1n", "50m", "9" * 400, WORD, f"1;x={WORD}")]
ROUTES: Any = {"route_of": lambda scope: "/x"}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.sleep(1.0)
    await respond(send, f"{remaining():.0f}".encode())


async def ask(door: Any, headers: dict[str, str], method: str = "GET") -> tuple[int, str]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://x") as client:
        answer = await client.request(method, "/", headers=headers)
    return answer.status_code, answer.text


def test_an_edge_believes_nobody() -> None:
    """With SECURITY.md's terms for an edge no header changes a deadline, in either direction."""
    door = DeadlineMiddleware(app, default=10.0, accept=(), **ROUTES)

    async def main() -> list[tuple[int, str]]:
        return [await ask(door, headers) for headers in HOSTILE]

    assert set(run(main())) == {(200, "9")}


def test_no_deadline_is_lengthened() -> None:
    """Believed, a stranger shortens its own deadline, or is ignored; nobody else's request is ended by it."""
    door = DeadlineMiddleware(app, default=10.0, **ROUTES)

    async def main() -> list[tuple[tuple[int, str], tuple[int, str]]]:
        return [await asyncio.gather(ask(door, headers), ask(door, {})) for headers in HOSTILE]

    for (status, text), other in run(main()):
        assert status == 504 or float(text) <= 9.0
        assert other == (200, "9")


def test_no_text_of_a_strangers_is_ours(caplog: pytest.LogCaptureFixture) -> None:
    """Neither its headers nor its method make a name, a label or a log line."""
    caplog.set_level(logging.DEBUG, "tracedtimeout")
    door = DeadlineMiddleware(app, default=10.0, **ROUTES)

    async def main() -> None:
        for headers in HOSTILE:
            await ask(door, headers)
        await ask(door, {}, method=WORD.upper())

    run(main())
    told = " ".join(record.getMessage() for record in caplog.records if record.name == "tracedtimeout")
    labels = {label for values in _process.snapshot().values() for each in values for label in each}
    assert WORD not in f"{told} {labels}".lower()
    assert {name for name, _ in outcomes()} == {"GET /x", "_OTHER /x"}

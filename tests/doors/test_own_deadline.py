"""A request's deadline is its own: nothing of the request before it on the connection, or of the server, binds it."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from tests.services.asgi_servers import figures, serving
from tracedtimeout import View, budget, remaining, timeout
from tracedtimeout._core import _observers
from tracedtimeout._core.figures._metrics import ACTIVE, LIMIT
from tracedtimeout.integrations.asgi import DeadlineMiddleware

BODY = b"z" * 2_000_000
"""Beyond the mark at which servers stop reading: they go on when the application reads."""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the seconds that are left; `/first` reads its body by and by, and works on behind its response."""
    assert scope["type"] == "http"
    if scope["path"] == "/first":
        while (await receive())["more_body"]:
            await asyncio.sleep(0)
    left = remaining()
    await asyncio.sleep(0.02)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"8")]})
    await send({"type": "http.response.body", "body": f"{left:8.3f}".encode()})
    if scope["path"] == "/first":
        await asyncio.sleep(0.3)


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, float]:
    """The status, and the seconds that were left."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head.split()[1], float(await reader.readexactly(8))


@pytest.mark.slow
@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize("server", ["h11", "httptools", "hypercorn"])
async def test_the_next_request_of_a_connection_has_its_own_deadline(server: str, pipelined: bool) -> None:
    """A first request of 0.6 s, with a large body and work behind its response, leaves the second its 20 s. (Real
    servers: they start a request in the context of the one before.)"""
    async with serving(DeadlineMiddleware(app, default=20.0), server) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        first = b"POST /first HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\ndeadline-budget: 600\r\n\r\n" % len(BODY)
        second = b"GET /second HTTP/1.1\r\nhost: x\r\n\r\n"
        writer.write(first + BODY + (second if pipelined else b""))
        status, left = await answer(reader)
        assert (status, left <= 0.6) == (b"200", True)
        if not pipelined:
            writer.write(second)
        status, left = await answer(reader)
        writer.close()
    assert (status, 19.0 < left <= 20.0) == (b"200", True)


async def served(scope: dict[str, Any]) -> float:
    """The seconds that a request has through our door, in a task of its own."""
    seen: list[float] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(remaining())

    door = DeadlineMiddleware(inner, default=20.0)
    await asyncio.create_task(door(scope, None, None))  # type: ignore[arg-type]  # neither is asked
    return seen[0]


def http(**more: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": [], **more}


async def test_what_encloses_the_server_does_not_bind_a_request() -> None:
    """A timeout or budget around the code that starts the task of a request is not the request's."""
    async with timeout(2.0):
        assert 19.0 < await served(http()) <= 20.0
    with budget(2.0):
        assert 19.0 < await served(http()) <= 20.0


async def test_a_client_in_its_own_task_bounds_a_request() -> None:
    """An in-process client that awaits the application bounds it, as any call."""
    seen: list[float] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(remaining())

    async with timeout(2.0):
        await DeadlineMiddleware(inner, default=20.0)(http(), None, None)  # type: ignore[arg-type]  # as above
    assert seen[0] <= 2.0


async def test_a_mounted_application_inherits_the_outer_request() -> None:
    """The door of a mounted application has the request of the outer door for its parent, in whatever task it runs."""
    seen: list[float] = []

    async def outer_app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(await served(dict(scope)))

    await DeadlineMiddleware(outer_app, default=3.0)(http(), None, None)  # type: ignore[arg-type]  # as above
    assert seen[0] <= 3.0


async def test_a_default_bounds_what_a_header_may_ask(caplog: pytest.LogCaptureFixture) -> None:
    """With `default` alone a client can shorten its deadline and never lengthen it; the first that tries is told of."""
    caplog.set_level("INFO", "tracedtimeout")
    seen: list[float] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        seen.append(remaining())

    door = DeadlineMiddleware(inner, default=2.0, route_of=lambda scope: "/x")
    for value in (b"60000", b"500", b"999999999999999"):
        await door(http(headers=[(b"deadline-budget", value)]), None, None)  # type: ignore[arg-type]  # as above
    assert [left <= limit for left, limit in zip(seen, (2.0, 0.5, 2.0), strict=True)] == [True] * 3
    assert [record.getMessage()[:26] for record in caplog.records] == ["a caller asks for 60.000 s"]


async def test_nothing_of_a_request_is_left_in_the_context_it_was_served_in() -> None:
    """Whoever goes on in that context is bound by nothing of it: its deadline, its caller's, or what it left open."""
    seen: list[float] = []

    async def leaves_one_open(scope: Any, receive: Any, send: Any) -> None:
        await timeout(1.0).__aenter__()

    door = DeadlineMiddleware(leaves_one_open, default=20.0, route_of=lambda scope: "/x")
    for headers in ([], [(b"deadline-budget", b"500")], [], [(b"deadline-budget", b"30")]):
        await door(http(headers=headers), None, None)  # type: ignore[arg-type]  # as above
        seen.append(remaining())
    assert seen == [math.inf] * 4


async def test_a_second_mounted_application_inherits_too() -> None:
    """The scope of the outer request is its own again after a door beneath it: whoever is asked next, in whatever task,
    inherits from an open request."""
    seen: list[float] = []

    async def outer_app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([await served(scope), await served(scope)])

    await DeadlineMiddleware(outer_app, default=3.0)(http(), None, None)  # type: ignore[arg-type]  # as above
    assert [left <= 3.0 for left in seen] == [True, True]


@pytest.mark.parametrize("milliseconds", [1, 30, 500, 30_000])
async def test_a_request_of_a_caller_is_counted_in_and_out(milliseconds: int) -> None:
    """However many seconds it grants: there are as many limits as exits, and none is open."""

    async def nothing(scope: Any, receive: Any, send: Any) -> None: ...

    door = DeadlineMiddleware(nothing, default=20.0, route_of=lambda scope: "/x")
    for _ in range(3):
        await door(http(headers=[(b"deadline-budget", b"%d" % milliseconds)]), None, None)  # type: ignore[arg-type]  # as above
    assert (figures(LIMIT), figures(ACTIVE)) == ({("GET /x",): 3}, {})


async def test_an_entry_that_is_broken_off_was_never_there() -> None:
    """Ctrl-C as the request of a caller with a deadline is entered: it is not open, and its caller's binds nothing."""

    def interrupt(request: View) -> None:
        raise KeyboardInterrupt

    async def never(scope: Any, receive: Any, send: Any) -> None:
        pytest.fail("ran")

    door = DeadlineMiddleware(never, default=20.0, route_of=lambda scope: "/x")
    _observers.add(interrupt)
    try:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                await door(http(headers=[(b"deadline-budget", b"500")]), None, None)  # type: ignore[arg-type]  # as above
    finally:
        _observers.remove(interrupt)
    assert (remaining(), figures(ACTIVE)) == (math.inf, {})

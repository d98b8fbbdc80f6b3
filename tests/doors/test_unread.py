"""A 504 that its server does not take is given up, and the connection cut: real time, for it waits for a second."""

from __future__ import annotations

import asyncio

import pytest

from tests.services.asgi_servers import SPENT, App, Message, Receive, Scope, Send, forever, middleware, outcomes, stuck
from tracedtimeout import DeadlineExceeded
from tracedtimeout.integrations.asgi import _answers
from tracedtimeout.integrations.asgi._overdue import answers


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_answers, "_PATIENCE", 0.05)


def scope_of(*headers: tuple[bytes, bytes]) -> Scope:
    return {"type": "http", "method": "POST", "path": "/", "root_path": "", "headers": headers, "http_version": "1.1"}


async def never() -> Message:
    await forever()
    return {}


async def send_never(message: Message) -> None:
    await forever()


@pytest.mark.parametrize("spent", [True, False], ids=["on arrival", "at the deadline"])
async def test_a_504_that_is_not_taken(spent: bool) -> None:
    """The request ends all the same, raising to the server, which cuts the connection; nothing of it is left."""
    headers = [(name.encode(), value.encode()) for name, value in SPENT.items()] if spent else []
    with pytest.raises(DeadlineExceeded):
        await middleware(stuck, default=0.01)(scope_of(*headers), never, send_never)
    assert outcomes() == {("POST /", "rejected" if spent else "expired"): 1}
    assert not answers


async def test_a_server_that_fails() -> None:
    """An error of the server's own, a TimeoutError even, is not taken for a 504 that waits for its reader."""

    async def broken(message: Message) -> None:
        raise TimeoutError("the server's own")

    with pytest.raises(TimeoutError, match="the server's own"):
        await middleware(stuck, default=0.01)(scope_of(), never, broken)


async def test_a_server_that_keeps_its_close_codes() -> None:
    """A WebSocket is closed with 3008 where the server refuses 1011 of an application, as daphne does."""
    codes = []

    async def daphne(message: Message) -> None:
        if message["type"] == "websocket.close":
            codes.append(message["code"])
            if not (message["code"] == 1000 or 3000 <= message["code"] <= 4999):
                raise ValueError("invalid close code")

    async def accepting(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await forever()

    scope = {**scope_of((b"deadline-budget", b"20")), "type": "websocket"}
    await middleware(accepting)(scope, never, daphne)
    assert codes == [1011, 3008]


@pytest.mark.parametrize("extensions", [{}, {"websocket.http.response": {}}], ids=["closed", "denied"])
@pytest.mark.parametrize("accepts", [True, False])
async def test_a_close_that_is_not_taken(accepts: bool, extensions: dict[str, object]) -> None:
    """A WebSocket whose client does not read ends all the same, raising to the server."""

    async def send(message: Message) -> None:
        if message["type"] != "websocket.accept":
            await forever()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if accepts:
            await send({"type": "websocket.accept"})
        await forever()

    scope = {**scope_of((b"deadline-budget", b"20")), "type": "websocket", "extensions": extensions}
    with pytest.raises(DeadlineExceeded):
        await middleware(app)(scope, never, send)
    assert [outcome for _, outcome in outcomes()] == ["inherited"]


async def test_what_is_still_sent_is_read_while_a_504_waits() -> None:
    """A server that takes the 504 only behind the whole upload, as hypercorn does, gets rid of both."""
    uploaded = asyncio.Event()
    parts = iter([True, True, False])

    async def receive() -> Message:
        more = next(parts)
        if not more:
            uploaded.set()
        return {"type": "http.request", "body": b"part", "more_body": more}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await uploaded.wait()

    await middleware(stuck, default=0.01)(scope_of(SIZED), receive, send)


async def closes(app: App, *headers: tuple[bytes, bytes], http_version: str = "1.1", method: str = "POST") -> bool:
    """True if the 504 of a request with these headers tells its client that the connection ends with it."""
    told: list[tuple[bytes, bytes]] = []

    async def send(message: Message) -> None:
        told.extend(message.get("headers", ()))

    scope = {**scope_of(*headers), "http_version": http_version, "method": method}
    parts = iter([b"half", b"whole"])

    async def receive() -> Message:
        part = next(parts)
        return {"type": "http.request", "body": part, "more_body": part == b"half"}

    await middleware(app, default=0.01)(scope, receive, send)
    assert (b"deadline-expired", b"1") in told
    return (b"connection", b"close") in told


SIZED = (b"content-length", b"9")
CHUNKED = (b"transfer-encoding", b"chunked")
EMPTY = (b"content-length", b"0")
SPENT_LINE = (b"deadline-budget", b"0")


def reading(times: int) -> App:
    """An application that reads so many parts of the body, and then waits."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(times):
            await receive()
        await forever()

    return app


async def test_a_504_before_an_unread_body_ends_the_connection() -> None:
    """What the client still sends would else stand between its server and the next request."""
    assert await closes(reading(0), SIZED)
    assert await closes(reading(1), CHUNKED)
    assert await closes(reading(0), SIZED, SPENT_LINE)
    assert await closes(reading(0), SIZED, method="GET")


async def test_a_504_behind_the_body_keeps_the_connection() -> None:
    """Read to its end, or not there at all, it stands in nobody's way."""
    assert not await closes(reading(2), SIZED)
    assert not await closes(reading(2), CHUNKED)
    assert not await closes(reading(0), EMPTY)
    assert not await closes(reading(0))


async def test_streams_of_http2_end_by_themselves() -> None:
    """HTTP/2 knows no such header."""
    assert not await closes(reading(0), SIZED, http_version="2")

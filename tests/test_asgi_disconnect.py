"""What happens to the work for a peer that goes away."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.asgi_servers import (
    SERVERS,
    SHORT,
    Receive,
    Recorder,
    Scope,
    Send,
    client,
    forever,
    middleware,
    outcomes,
    respond,
    serving,
    stuck,
)

pytestmark = pytest.mark.slow  # real sockets, so the real clock


# Disconnects


async def disconnect(url: str, path: str, arrived: asyncio.Event, body: bytes = b"") -> None:
    """Ask, and go away once the application has the request."""
    _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (path.encode(), len(body)) + body)
    await arrived.wait()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("server", ["h11", "httptools"])
@pytest.mark.parametrize("reads", [False, True])
async def test_a_disconnect_cancels_when_asked_to(server: str, reads: bool) -> None:
    """With `cancel_on_disconnect` the work for a peer that has gone is cancelled, and the server hears nothing."""
    arrived, ended = asyncio.Event(), asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        messages = [await receive()] if reads else []
        arrived.set()
        try:
            await forever()
        finally:
            assert [message["body"] for message in messages] == [b"order"] * reads
            ended.set()

    recorder = Recorder(middleware(waits, cancel_on_disconnect=True))
    async with serving(recorder, server) as url:
        await disconnect(url, "/waits", arrived, b"order")
        await ended.wait()
        await asyncio.sleep(0)
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
    assert (recorder.sent, recorder.raised) == ([], [])
    assert outcomes() == {("POST /waits", "cancelled"): 1}


async def test_a_disconnect_alone_cancels_nothing() -> None:
    """Without `cancel_on_disconnect` the application hears of a disconnect when it asks, and decides for itself."""
    arrived, ended = asyncio.Event(), asyncio.Event()
    heard: list[str] = []

    async def asks(scope: Scope, receive: Receive, send: Send) -> None:
        arrived.set()
        while (message := await receive())["type"] != "http.disconnect":
            pass
        heard.append(message["type"])
        ended.set()

    async with serving(middleware(asks)) as url:
        await disconnect(url, "/asks", arrived)
        await ended.wait()
    assert heard == ["http.disconnect"]
    assert outcomes() == {("POST /asks", "completed"): 1}


async def test_reading_ahead_loses_nothing() -> None:
    """With `cancel_on_disconnect` the application reads every part of a body, at its own pace, and then disconnects."""
    parts: list[bytes] = []

    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            parts.append(message["body"])
            more = message["more_body"]
            await asyncio.sleep(0)
        await respond(send)
        assert [(await receive())["type"] for _ in range(2)] == ["http.disconnect"] * 2

    async def body() -> Any:
        for _ in range(50):
            yield b"x" * 10_000
            await asyncio.sleep(0)

    recorder = Recorder(middleware(reads, cancel_on_disconnect=True))
    async with client(recorder) as http:
        assert (await http.post("/reads", content=body())).status_code == 200
    assert b"".join(parts) == b"x" * 500_000
    assert recorder.raised == []
    assert outcomes() == {("POST /reads", "completed"): 1}


@pytest.mark.parametrize("server", SERVERS)
async def test_the_end_of_a_complete_response_is_no_disconnect(server: str) -> None:
    """What runs on after a complete response is not cancelled by the server's saying that it is over."""
    ended = asyncio.Event()

    async def background(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send)
        await asyncio.sleep(0.05)
        ended.set()

    async with client(middleware(background, cancel_on_disconnect=True), server) as http:
        assert (await http.get("/background")).status_code == 200
        await ended.wait()
    assert outcomes() == {("GET /background", "completed"): 1}


async def test_an_expiry_with_a_watch_is_a_504() -> None:
    """`cancel_on_disconnect` changes nothing about an expiry."""
    async with client(middleware(stuck, cancel_on_disconnect=True)) as http:
        assert (await http.get("/stuck", headers=SHORT)).status_code == 504
        assert (await http.get("/stuck", headers=SHORT)).status_code == 504

"""What happens to the work for a peer that goes away."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from tests.services.asgi_servers import (
    SERVERS,
    SHORT,
    App,
    Message,
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
from tracedtimeout import detach

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


# Against a hand-written server


def leaving(*messages: Message | Exception) -> Receive:
    """A server's `receive` that gives these, and then nothing more."""
    left = list(messages)

    async def receive() -> Message:
        if not left:
            await forever()
        message = left.pop(0)
        if isinstance(message, Exception):
            raise message
        return message

    return receive


async def ask(app: App, receive: Receive) -> list[str]:
    """Ask `app`; the types of what it answers."""
    sent: list[str] = []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await middleware(app, cancel_on_disconnect=True)(scope, receive, send)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    return sent


GONE: Message = {"type": "http.disconnect"}


async def test_an_application_that_swallows_it() -> None:
    """An application may end its work in its own way; its task is as it was after."""

    async def swallows(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        await respond(send)

    assert await ask(swallows, leaving(GONE)) == ["http.response.start", "http.response.body"]
    assert outcomes() == {("GET /", "completed"): 1}


async def test_an_application_that_fails_in_clean_up() -> None:
    """An error of its own that it raises when cancelled is raised to the server."""

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await forever()
        finally:
            raise LookupError("in clean-up")

    with pytest.raises(LookupError, match="in clean-up"):
        await ask(fails, leaving(GONE))
    assert outcomes() == {("GET /", "failed"): 1}


async def test_an_application_that_listens() -> None:
    """An application that is cancelled for a disconnect may still read what came before, and is told of that."""
    heard: list[str] = []

    async def listens(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await forever()
        finally:
            heard.extend([(await receive())["type"] for _ in range(3)])

    assert await ask(listens, leaving({"type": "http.request", "more_body": False}, GONE)) == []
    assert heard == ["http.request", "http.disconnect", "http.disconnect"]
    assert outcomes() == {("GET /", "cancelled"): 1}


async def test_two_that_listen() -> None:
    """Of several that wait for a message one gets it, and all are told of the disconnect after it."""
    heard: list[str] = []

    async def listen(receive: Receive) -> None:
        heard.append((await receive())["type"])

    async def listens(scope: Scope, receive: Receive, send: Send) -> None:
        with detach():
            listening = asyncio.gather(*(listen(receive) for _ in range(3)))
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(listening)
        await listening

    await ask(listens, leaving({"type": "http.request", "more_body": False}, GONE))
    assert heard == ["http.request", "http.disconnect", "http.disconnect"]


async def test_a_disconnect_while_the_504_is_sent() -> None:
    """A peer that goes away while it is told of the expiry has nothing left to cancel."""
    gone = asyncio.Event()

    async def receive() -> Message:
        await gone.wait()
        return GONE

    async def send(message: Message) -> None:
        gone.set()
        await asyncio.sleep(0.01)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await middleware(stuck, default=0.01, cancel_on_disconnect=True)(scope, receive, send)
    assert outcomes() == {("GET /", "expired"): 1}


async def test_a_server_that_fails_to_receive() -> None:
    """What the server's `receive` raises reaches the application where it asks, and cancels nothing."""

    async def asks_twice(scope: Scope, receive: Receive, send: Send) -> None:
        for _ in range(2):
            with pytest.raises(OSError, match="broken"):
                await receive()
        await respond(send)

    assert len(await ask(asks_twice, leaving(OSError("broken")))) == 2
    assert outcomes() == {("GET /", "completed"): 1}


async def test_a_cancellation_besides() -> None:
    """A cancellation from outside is passed on, though the peer has gone as well."""

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await forever()
        finally:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(ask(both, leaving(GONE)))
    assert outcomes() == {("GET /", "cancelled"): 1}

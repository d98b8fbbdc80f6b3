"""What the table of servers asks of each: small dialogues with a real one, each of which gives what was seen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.services.behaving import BRIEF, DEFAULT
from tests.services.servers import Running
from tests.support.connections import HOST, Answer, Ask, Connection, connected, request, request_of_http2

HASTE = {"deadline-budget": f"{BRIEF * 1e3:.0f}"}
LARGE = 2_000_000
"""Bytes: more than a server reads ahead of an application that does not."""
LARGE_AND_READ = 400_000
"""Beyond the mark at which servers stop reading, and go on when the application reads: soon, on a busy machine too."""
PATIENCE = 10.0
"""Seconds in which all that is to happen has happened, also on a busy machine."""
UPGRADE = {":protocol": "websocket", "sec-websocket-version": "13"}
"""What asks for a WebSocket over HTTP/2, with CONNECT for a method (RFC 8441)."""
CLOSE = b"\x88"
"""The first byte of a WebSocket's closing frame; the third and fourth are the code."""
STILL = 2.0
"""Seconds after which what has not happened since its request ended counts as left undone."""

Behaviour = Callable[[Running], Awaitable[str]]

OWN, CLOSED, BOUND = "own", "closes", "bound"


@asynccontextmanager
async def connection(server: Running) -> AsyncIterator[Connection]:
    async with asyncio.timeout(PATIENCE), connected(server.port, http2=server.http2) as made:
        yield made


def hasty(path: str, method: str = "GET", size: int = 0, sent: int | None = None) -> Ask:
    return Ask(path, HASTE, method, size, sent)


async def next_one(made: Connection, first: Answer) -> str:
    """How the next request on the connection fares: its seconds are its own, or the server closes the connection."""
    if first.last:
        return CLOSED
    return _seen(await made.ask(Ask("/slow")))


def _seen(second: Answer) -> str:
    if second.status is None:
        return CLOSED
    assert second.status == 200, second
    assert DEFAULT - 5.0 < float(second.body) <= DEFAULT, second
    return OWN


async def all_over(server: Running, name: str) -> None:
    """Wait until the server has no such request open."""
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(server.active, name):
            await asyncio.sleep(0.2)


async def kept_alive(server: Running) -> str:
    """The next request on a connection, when the first one has read a large body and works on for a while."""
    async with connection(server) as made:
        first = await made.ask(hasty("/read", "POST", LARGE_AND_READ))
        assert first.status == 200, first
        return await next_one(made, first)


async def pipelined(server: Running) -> str:
    """The same, sent with the first; over HTTP/2 beside it."""
    async with connection(server) as made:
        first, second = await made.both(hasty("/read", "POST", LARGE_AND_READ), Ask("/slow"))
        assert first.status == 200, first
        return _seen(second)


async def unread(server: Running) -> str:
    """The next request, when the first was answered with a large body unread."""
    return await _after(server, 200, hasty("/unread.unread", "POST", LARGE))


async def half_read(server: Running) -> str:
    """The next request, when the first was answered with a large body half read."""
    return await _after(server, 200, hasty("/half.half_read", "POST", LARGE))


async def late(server: Running) -> str:
    """The next request, after a 504."""
    return await _after(server, 504, hasty("/stuck.late"))


async def late_upload(server: Running) -> str:
    """The next request, after the 504 of one with a large body that nobody reads."""
    return await _after(server, 504, hasty("/stuck.late_upload", "POST", LARGE))


async def _after(server: Running, status: int, ask: Ask) -> str:
    async with connection(server) as made:
        first = await made.ask(ask)
        if first.status is None:
            return CLOSED
        assert first.status == status, first
        seen = await next_one(made, first)
    await all_over(server, f"{ask.method} {ask.path}")
    return seen


async def background(server: Running) -> str:
    """The next request, while what the first left at work behind its response is ended at its deadline."""
    name = "GET /background.background"
    async with connection(server) as made:
        first = await made.ask(hasty("/background.background"))
        assert first.whole, first
        seen = await next_one(made, first)
    await all_over(server, name)
    assert await asyncio.to_thread(server.ended, name, "inherited") == 1
    return seen


async def stalled(server: Running) -> str:
    """What becomes of a request that nobody reads and whose client has stopped sending."""
    name = "POST /stuck.stalled"
    async with connection(server) as made:
        asking = asyncio.create_task(made.ask(hasty("/stuck.stalled", "POST", LARGE, 1000)))
        await asyncio.wait([asking], timeout=BRIEF + STILL)
        await all_over(server, name)
        if not await asyncio.to_thread(server.ended, name, "inherited"):
            asking.cancel()
            return "not begun"
        answer = await asking
    return str(answer.status) if answer.whole else "cut"


async def aborted(server: Running) -> str:
    """What the client sees of a response that has started when its deadline passes."""
    name = "GET /stream.aborted"
    async with connection(server) as made:
        asking = asyncio.create_task(made.ask(hasty("/stream.aborted")))
        while not await asyncio.to_thread(server.ended, name, "inherited"):
            await asyncio.sleep(0.2)
        done, _ = await asyncio.wait([asking], timeout=STILL)
        if not done:
            asking.cancel()
            return "left open"
        answer = asking.result()
    assert (answer.status, answer.body) == (200, b"first"), answer
    return "whole" if answer.whole else "cut"


async def flooded(server: Running) -> str:
    """What becomes of a request whose client does not read a response that has begun."""
    return await _flooded(server, Ask("/flood.flooded", HASTE))


async def flooded_socket(server: Running) -> str:
    """What becomes of a WebSocket whose client does not read."""
    if server.http2:
        return await _flooded(server, Ask("/flooded", {**UPGRADE, **HASTE}, "CONNECT"))
    upgrade = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13"}
    key = {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}
    return await _flooded(server, Ask("/flooded", {**upgrade, **key, **HASTE}))


async def _flooded(server: Running, ask: Ask) -> str:
    _, writer = await asyncio.open_connection(HOST, server.port, limit=1)  # reads next to nothing ahead
    writer.write(request_of_http2(ask) if server.http2 else request(ask))
    try:
        async with asyncio.timeout(PATIENCE):
            while not await asyncio.to_thread(server.ended, f"GET {ask.path}", "inherited"):
                await asyncio.sleep(0.2)
            while await asyncio.to_thread(server.open, ask.path):
                await asyncio.sleep(0.2)
    finally:
        writer.transport.abort()
    return "over"


async def disconnected(server: Running) -> str:
    """What becomes of a request whose client goes away, with `cancel_on_disconnect`."""
    name = "GET /watched.disconnected"
    async with connection(server) as made:
        asking = asyncio.create_task(made.ask(Ask("/watched.disconnected")))
        while not await asyncio.to_thread(server.active, name):
            await asyncio.sleep(0.2)
        asking.cancel()
    await all_over(server, name)
    assert await asyncio.to_thread(server.ended, name, "cancelled") == 1
    return "cancelled"


async def mounted(server: Running) -> str:
    """What a mounted application behind BaseHTTPMiddleware inherits, with a door of its own."""
    return await _bound(server, "/mounted/")


async def in_process(server: Running) -> str:
    """What a client in the process inherits: in its own task, and by the header beneath `gather`."""
    return await _bound(server, "/in_process")


async def _bound(server: Running, path: str) -> str:
    async with connection(server) as made:
        answer = await made.ask(Ask(path, {"deadline-budget": "8000"}))
    assert answer.status == 200, answer
    assert all(0.0 < float(part) <= 8.0 for part in answer.body.split()), answer
    return BOUND


async def closed(server: Running) -> str:
    """The close code of a WebSocket whose deadline passes."""
    if server.http2:
        answer = await _upgraded(server, "/accepted")
        assert answer.status == 200, answer
        return str(int.from_bytes(answer.body[2:4])) if answer.body[:1] == CLOSE else "cut"
    async with asyncio.timeout(PATIENCE), connect(_socket(server, "accepted"), additional_headers=HASTE) as made:
        try:
            await made.recv()
        except ConnectionClosed as exc:
            return str(exc.rcvd.code if exc.rcvd else "cut")
    raise AssertionError("a message came")


async def refused(server: Running) -> str:
    """The answer to a WebSocket whose deadline passes before it is accepted."""
    if server.http2:
        return str((await _upgraded(server, "/refused")).status)
    try:
        async with asyncio.timeout(PATIENCE), connect(_socket(server, "refused"), additional_headers=HASTE):
            pass
    except InvalidStatus as exc:
        return str(exc.response.status_code)
    raise AssertionError("it was accepted")


async def _upgraded(server: Running, path: str) -> Answer:
    """All that comes of a WebSocket over HTTP/2: what its server sends is the body of an answer."""
    async with connection(server) as made:
        return await made.ask(Ask(path, {**UPGRADE, **HASTE}, "CONNECT"))


def _socket(server: Running, path: str) -> str:
    return f"ws://127.0.0.1:{server.port}/{path}"


DIALOGUES: dict[str, Behaviour] = {
    dialogue.__name__: dialogue
    for dialogue in (
        kept_alive,
        pipelined,
        unread,
        half_read,
        background,
        late,
        late_upload,
        stalled,
        aborted,
        flooded,
        flooded_socket,
        disconnected,
        mounted,
        in_process,
        closed,
        refused,
    )
}

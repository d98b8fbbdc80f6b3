"""The dialogues of `behaviours` that gRPC has, with a client of grpc.aio: each call is a stream of one connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc.aio

from tests.doors.behaviours import HASTE, LARGE, OWN, PATIENCE, Behaviour, all_over
from tests.services.behaving import DEFAULT
from tests.services.behaving_rpc import SERVICE
from tests.services.servers import Running

PART = bytes(LARGE // 20)
METADATA = tuple(HASTE.items())


@asynccontextmanager
async def channel(server: Running) -> AsyncIterator[Any]:
    async with asyncio.timeout(PATIENCE), grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as made:
        yield made


async def parts(count: int, *, stalls: bool = False) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PART
    if stalls:
        await asyncio.Event().wait()


def path(method: str) -> str:
    return f"/{SERVICE}/{method}"


async def next_one(made: Any) -> str:
    """How the next call of the channel fares: its seconds are its own."""
    seconds = float(await made.unary_unary(path("slow"))(b""))
    assert DEFAULT - 5.0 < seconds <= DEFAULT, seconds
    return OWN


async def kept_alive(server: Running) -> str:
    async with channel(server) as made:
        await made.stream_unary(path("read"))(parts(20), metadata=METADATA)
        return await next_one(made)


async def pipelined(server: Running) -> str:
    async with channel(server) as made:
        first = made.stream_unary(path("read"))(parts(20), metadata=METADATA)
        seen, _ = await asyncio.gather(next_one(made), _code(first))
        return seen


async def unread(server: Running) -> str:
    return await _after(server, "unread")


async def half_read(server: Running) -> str:
    return await _after(server, "half_read")


async def late_upload(server: Running) -> str:
    return await _after(server, "late_upload")


async def _after(server: Running, method: str) -> str:
    async with channel(server) as made:
        # Its code is INTERNAL where the client was still sending.
        await _code(made.stream_unary(path(method))(parts(20), metadata=METADATA))
        return await next_one(made)


async def late(server: Running) -> str:
    async with channel(server) as made:
        assert await _code(made.unary_unary(path("late"))(b"", metadata=METADATA)) == "DEADLINE_EXCEEDED"
        return await next_one(made)


async def stalled(server: Running) -> str:
    async with channel(server) as made:
        code = await _code(made.stream_unary(path("stalled"))(parts(1, stalls=True), metadata=METADATA))
    await all_over(server, f"{SERVICE}/stalled")
    return code


async def aborted(server: Running) -> str:
    async with channel(server) as made:
        call = made.unary_stream(path("aborted"))(b"", metadata=METADATA)
        assert await call.read() == b"first"
        return await _code(call)


async def disconnected(server: Running) -> str:
    name = f"{SERVICE}/disconnected"
    async with channel(server) as made:
        call = made.unary_unary(path("disconnected"))(b"")
        asking = asyncio.ensure_future(_code(call))
        while not await asyncio.to_thread(server.active, name):
            await asyncio.sleep(0.2)
        call.cancel()
        await asyncio.wait([asking])
        await all_over(server, name)
    assert await asyncio.to_thread(server.ended, name, "cancelled") == 1
    return "cancelled"


async def _code(call: Any) -> str:
    return str((await call.code()).name)


DIALOGUES: dict[str, Behaviour] = {
    dialogue.__name__: dialogue
    for dialogue in (kept_alive, pipelined, unread, half_read, late, late_upload, stalled, aborted, disconnected)
}

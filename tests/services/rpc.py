"""A grpc.aio service of plain bytes, in all four kinds of call, and what it saw."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from tracedtimeout import budget, checkpoint, remaining, timeout

SERVICE = "shop.Payments"
UNARY = ("in_thread", "nested", "nested_in_thread", "to_thread")
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


@dataclass
class Payments:
    """Handlers that note what they are given and left with. A request of ``wait`` is never answered."""

    metadata: list[dict[str, str]] = field(default_factory=list)
    granted: list[float | None] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    lines: list[tuple[str, object]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    async def note(self, request: bytes, context: Any) -> bytes:
        self.lines += context.invocation_metadata()
        self.metadata.append({key: value for key, value in context.invocation_metadata() if isinstance(value, str)})
        self.granted.append(context.time_remaining())
        self.left.append(remaining())
        if request == b"wait":
            await asyncio.sleep(5.0)
        return request

    async def unary_unary(self, request: bytes, context: Any) -> bytes:
        return await self.note(request, context)

    async def unary_stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        yield await self.note(request, context)

    async def stream_unary(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        return await self.note(b"".join([request async for request in requests]), context)

    async def stream_stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield await self.note(request, context)

    async def written(self, request: bytes, context: Any) -> None:
        await context.write(b"first")
        await context.write(await self.note(request, context))

    async def flood(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 16)

    async def nested(self, request: bytes, context: Any) -> bytes:
        async with timeout(0.01, name="secret"):
            await asyncio.sleep(5.0)
        return request

    def nested_in_thread(self, request: bytes, context: Any) -> bytes:
        with budget(0.0):
            checkpoint()
        return request

    async def to_thread(self, request: bytes, context: Any) -> bytes:
        await asyncio.to_thread(self.released.wait, 20)
        return request

    def in_thread(self, request: bytes, context: Any) -> bytes:
        self.left.append(remaining())
        while request == b"wait":
            checkpoint()
        return request

    def stream_in_thread(self, request: bytes, context: Any) -> Iterator[bytes]:
        yield b"first"
        yield self.in_thread(request, context)

    def handlers(self) -> grpc.GenericRpcHandler:
        made = {kind: getattr(grpc, f"{kind}_rpc_method_handler")(getattr(self, kind)) for kind in KINDS}
        made["written"] = grpc.unary_stream_rpc_method_handler(self.written)
        made["flood"] = grpc.unary_stream_rpc_method_handler(self.flood)
        for method in ("nested", "nested_in_thread", "to_thread"):
            made[method] = grpc.unary_unary_rpc_method_handler(getattr(self, method))
        made["in_thread"] = grpc.unary_unary_rpc_method_handler(self.in_thread)
        made["stream_in_thread"] = grpc.unary_stream_rpc_method_handler(self.stream_in_thread)
        return grpc.method_handlers_generic_handler(SERVICE, made)


@asynccontextmanager
async def listening(payments: Payments, server: Sequence[grpc.aio.ServerInterceptor] = ()) -> AsyncIterator[str]:
    """A server of `payments` on loopback; gives its target."""
    made = grpc.aio.server(interceptors=server)
    made.add_generic_rpc_handlers((payments.handlers(),))
    port = made.add_insecure_port("127.0.0.1:0")
    await made.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await made.stop(None)


@asynccontextmanager
async def channel(
    payments: Payments,
    *,
    client: Sequence[grpc.aio.ClientInterceptor] = (),
    server: Sequence[grpc.aio.ServerInterceptor] = (),
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server of `payments` on loopback."""
    async with listening(payments, server) as target, grpc.aio.insecure_channel(target, interceptors=client) as calling:
        yield calling


async def call(calling: grpc.aio.Channel, method: str, request: bytes = b"pay", **options: Any) -> bytes:
    """The last answer of `method`, called in the way of its kind."""
    kind = method if method in KINDS else "unary_unary" if method in UNARY else "unary_stream"
    method_of: Any = getattr(calling, kind)(f"/{SERVICE}/{method}")
    given: Any = _one(request) if kind.startswith("stream") else request
    made = method_of(given, **options)
    if kind.endswith("unary"):
        return bytes(await made)
    return bytes([answer async for answer in made][-1])


async def _one(request: bytes) -> AsyncIterator[bytes]:
    yield request

"""What of `behaving` gRPC has, on grpc.aio: ``python -m tests.services.behaving_rpc PORT PORT_OF_FIGURES``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from prometheus_client import start_http_server

from tests.services.behaving import DEFAULT, SLOW, forever
from tracedtimeout import remaining
from tracedtimeout.integrations.grpc import DeadlineServerInterceptor

SERVICE = "behaving"


def told() -> bytes:
    return f"{remaining():.3f}".encode()


async def slow(request: bytes, context: Any) -> bytes:
    seconds = told()
    await asyncio.sleep(SLOW)
    return seconds


async def stuck(request: bytes, context: Any) -> bytes:
    await forever()
    return b""


async def read(requests: AsyncIterator[bytes], context: Any) -> bytes:
    async for _ in requests:
        await asyncio.sleep(0)
    return told()


async def half(requests: AsyncIterator[bytes], context: Any) -> bytes:
    async for _ in requests:
        break
    return told()


async def unread(requests: AsyncIterator[bytes], context: Any) -> bytes:
    return told()


async def late(requests: AsyncIterator[bytes], context: Any) -> bytes:
    return await stuck(b"", context)


async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
    yield b"first"
    await forever()


async def main(port: str, figures: str) -> None:
    unary, streamed = grpc.unary_unary_rpc_method_handler, grpc.stream_unary_rpc_method_handler
    handlers: dict[str, Any] = {
        "slow": unary(slow),
        "late": unary(stuck),
        "disconnected": unary(stuck),
        "read": streamed(read),
        "half_read": streamed(half),
        "unread": streamed(unread),
        "late_upload": streamed(late),
        "stalled": streamed(late),
        "aborted": grpc.unary_stream_rpc_method_handler(stream),
    }
    server = grpc.aio.server(interceptors=[DeadlineServerInterceptor(default=DEFAULT)])
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    start_http_server(int(figures), "127.0.0.1")
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

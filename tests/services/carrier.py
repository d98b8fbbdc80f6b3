"""A hop with nothing of ours in it: OpenTelemetry's own instrumentation carries the deadline through.

Its environment says ``OTEL_PROPAGATORS=tracecontext,baggage,deadline``.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import grpc
import grpc.aio
import httpx
import uvicorn
from opentelemetry.instrumentation import grpc as untyped
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

INSTRUMENTATION: Any = untyped


def http(onward: str) -> Any:
    HTTPXClientInstrumentor().instrument()
    client = httpx.AsyncClient(timeout=60.0)

    async def work(request: Request) -> Response:
        answer = await client.get(f"{onward}/work")
        return Response(answer.content, answer.status_code)

    return OpenTelemetryMiddleware(Starlette(routes=[Route("/work", work)]))


async def serve_grpc(listening: str, onward: str) -> None:
    channel = grpc.aio.insecure_channel(onward, interceptors=INSTRUMENTATION.aio_client_interceptors())

    async def work(request: bytes, context: Any) -> bytes:
        pass_on: Any = channel.unary_unary("/chain.Hop/Work")
        return bytes(await pass_on(request))

    server = grpc.aio.server(interceptors=[INSTRUMENTATION.aio_server_interceptor()])
    handlers: dict[str, Any] = {"Work": grpc.unary_unary_rpc_method_handler(work)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("chain.Hop", handlers),))
    server.add_insecure_port(listening)
    await server.start()
    await server.wait_for_termination()


def main(carrier: str, listening: str, onward: str) -> None:
    if carrier == "grpc":
        asyncio.run(serve_grpc(listening, onward))
        return
    server = uvicorn.Server(uvicorn.Config(http(onward), log_level="warning", timeout_graceful_shutdown=1))
    server.run(sockets=[socket.socket(fileno=int(listening))])


if __name__ == "__main__":
    main(*sys.argv[1:])

"""One hop of a chain of processes, over HTTP or gRPC: it passes a request on, or as the last one never answers.

Each tells, when asked, how its timeouts ended, on the machine's common clock, and what it counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import grpc
import grpc.aio
import httpx
import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tracedtimeout import Outcome, View, install
from tracedtimeout.integrations.asgi import DeadlineMiddleware, exempt
from tracedtimeout.integrations.grpc import DeadlineServerInterceptor, client_interceptors
from tracedtimeout.integrations.httpx import AsyncDeadlineTransport

FOREVER = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A timeout of a request, as it was left; instants are those of `time.monotonic`."""

    name: str
    outcome: str
    owner: str
    begun: float
    deadline: float
    at: float


class Report:
    """An observer that keeps how timeouts with a deadline ended that did not run to their end."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._ended: list[Ended] = []
        install(registry=self.registry, spans="off", observers=(self,))

    def __call__(self, opened: View) -> Callable[[View], None] | None:
        begun, deadline = time.monotonic(), opened.deadline()

        def close(closed: View) -> None:
            if deadline is not None and closed.outcome is not Outcome.COMPLETED:
                end = Ended(closed.name, str(closed.outcome), closed.owner, begun, deadline, time.monotonic())
                self._ended.append(end)

        return close

    def take(self) -> dict[str, Any]:
        """What ended since it was last asked, and the interruptions that were counted."""
        ended, self._ended = self._ended, []
        lines = generate_latest(self.registry).decode().splitlines()
        counted = [line for line in lines if line.startswith("tracedtimeout_interruptions_total{")]
        return {"ended": [asdict(each) for each in ended], "interruptions": counted}


def http(report: Report, onward: str) -> Starlette:
    client = httpx.AsyncClient(transport=AsyncDeadlineTransport(), timeout=FOREVER)

    async def work(request: Request) -> Response:
        if onward:
            await client.get(f"{onward}/work")
        await asyncio.sleep(FOREVER)  # whatever came back: it is to be ended by its deadline
        return PlainTextResponse("not ended")

    @exempt
    async def told(request: Request) -> Response:
        return JSONResponse(report.take())

    app = Starlette(routes=[Route("/work", work), Route("/report", told)])
    app.add_middleware(DeadlineMiddleware)
    return app


async def serve_grpc(report: Report, listening: str, onward: str) -> None:
    channel = grpc.aio.insecure_channel(onward, interceptors=client_interceptors()) if onward else None

    async def work(request: bytes, context: Any) -> bytes:
        if channel is not None:
            pass_on: Any = channel.unary_unary("/chain.Hop/Work")
            with contextlib.suppress(grpc.aio.AioRpcError):
                await pass_on(b"")
        await asyncio.sleep(FOREVER)
        return b"not ended"

    async def told(request: bytes, context: Any) -> bytes:
        return json.dumps(report.take()).encode()

    server = grpc.aio.server(interceptors=[DeadlineServerInterceptor()])
    handlers: dict[str, Any] = {
        "Work": grpc.unary_unary_rpc_method_handler(work),
        "Report": grpc.unary_unary_rpc_method_handler(told),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("chain.Hop", handlers),))
    server.add_insecure_port(listening)
    await server.start()
    await server.wait_for_termination()


def main(carrier: str, listening: str, onward: str = "") -> None:
    report = Report()
    if carrier == "grpc":
        asyncio.run(serve_grpc(report, listening, onward))
        return
    server = uvicorn.Server(uvicorn.Config(http(report, onward), log_level="warning", timeout_graceful_shutdown=1))
    server.run(sockets=[socket.socket(fileno=int(listening))])


if __name__ == "__main__":
    main(*sys.argv[1:])

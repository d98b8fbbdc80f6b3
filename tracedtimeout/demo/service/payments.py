"""The payments service, a process of its own: asks the bank over its slow line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tracedtimeout import DeadlineExceeded, timeout, wait_for, with_timeout

from . import problems
from .bank import bank


@with_timeout(5.0, name="authorize")
async def authorize(request: Request) -> Response:
    """Ask the bank for the money."""
    return await _ask(request, "charge")


@with_timeout(5.0, name="pay-back")
async def pay_back(request: Request) -> Response:
    """Ask the bank to return it."""
    return await _ask(request, "refund")


async def statement(request: Request) -> Response:
    """The bank's statement, passed on line by line as it trickles in."""
    return StreamingResponse(_lines(request), media_type="text/plain")


async def _ask(request: Request, verb: str) -> Response:
    async with line_to_bank(request.app.state.bank) as (reader, writer):
        writer.write(f"{verb} {request.query_params['card']}\n".encode())
        try:
            async with timeout(3.0, name="bank"):
                answer = (await reader.readline()).decode().strip()
        except DeadlineExceeded as exceeded:
            return problems.response(502, str(exceeded))
    return JSONResponse({"bank": answer}, status_code=402 if answer.endswith("declined") else 200)


async def _lines(request: Request) -> AsyncIterator[str]:
    async with line_to_bank(request.app.state.bank) as (reader, writer):
        writer.write(f"statement {request.query_params['card']}\n".encode())
        for _ in range(28):
            yield (await wait_for(reader.readline(), 2.0, name="bank.line")).decode()


@asynccontextmanager
async def line_to_bank(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the bank, hung up in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


ROUTES = [
    Route("/authorize", authorize, methods=["POST"]),
    Route("/pay-back", pay_back, methods=["POST"]),
    Route("/statement", statement),
]


def application(pace: Callable[[float], float] = float) -> Starlette:
    """The payments service, with a bank of its own: its line at the pace that `pace` makes of its good one."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with bank(pace) as app.state.bank:
            yield

    return Starlette(routes=ROUTES, exception_handlers=problems.HANDLERS, lifespan=lifespan)

"""The shop: handlers that each have a limit, and nested timeouts around what they wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tracedtimeout import DeadlineExceeded, timeout, wait_for, with_timeout

from . import database, problems
from .gateway import Gateway, gateway


@with_timeout(0.5, name="products")
async def products(request: Request) -> Response:
    """A page of products: two small queries at once, each in a task of its own."""
    page = int(request.query_params.get("page", "0"))
    listed, total = await asyncio.gather(
        _query(request, "SELECT id, name, price, stock FROM products LIMIT 3 OFFSET ?", 3 * page),
        _query(request, "SELECT count(*) FROM products"),
    )
    return JSONResponse({"products": listed, "of": total[0][0]})


@with_timeout(0.3, name="search")
async def search(request: Request) -> Response:
    """Products by name: quick; those like them: a query far too large."""
    sql = database.SIMILAR if "similar" in request.query_params else database.SEARCH
    async with timeout(1.0, name="db.search"):
        found = await request.app.state.database.fetch(sql, f"%{request.query_params['q']}%")
    return JSONResponse({"products": found})


@with_timeout(1.0, name="checkout", at_least=0.25)
async def checkout(request: Request) -> Response:
    """Take a product out of stock, then the money out of the card."""
    order = await _reserve(request, int(request.query_params.get("product", "1")))
    async with timeout(2.0, name="charge", at_least=0.1):
        await _payments(request).charge(request.query_params["card"])
    return JSONResponse({"order": order})


@with_timeout(2.0, name="stocktake")
async def stocktake(request: Request) -> Response:
    """Count the stock, and keep everybody else from changing it meanwhile."""
    async with request.app.state.database.transaction() as connection:
        rounds = await database.count_stock(connection, seconds=0.8)
    return JSONResponse({"counted": rounds})


@with_timeout(0.4, name="refund")
async def refund(request: Request) -> Response:
    """Give the money back; cut off half-way, say so instead of `DeadlineExceeded`: outcome ``replaced``."""
    try:
        await _payments(request).refund(request.query_params["card"])
    except asyncio.CancelledError:
        raise problems.RefundUnknownError("the bank did not say in time whether it paid back") from None
    return JSONResponse({"refunded": True})


@with_timeout(0.3, name="recommend")
async def recommend(request: Request) -> Response:
    """Products that others bought; cut off, last night's list, as if nothing had happened: outcome ``suppressed``."""
    try:
        found = await request.app.state.database.fetch(database.SIMILAR, f"%{request.query_params['for']}%")
    except asyncio.CancelledError:
        return JSONResponse({"products": ["lamp", "kettle"], "of": "last night"}, status_code=203)
    return JSONResponse({"products": found})


@with_timeout(0.1, name="invoice")
async def invoice(request: Request) -> Response:
    """An invoice typeset on the event loop, which nothing can interrupt meanwhile: outcome ``late``."""
    end = time.monotonic() + float(request.query_params.get("pages", "3")) * 0.05
    lines = 0
    while time.monotonic() < end:
        lines += len(f"{lines:>80}".strip()) > 0
    return JSONResponse({"lines": lines})


@with_timeout(5.0, name="statement")
async def statement(request: Request) -> Response:
    """The bank's statement. Its limit is more than the shop gives any request: outcome ``inherited``."""
    lines = []
    async with _payments(request).statement(request.query_params["card"]) as arriving:
        while line := await wait_for(anext(arriving, ""), 2.0, name="statement.line"):
            lines.append(line)
    return JSONResponse({"statement": lines})


async def _query(request: Request, sql: str, *values: object) -> list[tuple[object, ...]]:
    return await wait_for(request.app.state.database.fetch(sql, *values), 0.3, name="db.query")


async def _reserve(request: Request, product: int) -> int:
    try:
        async with timeout(0.4, name="db.reserve"), request.app.state.database.transaction() as connection:
            return await database.take(connection, product)
    except DeadlineExceeded as exceeded:
        raise problems.StockLockedError(str(exceeded)) from exceeded


def _payments(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.payments
    return gateway


ROUTES = [
    Route("/products", products),
    Route("/search", search),
    Route("/checkout", checkout, methods=["POST"]),
    Route("/stocktake", stocktake, methods=["POST"]),
    Route("/refund", refund, methods=["POST"]),
    Route("/recommend", recommend),
    Route("/invoice", invoice),
    Route("/statement", statement),
]


def application(path: str, payments: str) -> Starlette:
    """The shop over the database in `path` and the payments service at a URL."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with database.database(Path(path)) as app.state.database, gateway(payments) as app.state.payments:
            yield

    return Starlette(routes=ROUTES, exception_handlers=problems.HANDLERS, lifespan=lifespan)

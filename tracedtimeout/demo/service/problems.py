"""Errors of a handler as truthful HTTP (RFC 9457)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tracedtimeout import DeadlineExceeded


class CardDeclinedError(Exception):
    """The bank says no."""


class StockLockedError(Exception):
    """Somebody holds the stock for longer than we wait."""


class RefundUnknownError(Exception):
    """The bank was asked, and did not say in time whether it did it."""


Handler = Callable[[Request, Exception], Awaitable[Response]]

STATUS: dict[type[Exception], int] = {
    CardDeclinedError: 402,
    StockLockedError: 409,
    RefundUnknownError: 500,
    httpx.HTTPError: 502,
}


def response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A problem; `detail` is for the demo's readers (elsewhere, messages of our internals belong in the log)."""
    body = {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


async def of_error(request: Request, error: Exception) -> Response:
    """The answer to an error that has a status of its own."""
    status = next(status for kind, status in STATUS.items() if isinstance(error, kind))
    return response(status, str(error) or repr(error))


async def of_deadline(request: Request, error: Exception) -> Response:
    """503 if the handler was refused for want of time, 504 if its time ran out, 502 if that of something in it did."""
    assert isinstance(error, DeadlineExceeded)
    if error.name != request.scope["path"].strip("/"):
        return response(502, str(error))
    if error.rejected:
        return response(503, str(error), {"retry-after": "1"})
    return response(504, str(error))


HANDLERS: dict[Any, Handler] = {
    DeadlineExceeded: of_deadline,
    **dict.fromkeys(STATUS, of_error),
}

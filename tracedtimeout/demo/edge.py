"""The door of a service: one timeout around each request, ended early when nobody waits for the answer any more."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tracedtimeout import DeadlineExceeded, timeout

from . import problems

BUDGET = "deadline-budget"
"""The header with the milliseconds that a client will wait."""

EXPIRED = {"deadline-expired": "1"}
"""Tells a 504 of the door from one of the handler."""


class Edge:
    """Bounds every request by `limit` seconds, or by less if its client says so."""

    def __init__(self, app: ASGIApp, *, limit: float) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            limit = min(self._limit, _seconds(Headers(scope=scope).get(BUDGET)))
            await _Request(self._app, scope, receive, send).answer(limit)
        else:
            await self._app(scope, receive, send)


class _Request:
    """One request on its way through the door."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self._begun = False
        self._gone = False

    async def answer(self, limit: float) -> None:
        """Answer it, unless the client hangs up first. A POST is answered all the same: it may be half done."""
        task = asyncio.current_task()
        assert task is not None
        listening = asyncio.create_task(self._listen(task)) if self._scope["method"] == "GET" else None
        try:
            await self._bounded(limit)
        except asyncio.CancelledError:
            if not self._gone or task.uncancel():
                raise
        finally:
            if listening is not None:
                listening.cancel()

    async def _bounded(self, limit: float) -> None:
        try:
            async with timeout(limit, name="edge"):
                await self._app(self._scope, self._receive, self._answered)
        except DeadlineExceeded as exceeded:
            if self._begun:
                raise  # the server aborts the answer
            await problems.response(504, str(exceeded), EXPIRED)(self._scope, self._receive, self._send)

    async def _listen(self, task: asyncio.Task[object]) -> None:
        """Cancel `task` when the client hangs up."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        task.cancel()

    async def _answered(self, message: Message) -> None:
        self._begun = True
        await self._send(message)


def _seconds(milliseconds: str | None) -> float:
    """The budget in a header; no end of it where there is none, or none that can be read."""
    with suppress(ValueError):
        return int((milliseconds or "").partition(";")[0]) / 1000
    return math.inf

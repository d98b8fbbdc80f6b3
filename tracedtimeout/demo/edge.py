"""The door of a service: one timeout around each request, ended early when nobody waits for the answer any more."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from opentelemetry import context, propagate
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tracedtimeout import DeadlineExceeded, Outcome, timeout

from . import problems
from .visits import Visit, Watch

BUDGET = "deadline-budget"
"""The header with the milliseconds that a client will wait."""

EXPIRED = (b"deadline-expired", b"1")
"""Tells a 504 of the door from one of the handler."""

MISSED = (b"deadline-missed", b"1")
"""On an answer that is complete, and came after its handler's deadline."""


class Edge:
    """Bounds every request by `limit` seconds, or by less if its client says so."""

    def __init__(self, app: ASGIApp, *, limit: float, watch: Watch) -> None:
        self._app = app
        self._limit = limit
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        token = context.attach(propagate.extract(headers))
        try:
            with self._watch.visit(headers.get("user-agent", "")) as visit:
                limit = min(self._limit, _seconds(headers.get(BUDGET)))
                await _Request(self._app, scope, receive, send, visit).answer(limit)
        finally:
            context.detach(token)


class _Request:
    """One request on its way through the door."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, visit: Visit) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self._visit = visit
        self._begun = False
        self._gone = False

    async def answer(self, limit: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        # A POST is not cut off when its client goes: what it does to the world may be half done.
        waiting = [asyncio.create_task(self._wait_for_hangup(task))] if self._scope["method"] == "GET" else []
        try:
            await self._bounded(limit)
        except asyncio.CancelledError:
            if not self._gone or task.uncancel():
                raise
        finally:
            for each in waiting:
                each.cancel()

    async def _bounded(self, limit: float) -> None:
        try:
            async with timeout(limit, name="edge"):
                await self._app(self._scope, self._receive, self._answered)
        except DeadlineExceeded as exceeded:
            if self._begun:
                raise  # the server aborts the answer
            response = problems.response(504, str(exceeded), dict([EXPIRED]))
            await response(self._scope, self._receive, self._send)

    async def _wait_for_hangup(self, task: asyncio.Task[object]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        task.cancel()

    async def _answered(self, message: Message) -> None:
        self._begun = True
        if message["type"] == "http.response.start" and self._visit.outcome is Outcome.LATE:
            message["headers"] = [*message["headers"], MISSED]
        await self._send(message)


def _seconds(milliseconds: str | None) -> float:
    """The budget in a header; no end of it where there is none, or none that can be read."""
    with suppress(ValueError):
        return int((milliseconds or "").partition(";")[0]) / 1000
    return float("inf")

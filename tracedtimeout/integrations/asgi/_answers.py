"""The answers to a client whose request is ended: a 504 or a cut connection, and nothing of our internals."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeGuard

from tracedtimeout import DeadlineExceeded
from tracedtimeout._shared.asgi import Message, Receive, Scope, Send
from tracedtimeout.integrations._opened import too_little
from tracedtimeout.integrations._patience import lose
from tracedtimeout.integrations._problem import PROBLEM, PROBLEM_HEADERS

_PATIENCE = 1.0
"""Seconds that a server has to take a 504: hypercorn waits with it until an upload is read, which nobody will do."""
_INTERNAL_ERROR = 1011
"""WebSocket's close code (RFC 6455, 7.4.1); it has none for a timeout."""
_TIMEOUT = 3008
"""IANA's registry of close codes has one: for servers that keep the codes under 3000 for themselves."""
_ERROR = 500
_CLOSE = (b"connection", b"close")


def _found_passed(exc: BaseException | None) -> TypeGuard[BaseException]:
    """True if `exc` tells that code found a request's deadline passed."""
    if isinstance(exc, BaseExceptionGroup):
        return all(_found_passed(each) for each in exc.exceptions)
    token = getattr(exc, "deadline_token", None) if isinstance(exc, DeadlineExceeded) else None
    link = None if token is None else token[0]()
    return link is not None and (getattr(link, "kind", None) == "request" or link.name == "_remote")


class Response:
    """An HTTP response: once it has started, all that can be done is to cut it off, which is what servers do when the
    application raises."""

    __slots__ = ("_last", "_name", "_send", "scope")

    _reads_with: Receive | None = None
    """The function that reads the request's body, where there may be one."""
    _read = False
    """The body of the request has been read to its end."""

    def __init__(self, send: Send, scope: Scope, name: str) -> None:
        self._send = send
        self._name = name
        """The request's."""
        self.scope = scope
        self._last: Message | None = None
        """The last message from the start on; None before."""

    def send(self, message: Message) -> Awaitable[None]:
        """Pass on a message of the application."""
        if self._last is not None:
            self._last = message
        elif message["type"] == "http.response.start":
            if message.get("status") == _ERROR and self._is_ours(exc := sys.exception()):
                raise exc
            self._last = message
        return self._send(message)

    @property
    def started(self) -> bool:
        """True once the application has begun its response."""
        return self._last is not None

    async def expire(self) -> bool:
        """Answer 504 if the response has not started.

        False if the server does not take it, or if the client has a part of a response and waits for the rest.

        The server has to cut the connection then. It must not where the response is complete: uvicorn would cut the
        next request on the connection.
        """
        if self.started:
            return self.complete
        if not self.refused:
            return await self._refuse()
        return True

    def expire_late(self, task: asyncio.Task[Any]) -> asyncio.Task[bool] | None:
        """Answer 504 in place of the application that runs on in `task`.

        Returns the task that answers; None if the response has started, or the 504 was sent before.
        """
        if self.started or self.refused:
            return None
        own = getattr(task, "get_context", None)  # from 3.12 on: what wraps `send` finds its spans there
        return task.get_loop().create_task(self._refuse(overdue=True), context=None if own is None else own().copy())

    @property
    def refused(self) -> bool:
        """True once the client has its 504, or is getting it: the application comes too late."""
        return self._send is _drop

    @property
    def complete(self) -> bool:
        """True once the client has its whole response, of the application or of us, or the rest is on its way."""
        last = self._last
        if last is None or self.refused:
            return self.refused
        rest = {"http.response.body": "more_body", "http.response.trailers": "more_trailers"}
        # The extension for files sends all of the body at once.
        return last["type"] == "http.response.pathsend" or not last.get(rest.get(last["type"], "type"), False)

    def _is_ours(self, exc: BaseException | None) -> TypeGuard[BaseException]:
        """True if `exc`, which the application is about to answer for as for any error, tells of a request's deadline.

        Then its answer is ours: frameworks send their 500 before they let an error out.
        """
        return _found_passed(exc) or (exc is not None and too_little(exc, self._name))

    def _refuse(self, *, overdue: bool = False) -> Coroutine[Any, Any, bool]:
        send, self._send = self._send, _drop
        headers = list(PROBLEM_HEADERS)
        if not self._read and _brings_a_body(self.scope):
            headers.append(_CLOSE)  # else the server has to read the rest before the next request
        sending = _refuse(send, self.scope, headers)
        if self._read or overdue or self._reads_with is None:
            return _taken(sending)
        return _taken(_while_reading(self._reads_with, sending))


class ResponseToBody(Response):
    """The response to a request that may have a body: notes when the application has read all of that."""

    __slots__ = ("_read", "_reads_with")

    def __init__(self, send: Send, scope: Scope, name: str, receive: Receive) -> None:
        super().__init__(send, scope, name)
        self._reads_with = receive
        self._read = False

    async def receive(self) -> Message:
        """The next message for the application."""
        assert self._reads_with is not None
        message = await self._reads_with()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._read = True
        return message


async def _taken(sending: Awaitable[None]) -> bool:
    """True if the server takes what is sent; one that waits for a reader is left after `_PATIENCE`."""
    patience = asyncio.timeout(_PATIENCE)
    try:
        async with patience:
            await sending
    except TimeoutError:
        if not patience.expired():
            raise
        return False
    except asyncio.CancelledError:
        raise
    except BaseException:
        lose(patience)
        raise
    return True


def _brings_a_body(scope: Scope) -> bool:
    """True if a body follows the request on its connection. A stream of HTTP/2 has an end of its own."""
    if not str(scope.get("http_version", "")).startswith("1"):
        return False
    return any(
        line[0] == b"transfer-encoding" or (line[0] == b"content-length" and line[1] != b"0")
        for line in scope["headers"]
    )


async def _while_reading(receive: Receive, sending: Awaitable[None]) -> None:
    """Send a 504, and drop what its client still sends meanwhile: hypercorn waits for the application to read that."""
    reading = asyncio.create_task(_read_all(receive), context=Context())
    try:
        await sending
    finally:
        reading.cancel()


async def _read_all(receive: Receive) -> None:
    with suppress(Exception):  # a server may have nothing more to say, in any way
        while (await receive()).get("more_body", False):
            await asyncio.sleep(0)


async def _refuse(send: Send, scope: Scope, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": 504, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else PROBLEM
    await send({"type": "http.response.body", "body": body, "more_body": False})


class Socket:
    """A WebSocket: refused before it is accepted, closed after."""

    __slots__ = ("_denies", "_send", "accepted", "complete", "refused")

    def __init__(self, send: Send, scope: Scope) -> None:
        self._send = send
        self._denies = "websocket.http.response" in (scope.get("extensions") or {})
        self.accepted = False
        self.complete = False
        self.refused = False

    def send(self, message: Message) -> Awaitable[None]:
        """Pass on a message of the application."""
        if self.refused:
            return _drop(message)
        kind = message["type"]
        if kind == "websocket.accept":
            self.accepted = True
        elif kind in ("websocket.close", "websocket.http.response.start"):
            self.complete = True
        return self._send(message)

    async def expire(self) -> bool:
        """Close the WebSocket, or refuse its handshake.

        False if it was closed before, or if the server does not take that, since its client does not read: the server
        has to cut the connection.
        """
        if self.complete:
            return False
        self.refused = self.complete = True
        return await _taken(self._close() if self.accepted or not self._denies else self._deny())

    async def _deny(self) -> None:
        start = {"type": "websocket.http.response.start", "status": 504, "headers": list(PROBLEM_HEADERS)}
        await self._send(start)
        await self._send({"type": "websocket.http.response.body", "body": PROBLEM, "more_body": False})

    async def _close(self) -> None:
        close = {"type": "websocket.close", "code": _INTERNAL_ERROR, "reason": "The deadline has passed."}
        try:
            await self._send(close)
        except Exception:  # daphne takes none but 1000 and those from 3000 on
            await self._send({**close, "code": _TIMEOUT})


async def _drop(message: Message) -> None:
    """Drop a message that comes too late."""

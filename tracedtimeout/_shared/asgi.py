"""ASGI: its types, and the answers that all applications of ours give alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

METHODS = b"GET, HEAD, OPTIONS"


async def serve(scope: Scope, receive: Receive, send: Send, get: Application, what: str) -> None:
    """Have `get` answer GET and HEAD, live as long as the server does, and turn away all else in the name of `what`.

    Raises:
        NotImplementedError: the scope is of a type that is not known here: servers take that for a "no".
    """
    if scope["type"] == "lifespan":
        await _live(receive, send)
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": f"{what} is served over HTTP"})
    elif scope["type"] != "http":
        raise NotImplementedError(f"{what} does not speak {scope['type']!r}")
    elif scope["method"] in ("GET", "HEAD"):
        await get(scope, receive, send)
    else:
        await reply(scope, send, 200 if scope["method"] == "OPTIONS" else 405, [(b"allow", METHODS)], b"")


async def reply(scope: Scope, send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send one whole response; to HEAD without its body."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def _live(receive: Receive, send: Send) -> None:
    """Agree to all that a server says of its life, until it ends."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return

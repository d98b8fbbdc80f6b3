"""ASGI: its types, and what every application of ours answers beside HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def answer_but_http(scope: Scope, receive: Receive, send: Send, what: str) -> None:
    """Live as long as the server does, and turn away all that is not HTTP, in the name of `what`.

    Raises:
        NotImplementedError: the scope is of a type that is not known here: servers take that for a "no".
    """
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] != "websocket":
        raise NotImplementedError(f"{what} does not speak {scope['type']!r}")
    await receive()
    await send({"type": "websocket.close", "code": 1008, "reason": f"{what} is served over HTTP"})

"""A provider of language models on loopback: the two SDKs' endpoints, and what it was told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

TOLD = ("deadline-budget", "grpc-timeout", "x-stainless-timeout", "x-stainless-read-timeout", "x-stainless-retry-count")


@dataclass
class Provider:
    """Answers at once; a model called ``slow`` takes 2 s, and in a stream 2 s for the second piece."""

    told: list[dict[str, str]] = field(default_factory=list)
    """Of each request, the headers that say how long its sender waits."""

    async def complete(self, request: Request) -> Response:
        self.told.append({name: value for name, value in request.headers.items() if name in TOLD})
        asked = await request.json()
        seconds = 2.0 if asked["model"] == "slow" else 0.0
        if asked.get("stream"):
            return StreamingResponse(self._pieces(seconds), media_type="text/event-stream")
        await asyncio.sleep(seconds)
        return JSONResponse(_ANSWER)

    async def _pieces(self, seconds: float) -> AsyncIterator[str]:
        for number in range(2):
            yield f"data: {json.dumps({**_ANSWER, 'object': 'chat.completion.chunk', 'created': number})}\n\n"
            await asyncio.sleep(seconds)
        yield "data: [DONE]\n\n"

    def app(self) -> Starlette:
        paths = ("/chat/completions", "/v1/messages")
        return Starlette(routes=[Route(path, self.complete, methods=["POST"]) for path in paths])


_ANSWER: dict[str, Any] = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [],
    "type": "message",
    "role": "assistant",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
"""What either SDK takes for an answer of its own provider."""

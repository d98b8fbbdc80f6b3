"""An expired request says where its endpoint waits, whatever a framework puts in between; and raised answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import aiohttp
import fastapi
import httpx
import litestar.exceptions
import pytest
from aiohttp import web
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.middleware.base import BaseHTTPMiddleware

from tracedtimeout import View, install, timeout, with_timeout
from tracedtimeout._core.figures import _process
from tracedtimeout._core.figures._metrics import DURATION
from tracedtimeout.integrations._answered import is_answer
from tracedtimeout.integrations.asgi import DeadlineMiddleware
from tracedtimeout.live import live_app
from tracedtimeout.prometheus import metrics_app

pytestmark = pytest.mark.slow  # frameworks in threads and anyio's groups, so the real clock

app = fastapi.FastAPI()
goes_on = threading.Event()


async def load() -> None:
    async with timeout(60.0):
        await asyncio.Event().wait()


@app.get("/deep")
async def deep() -> None:
    await load()


@app.get("/group")
async def group() -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(load())


@app.get("/thread")
def thread() -> None:
    goes_on.wait(0.3)


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        await load()
        yield b""

    return StreamingResponse(chunks())


async def dependency() -> None:
    await load()


@app.get("/dependency")
async def dependent(_: Annotated[None, fastapi.Depends(dependency)]) -> None: ...


class Pass(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
        return await call_next(request)


WAITING = {"/deep": "load", "/group": "load", "/thread": "thread", "/stream": "load", "/dependency": "load"}


@pytest.mark.parametrize("around", [lambda inner: inner, Pass, lambda inner: Pass(Pass(inner))], ids=["", "1", "2"])
async def test_where_a_request_waits(around: Callable[[Any], Any]) -> None:
    """The endpoint's innermost frame: in tasks, groups, threads and streams, and behind BaseHTTPMiddleware."""
    seen: dict[str, str] = {}

    def opened(view: View) -> Callable[[View], None]:
        def closed(view: View) -> None:
            if view.kind == "request" and view.where is not None:
                seen[view.name.removeprefix("GET ")] = f"{view.where.module} {view.where.function}"

        return closed

    undo = install(spans="off", registry=None, observers=[opened])
    transport = httpx.ASGITransport(DeadlineMiddleware(around(app), default=0.1), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
        for path in WAITING:
            await http.get(path)
    undo()
    assert seen == {path: f"{__name__} {function}" for path, function in WAITING.items()}


class OpenAIError(Exception):
    """As openai and anthropic have them: a status by class, and the response."""

    status_code = 404
    response = object()


class TrapError(Exception):
    @property
    def status_code(self) -> int:
        raise RuntimeError


def test_what_is_an_answer() -> None:
    """Frameworks' own answers under 500; not a server's fault, nor what a client was answered."""
    answers = (HTTPException(404), litestar.exceptions.NotFoundException(), web.HTTPFound("/"))
    errors = (
        HTTPException(503),
        web.HTTPBadGateway(),
        OpenAIError(),
        aiohttp.ClientResponseError(None, (), status=404),  # type: ignore[arg-type]  # no request was made
        ValueError(),
    )
    assert [is_answer(each) for each in answers] == [True] * 3
    assert [is_answer(each) for each in errors] == [False] * 5


@pytest.mark.parametrize(("raised", "outcome"), [(HTTPException(404), "completed"), (HTTPException(502), "failed"),
                                                 (TrapError(), "failed")])  # fmt: skip
async def test_a_raised_answer_is_a_return(raised: Exception, outcome: str) -> None:
    """`with_timeout` counts it as completed, passes it on, and survives whatever an exception's attributes raise."""

    @with_timeout(9.0, name="endpoint")
    async def endpoint() -> None:
        raise raised

    with pytest.raises(type(raised)):
        await endpoint()
    counted = {outcome for (_, outcome), one in _process.snapshot()[DURATION].items() if sum(one.counts)}  # type: ignore[union-attr]
    assert counted == {outcome}


@pytest.mark.parametrize("path", ["/timeouts", "/timeouts/", "/timeouts/json", "/metrics", "/metrics/"])
async def test_our_own_pages_are_exempt(path: str) -> None:
    """`live_app` and `metrics_app`, mounted, have no deadline, and answer at the mount's own path, unredirected."""
    shop = fastapi.FastAPI()
    page = live_app()
    shop.mount("/timeouts", page)
    shop.mount("/metrics", metrics_app())
    shop.add_middleware(DeadlineMiddleware, default=0.0)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(shop), base_url="http://shop") as http:
        statuses = [(await http.get(path)).status_code for _ in range(2)]
    page.close()
    assert statuses == [200, 200]
    assert DURATION not in _process.snapshot()

"""Requests end at their deadlines inside and around Starlette, FastAPI and Litestar, and inside their usual company."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import fastapi
import litestar
import pytest
from litestar.types import Receive as LitestarReceive
from litestar.types import Scope as LitestarScope
from litestar.types import Send as LitestarSend
from opentelemetry import propagate
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Host, Match, Mount, Route, Router, WebSocketRoute

from tests.services.asgi_servers import SHORT, App, Recorder, Scope, client, figures, forever, outcomes, until
from tracedtimeout import remaining, timeout
from tracedtimeout._core import _context
from tracedtimeout._core.figures._metrics import HEADERS_IGNORED, INTERRUPTIONS, RECEIVED, THREADS_ABANDONED, TRANSIT
from tracedtimeout.integrations.asgi import DeadlineMiddleware, exempt
from tracedtimeout.integrations.asgi._routes import resolver_for
from tracedtimeout.propagation import DeadlinePropagator

pytestmark = pytest.mark.slow  # real sockets, so the real clock


# Three applications of the same routes


async def starlette_hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def starlette_stuck(request: Request) -> Response:
    await forever()
    return PlainTextResponse("never")


@exempt
async def starlette_stream(request: Request) -> Response:
    await asyncio.sleep(0.1)
    return PlainTextResponse("streamed")


def starlette_app(**options: Any) -> Starlette:
    routes = [
        Route("/hello", starlette_hello),
        Route("/stuck/{order:int}", starlette_stuck, methods=["GET", "POST"]),
        Route("/stream", starlette_stream),
        Mount("/shop", routes=[Route("/{item}/stuck", starlette_stuck)]),
    ]
    return Starlette(routes=routes, **options)


def fastapi_app(**options: Any) -> fastapi.FastAPI:
    app, shop = fastapi.FastAPI(**options), fastapi.APIRouter(prefix="/shop")
    app.get("/hello")(starlette_hello)
    app.api_route("/stuck/{order}", methods=["GET", "POST"])(starlette_stuck)
    app.get("/stream")(starlette_stream)
    shop.get("/{item}/stuck")(starlette_stuck)
    app.include_router(shop)
    return app


def litestar_app(**options: Any) -> litestar.Litestar:
    @litestar.get("/hello")
    async def hello() -> str:
        return "hello"

    @litestar.route("/stuck/{order:int}", http_method=["GET", "POST"], status_code=200)
    async def stuck() -> str:
        await forever()
        return "never"

    @litestar.get("/stream")
    @exempt
    async def stream() -> str:
        await asyncio.sleep(0.1)
        return "streamed"

    @litestar.get("/shop/{item:str}/stuck")
    async def shop() -> str:
        await forever()
        return "never"

    return litestar.Litestar([hello, stuck, stream, shop], openapi_config=None, **options)


def starlette_inside() -> Any:
    return starlette_app(middleware=[Middleware(DeadlineMiddleware, default=0.05)])


def fastapi_inside() -> Any:
    app = fastapi_app()
    app.add_middleware(DeadlineMiddleware, default=0.05)
    return app


def litestar_inside() -> Any:
    return litestar_app(middleware=[lambda app: DeadlineMiddleware(app, default=0.05)])


APPS: dict[str, Callable[[], Any]] = {
    "around starlette": lambda: DeadlineMiddleware(starlette_app(), default=0.05),
    "around fastapi": lambda: DeadlineMiddleware(fastapi_app(), default=0.05),
    "around litestar": lambda: DeadlineMiddleware(litestar_app(), default=0.05),
    "inside starlette": starlette_inside,
    "inside fastapi": fastapi_inside,
    "inside litestar": litestar_inside,
}


@pytest.mark.parametrize("app", APPS)
async def test_requests_by_route(app: str) -> None:
    """In and around each framework: 504 at the deadline, names from route templates, exempt routes left alone."""
    async with client(APPS[app](), lifespan=True) as http:
        asked = [("GET", "/hello"), ("POST", "/stuck/1"), ("GET", "/stuck/2"), ("GET", "/shop/pen/stuck")]
        asked += [("GET", "/stream"), ("GET", "/nothing/here"), ("PUT", "/stuck/1")]
        statuses = [(await http.request(method, path)).status_code for method, path in asked]
    assert statuses == [200, 504, 504, 504, 200, 404, 405]
    names = {name for name, _ in outcomes()}
    template = "/stuck/{order}"
    expected = {"GET /hello", f"POST {template}", f"GET {template}", "GET /shop/{item}/stuck"}
    if app != "inside litestar":  # it routes before its middlewares: they never see what has no route
        expected |= {"GET _unmatched", "PUT _unmatched"}
    assert names == expected


async def test_names_do_not_outlive_a_root_path() -> None:
    """A request is named by its own route, whatever the same path was beneath another root path."""
    app = DeadlineMiddleware(Starlette(routes=[Route("/a/{x}", starlette_hello), Route("/{x}", starlette_hello)]))
    for root_path in ("", "/a", ""):
        asked = {**scope("/a/b"), "root_path": root_path}
        await app(asked, None, _nowhere)  # type: ignore[arg-type]  # nothing is received
    assert outcomes() == {("GET /a/{x}", "completed"): 2, ("GET /{x}", "completed"): 1}


async def _nowhere(message: Any) -> None: ...


# Where in a framework the time goes


async def test_expiry_in_a_dependency() -> None:
    """A deadline that passes in a dependency is a 504, and the dependencies that were set up are torn down."""
    log: list[str] = []

    async def connection() -> AsyncIterator[str]:
        log.append("connected")
        try:
            yield "connection"
        finally:
            log.append("released")

    async def slow() -> None:
        await forever()

    app = fastapi.FastAPI()

    @app.get("/order", dependencies=[fastapi.Depends(connection), fastapi.Depends(slow)])
    async def order() -> None:
        pytest.fail("ran")

    async with client(DeadlineMiddleware(app, default=0.05)) as http:
        assert (await http.get("/order")).status_code == 504
    assert log == ["connected", "released"]
    assert outcomes() == {("GET /order", "expired"): 1}


async def test_expiry_in_a_background_task() -> None:
    """A background task is ended at the request's deadline; the peer has its answer."""

    async def order(request: Request) -> Response:
        return PlainTextResponse("ordered", background=BackgroundTask(forever))

    recorder = Recorder(DeadlineMiddleware(Starlette(routes=[Route("/order", order)])))
    async with client(recorder) as http:
        assert (await http.get("/order", headers=SHORT)).text == "ordered"
        await until(outcomes)
    assert (recorder.sent, recorder.raised) == (["start 200", "body"], [])
    assert outcomes() == {("GET /order", "inherited"): 1}


async def test_expiry_in_a_streaming_response() -> None:
    """A StreamingResponse is cut, and its generator closed."""
    closed = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await forever()
        finally:
            closed.set()

    async def stream(request: Request) -> Response:
        return StreamingResponse(chunks())

    recorder = Recorder(DeadlineMiddleware(Starlette(routes=[Route("/stream", stream)])))
    async with client(recorder) as http:
        with pytest.raises(Exception, match="incomplete chunked read"):
            await http.get("/stream", headers=SHORT)
        await closed.wait()
    assert (recorder.sent, recorder.raised) == (["start 200", "body"], ["DeadlineExceeded"])


@pytest.mark.parametrize("framework", ["starlette", "fastapi", "litestar"])
async def test_expiry_in_a_threadpool_endpoint(framework: str) -> None:
    """A plain function that runs in a thread goes on after its 504, and is counted until it ends."""
    release = threading.Event()

    def work() -> None:
        release.wait(20)

    app: Any
    if framework == "starlette":
        app = Starlette(routes=[Route("/work", lambda request: work())])
    elif framework == "fastapi":
        app = fastapi.FastAPI()
        app.get("/work")(work)
    else:
        app = litestar.Litestar([litestar.get("/work", sync_to_thread=True)(work)], openapi_config=None)
    async with client(DeadlineMiddleware(app)) as http:
        statuses = [(await http.get("/work", headers={"deadline-budget": "300"})).status_code for _ in range(2)]
        assert (statuses, figures(THREADS_ABANDONED)) == ([504, 504], {("GET /work",): 2})
        release.set()
        await until(lambda: figures(THREADS_ABANDONED) == {})
    assert figures(INTERRUPTIONS) == {("GET /work", "_remote"): 2}


async def test_an_exception_handler_for_timeouts_is_not_asked() -> None:
    """A handler that the application has for its own TimeoutErrors sees those, and none of ours."""
    seen: list[str] = []

    async def handler(request: Request, exc: Exception) -> Response:
        seen.append(str(exc))
        return PlainTextResponse("sorry", status_code=418)

    async def raises(request: Request) -> Response:
        raise TimeoutError("its own")

    routes = [Route("/raises", raises), Route("/stuck", starlette_stuck)]
    app = DeadlineMiddleware(Starlette(routes=routes, exception_handlers={TimeoutError: handler}))
    async with client(app) as http:
        statuses = [(await http.get(path, headers=SHORT)).status_code for path in ("/raises", "/stuck")]
    assert (statuses, seen) == ([418, 504], ["its own"])


async def test_a_shielded_request_is_answered_all_the_same() -> None:
    """Where a middleware shields a threaded endpoint from the cancellation, the peer need not wait for it."""
    release = threading.Event()

    def work() -> None:
        release.wait(20)

    async def dispatch(request: Request, call_next: Callable[[Request], Any]) -> Any:
        return await call_next(request)

    app = fastapi.FastAPI()
    app.get("/work")(work)
    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    recorder = Recorder(DeadlineMiddleware(app))
    async with client(recorder) as http:
        assert (await http.get("/work", headers=SHORT)).status_code == 504
        assert (figures(THREADS_ABANDONED), outcomes()) == ({("GET /work",): 1}, {})
        release.set()
        await until(outcomes)
    assert (recorder.sent, recorder.raised) == (["start 504", "body"], [])
    assert (figures(THREADS_ABANDONED), outcomes()) == ({}, {("GET /work", "inherited"): 1})


# Company


async def test_opentelemetry_counts_the_504() -> None:
    """OpenTelemetry's ASGI middleware around ours sees the 504: in its span, as an error, and in its histogram."""
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    app = OpenTelemetryMiddleware(
        DeadlineMiddleware(starlette_app(), default=0.05),
        tracer_provider=tracers,
        meter_provider=MeterProvider([reader]),
        exclude_spans=["send", "receive"],
    )
    async with client(app) as http:
        assert (await http.get("/stuck/1")).status_code == 504
    (span,) = exporter.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["http.status_code"] == 504
    assert span.status.status_code.name == "ERROR"
    points = [
        point
        for resource in reader.get_metrics_data().resource_metrics  # type: ignore[union-attr]
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "http.server.duration"
        for point in metric.data.data_points
    ]
    assert [(point.attributes or {})["http.status_code"] for point in points] == [504]


@pytest.fixture
def propagating() -> Iterator[None]:
    """OpenTelemetry's instrumentations carry the budget, for one test."""
    before = propagate.get_global_textmap(), _context.outside
    propagate.set_global_textmap(DeadlinePropagator())
    yield
    propagate.set_global_textmap(before[0])
    _context.look_outside(before[1])


@pytest.mark.usefixtures("propagating")
async def test_opentelemetrys_own_middleware_carries_the_budget() -> None:
    """With no middleware of ours a timeout in the handler is bounded by what OpenTelemetry's extracted and attached."""

    async def order(request: Request) -> Response:
        async with timeout(300.0, name="order"):
            await forever()
        return PlainTextResponse("never")

    async with client(OpenTelemetryMiddleware(Starlette(routes=[Route("/order", order)]))) as http:
        assert (await http.get("/order", headers=SHORT)).status_code == 500
    assert outcomes() == {("order", "inherited"): 1}
    assert figures(INTERRUPTIONS) == {("order", "_remote"): 1}
    assert figures(RECEIVED) == {("deadline-budget",): 1}


@pytest.mark.usefixtures("propagating")
@pytest.mark.parametrize(("accept", "left"), [(("deadline-budget",), 60.0), ((), 90.0)])
async def test_our_middleware_overrules_opentelemetrys(accept: tuple[str, ...], left: float) -> None:
    """Where both read the headers ours decides whom to believe, and they are counted once."""
    seen: list[float] = []

    async def looks(request: Request) -> Response:
        seen.append(float(round(remaining())))
        return PlainTextResponse("ok")

    inner = DeadlineMiddleware(Starlette(routes=[Route("/looks", looks)]), default=90.0, accept=accept)
    async with client(OpenTelemetryMiddleware(inner)) as http:
        headers = {"deadline-budget": f"60000;sent={time.time_ns() // 10**6}"}
        assert (await http.get("/looks", headers=headers)).status_code == 200
    assert seen == [left]
    assert (figures(RECEIVED), figures(TRANSIT)) == ({("deadline-budget",): 1}, {("deadline-budget",): 1})
    assert figures(HEADERS_IGNORED) == ({} if accept else {("deadline-budget", "untrusted"): 1})


async def test_prometheus_counts_the_504() -> None:
    """prometheus-fastapi-instrumentator around ours counts the request, with its status."""
    registry = CollectorRegistry()
    app = fastapi_app()
    app.add_middleware(DeadlineMiddleware, default=0.05)
    Instrumentator(registry=registry).instrument(app)
    async with client(app) as http:
        assert (await http.get("/stuck/1")).status_code == 504
    labels = {"handler": "/stuck/{order}", "method": "GET", "status": "5xx"}
    assert registry.get_sample_value("http_requests_total", labels) == 1.0


async def test_a_base_http_middleware_inside_and_outside() -> None:
    """Starlette's BaseHTTPMiddleware, which runs the application in a task of its own, passes a deadline both ways."""
    seen: list[int] = []

    async def dispatch(request: Request, call_next: Callable[[Request], Any]) -> Any:
        response = await call_next(request)
        seen.append(response.status_code)
        return response

    def wrapped(app: App) -> Any:
        return BaseHTTPMiddleware(app, dispatch=dispatch)

    for app in (wrapped(DeadlineMiddleware(starlette_app())), DeadlineMiddleware(wrapped(starlette_app()))):
        async with client(app) as http:
            assert (await http.get("/stuck/1", headers=SHORT)).status_code == 504
            assert (await http.get("/hello", headers=SHORT)).status_code == 200
    assert seen == [504, 200, 200]


# Route tables


def scope(path: str, method: str | None = "GET", host: bytes = b"x") -> Scope:
    made: Scope = {"type": "http", "path": path, "root_path": "", "headers": [(b"host", host)], "method": method}
    if method is None:
        made["type"] = "websocket"
        del made["method"]
    return made


def template(app: object, asked: Scope) -> str | None:
    found = resolver_for(app, asked)(asked)
    return None if found is None else found.template


async def endpoint(request: Any) -> None: ...


async def mounted(scope: LitestarScope, receive: LitestarReceive, send: LitestarSend) -> None: ...


def test_starlettes_table() -> None:
    """Mounts, hosts, converters, methods and WebSockets are resolved as Starlette routes them."""
    inner = Starlette(routes=[Route("/deep/{key}", endpoint)])
    app = Starlette(
        routes=[
            Route("/", endpoint),
            Route("/items/{id:int}", endpoint),
            Route("/pay", endpoint, methods=["POST"]),
            Mount("/api", routes=[Route("/users/{user}", endpoint), Mount("/inner", app=inner)]),
            Mount("/files", app=mounted),  # type: ignore[arg-type]  # Litestar's types for the same thing
            WebSocketRoute("/ws/{room}", endpoint),
            Host("a.example", app=Router([Route("/hosted", endpoint)])),
        ]
    )
    asked = {
        "/": "/",
        "/items/5": "/items/{id}",
        "/items/pen": None,
        "/pay": None,
        "/api/users/7": "/api/users/{user}",
        "/api/inner/deep/k": "/api/inner/deep/{key}",
        "/api/nothing": None,
        "/files/a/b": "/files/{path}",
        "/ws/1": None,
        "/hosted": None,
    }
    assert {path: template(app, scope(path)) for path in asked} == asked
    assert template(app, scope("/pay", "POST")) == "/pay"
    assert template(app, scope("/items/5", "BREW")) is None
    assert template(app, scope("/ws/1", None)) == "/ws/{room}"
    assert template(app, scope("/hosted", host=b"a.example")) == "/hosted"
    assert not resolver_for(app, scope("/")).by_path()
    assert resolver_for(starlette_app(), scope("/")).by_path()


def test_routes_added_later_are_found() -> None:
    """A table may grow while it is in use; a route that matches in a way of its own is asked."""

    class Odd(Route):
        def matches(self, scope: Any) -> Any:
            return Match.FULL, {}

    for app in (starlette_app(), fastapi_app()):
        resolver = resolver_for(app, scope("/"))
        assert [resolver(scope("/new/1")), resolver(scope("/hello/"))] == [None, None]
        app.router.routes.append(Route("/new/{x}", endpoint))
        found = resolver(scope("/new/1"))
        assert found is not None
        assert (found.template, resolver.by_path()) == ("/new/{x}", True)
        app.router.routes.append(Host("a.example", app=Router([Route("/new/{x}", endpoint)])))
        assert resolver.by_path() is False
        app.router.routes.append(Odd("/odd", endpoint))
        found = resolver(scope("/anything"))
        assert found is not None
        assert found.template == "/odd"
    app, shop = fastapi.FastAPI(), fastapi.APIRouter(prefix="/shop")
    app.include_router(shop)
    resolver = resolver_for(app, scope("/"))
    assert resolver(scope("/shop/pen")) is None
    shop.get("/{item}")(endpoint)
    direct = template(app, scope("/shop/pen"))
    found = resolver(scope("/shop/pen"))
    assert direct == (None if found is None else found.template)


def test_fastapis_table() -> None:
    """Routers included in routers, mounts and WebSockets are resolved as FastAPI routes them."""
    app, outer, inner = fastapi.FastAPI(), fastapi.APIRouter(prefix="/v1"), fastapi.APIRouter(prefix="/in")
    inner.get("/x/{y}")(endpoint)
    outer.websocket("/ws/{room}")(endpoint)
    outer.get("/files/{path:path}")(endpoint)
    outer.include_router(inner)
    app.include_router(outer)
    app.mount("/sub", starlette_app())
    asked = {
        "/v1/in/x/5": "/v1/in/x/{y}",
        "/v1/files/a/b/c": "/v1/files/{path}",
        "/v1/nothing": None,
        "/sub/stuck/3": "/sub/stuck/{order}",
    }
    assert {path: template(app, scope(path)) for path in asked} == asked
    assert template(app, scope("/v1/ws/1", None)) == "/v1/ws/{room}"


def test_litestars_table() -> None:
    """Parameters, mounts and methods are resolved as Litestar routes them."""
    app = litestar.Litestar(
        [
            litestar.get("/")(litestar_nothing),
            litestar.Router("/sub", route_handlers=[litestar.get("/{n:int}")(litestar_nothing)]),
            litestar.asgi("/mounted", is_mount=True, copy_scope=True)(mounted),
        ],
        openapi_config=None,
    )
    asked = {
        "/": "/",
        "/sub/5": "/sub/{n}",
        "//sub//5/": "/sub/{n}",
        "/sub/x": None,
        "/nothing": None,
        "/mounted/a/b": "/mounted/{path}",
    }
    assert {path: template(app, scope(path)) for path in asked} == asked
    assert template(app, scope("/sub/5", "PUT")) is None


async def litestar_nothing() -> None: ...


def test_an_unknown_application() -> None:
    """Of an application without a table nothing is known; one that a middleware wraps is found."""

    class Wrapping:
        def __init__(self, app: object) -> None:
            self.app = app

    assert template(Wrapping(mounted), scope("/hello")) is None
    assert template(Wrapping(Wrapping(starlette_app())), scope("/hello")) == "/hello"

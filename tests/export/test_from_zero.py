"""A name's expiries stand at 0 before the first of them, on every road; limits are exact, owners bounded."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import litestar
import pytest
from fastapi import APIRouter, FastAPI
from litestar import Litestar
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from tests.support import running_loop
from tests.support.scraping import registry_of_ours, shown
from tests.support.telemetry import Spans, python, run
from tracedtimeout import _exemplars, otlp, timeout, wait_for, with_timeout
from tracedtimeout._core import _observers
from tracedtimeout.integrations.asgi import DeadlineMiddleware, exempt
from tracedtimeout.prometheus._processes import Processes
from tracedtimeout.spans import SpanObserver


async def enter(name: str) -> None:
    async with timeout(1.0, name=name):
        pass


ZEROS = [
    'tracedtimeout_duration_seconds_count{outcome="expired",timeout="t"} 0.0',
    'tracedtimeout_expirations_total{outcome="expired",timeout="t"} 0.0',
]


async def endpoint(request: Request) -> Response:
    return Response()


@exempt
async def stream(request: Request) -> Response:
    return Response()


def in_starlette() -> Starlette:
    routes = [Route("/item/{number:int}", endpoint, methods=["GET", "POST"]), Route("/stream", stream)]
    return Starlette(routes=[*routes, Mount("/shop", routes=[Route("/pay", endpoint, methods=["PUT"])])])


def in_fastapi() -> FastAPI:
    app, shop = FastAPI(openapi_url=None), APIRouter(prefix="/shop")
    app.api_route("/item/{number}", methods=["GET", "POST"])(endpoint)
    app.get("/stream")(stream)
    shop.put("/pay")(endpoint)
    app.include_router(shop)
    return app


def in_litestar() -> Litestar:
    @litestar.route("/item/{number:int}", http_method=["GET", "POST"], status_code=200)
    async def item() -> str:
        return ""

    @litestar.get("/stream")
    @exempt
    async def streamed() -> str:
        return ""

    @litestar.put("/shop/pay")
    async def pay() -> str:
        return ""

    return Litestar([item, streamed, pay], openapi_config=None)


APPS: dict[str, Callable[[], Any]] = {"starlette": in_starlette, "fastapi": in_fastapi, "litestar": in_litestar}
ROUTES = ("GET /item/{number}", "POST /item/{number}", "PUT /shop/pay")


async def start(app: Any) -> None:
    """Start an application as a server does, behind the door."""
    door = DeadlineMiddleware(app, default=1.0)
    said = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(said)

    async def send(message: Any) -> None: ...

    await door({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)


async def ask(app: Any, path: str) -> None:
    """Ask an application that no server has started once, behind the door."""

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None: ...

    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": [], "query_string": b""}
    await DeadlineMiddleware(app, default=1.0)(scope, receive, send)


def zeros_of(*names: str) -> list[str]:
    """What a page has of these names that no expiry was of."""
    return sorted(line.replace('"t"', f'"{name}"') for line in ZEROS for name in names)


def zeros(text: str | None = None) -> list[str]:
    """What a page has of expiries, by default that of the core's figures now."""
    text = generate_latest(registry_of_ours()).decode() if text is None else text
    starts = ("tracedtimeout_expirations_total{", "tracedtimeout_duration_seconds_count{")
    return sorted(line for line in text.splitlines() if line.startswith(starts) and 'outcome="expired"' in line)


def test_from_the_first_entry_on() -> None:
    """One that completes is enough."""
    run(enter("t"))
    assert zeros() == ZEROS


def test_from_decoration_on() -> None:
    """A decorated function need not be called."""

    @with_timeout(1.0, name="t")
    async def never_called() -> None: ...

    assert zeros() == ZEROS


@pytest.mark.parametrize("framework", APPS)
def test_from_an_applications_start_on(framework: str) -> None:
    """A route that the door's resolver knows need not be asked for; one that is exempt has none."""
    run(start(APPS[framework]()))
    assert zeros() == zeros_of(*ROUTES)


@pytest.mark.parametrize("framework", APPS)
def test_from_the_first_request_on(framework: str) -> None:
    """Where no server tells of a start, a request of any route will do."""
    run(ask(APPS[framework](), "/nothing"))
    assert zeros() == zeros_of(*ROUTES, "GET _unmatched")


def test_many_routes_leave_room() -> None:
    """Half of the names that have figures of their own are left for others."""
    run(start(Starlette(routes=[Route(f"/{number}", endpoint) for number in range(150)])))
    assert len(zeros()) == 2 * 100


def test_in_opentelemetrys_metrics() -> None:
    """Both are there, cumulative, those of known routes too."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    undo = otlp.instrument(provider)
    run(enter("t"))
    run(start(in_starlette()))
    data = reader.get_metrics_data()
    undo()
    assert data is not None
    counts = {
        (metric.name, (point.attributes or {})["timeout"]): getattr(point, "count", None) or getattr(point, "value", 0)
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if (point.attributes or {}).get("outcome") == "expired"
    }
    both = ("tracedtimeout.expirations", "tracedtimeout.duration")
    assert counts == {(metric, name): 0 for metric in both for name in ("t", *ROUTES)}


ONE_OF_SEVERAL = """
from tests.export.test_from_zero import APPS, enter, run, start
from tracedtimeout import install
undo = install(spans="off")
run(enter("t"))
run(start(APPS["starlette"]()))
undo()
"""


@pytest.mark.slow
def test_in_the_files_of_several_processes(tmp_path: Path) -> None:
    """They are written with the first transfer, those of known routes too. (A process of its own.)"""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", ONE_OF_SEVERAL], env=environment, check=True)
    assert zeros(generate_latest(Processes(tmp_path)).decode()) == zeros_of("t", *ROUTES)


FORKED = """
import os, warnings
from tests.export.test_from_zero import enter, run, shown
warnings.simplefilter("ignore")
run(enter("parent"))
if child := os.fork():
    os.waitpid(child, 0)
else:
    run(enter("child"))
    print([line for line in shown("tracedtimeout_limit_seconds") if "_count" in line], flush=True)
    os._exit(0)
"""


@pytest.mark.slow
def test_a_forked_child_has_nothing_of_its_parent() -> None:
    """Nor a name of its. (A process of its own.)"""
    count = 'tracedtimeout_limit_seconds_count{timeout="child"} 1.0'
    assert python(FORKED) == f"{[count]}\n"


def test_a_limit_is_the_number_in_the_code() -> None:
    """On the span and in the histogram, whichever way it is asked for; of one that gets less, what it asked for."""
    spans = Spans()
    observer = SpanObserver(tracer_provider=spans.provider)

    @with_timeout(0.5, name="with_timeout")
    async def decorated() -> None: ...

    async def main() -> None:
        for _ in range(20):
            running_loop().block(1234.567)  # an instant that takes all the digits of a float
            async with timeout(0.5, name="timeout"):
                async with timeout(9, name="shortened"):
                    pass
            await wait_for(asyncio.sleep(0), 0.5, name="wait_for")
            await decorated()

    _observers.add(observer)
    run(main())
    _observers.remove(observer)
    limits = {(one.name.removeprefix("timeout "), one.attributes["limit"]) for one in spans.seen}
    assert {pair for pair in limits if pair[0] != "shortened"} == {
        ("timeout", 0.5),
        ("wait_for", 0.5),
        ("with_timeout", 0.5),
    }
    assert {one.attributes["requested"] for one in spans.seen if one.name == "timeout shortened"} == {9.0}
    assert 'tracedtimeout_limit_seconds_sum{timeout="timeout"} 10.0' in shown("tracedtimeout_limit_seconds")


def test_work_in_time_is_never_above_one() -> None:
    """However close its limit is to that of others of its name."""

    async def main() -> None:
        for limit, took in [(1.2, 0.1)] * 3 + [(1.201, 1.2005)] * 5:
            async with timeout(limit, name="t"):
                await asyncio.sleep(took)

    run(main())
    assert 'tracedtimeout_utilization_bucket{le="1.0",timeout="t"} 8.0' in shown("tracedtimeout_utilization")


def test_ten_owners_are_told_apart() -> None:
    """The others that end timeouts of one name are `_OTHER`."""

    async def main() -> None:
        for number in range(12):
            try:
                async with timeout(0.5, name=f"owner-{number:02}"), timeout(1.0, name="t"):
                    await asyncio.sleep(2.0)
            except TimeoutError:
                pass

    run(main())
    lines = shown("tracedtimeout_interruptions_total")
    assert len(lines) == 11
    assert 'tracedtimeout_interruptions_total{owner="_OTHER",timeout="t"} 2.0' in lines
    _exemplars.reset()

"""Requests of Quart, Flask, Django and Sanic are named by their routes, end at their deadlines, and start at 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.frameworks.apps import FRAMEWORKS, in_quart
from tests.services.asgi_servers import SHORT, Receive, Scope, Send, client, outcomes, respond
from tests.support.scraping import registry_of_ours
from tracedtimeout.integrations.asgi import DeadlineMiddleware

pytestmark = pytest.mark.slow  # real sockets, so the real clock

QUICK = ["GET /hello", "GET /shop/pen", "GET /stream", "GET /nothing/here", "PUT /stuck/1"]
STUCK = ["POST /stuck/1", "GET /stuck/2"]


@pytest.mark.parametrize("framework", FRAMEWORKS)
async def test_requests_by_route(framework: str, caplog: pytest.LogCaptureFixture) -> None:
    """504 at the deadline, names as the framework writes its routes, which stand at 0 before; exempt routes are left
    alone, and nothing is warned of. (In one: a process has one Sanic that is started.)"""
    written = FRAMEWORKS[framework]()
    # asgiref keeps an executor in the context that uvicorn hands on to the next request of a connection: 500 at times.
    options: dict[str, Any] = {"headers": {"connection": "close"}} if "asgiref" in framework else {}
    app = DeadlineMiddleware(written.app, default=30.0)
    async with client(app, lifespan=framework != "django", **options) as http:
        assert [await _status(http, each) for each in QUICK] == [200, 200, 200, 404, 405]
        figures = set(generate_latest(registry_of_ours()).decode().splitlines())
        assert not [each for each in caplog.records if each.name == "tracedtimeout"]
        assert [await _status(http, each, SHORT) for each in STUCK] == [504, 504]
    assert {_zero(f"GET {written.stuck}"), _zero(f"POST {written.stuck}"), _zero(f"GET {written.item}")} <= figures
    assert {name for name, _ in outcomes()} == {
        "GET /hello",
        f"POST {written.stuck}",
        f"GET {written.stuck}",
        f"GET {written.item}",
        "GET _unmatched",
        f"PUT {written.refused}",
    }


async def _status(http: httpx.AsyncClient, asked: str, headers: Mapping[str, str] | None = None) -> int:
    method, path = asked.split()
    return (await http.request(method, path, headers=headers)).status_code


def _zero(name: str) -> str:
    return f'tracedtimeout_expirations_total{{outcome="expired",timeout="{name}"}} 0.0'


async def test_inside_quart() -> None:
    """The door that stands between Quart and its own application, as Quart has its middlewares."""
    app = in_quart().app
    app.asgi_app = DeadlineMiddleware(app.asgi_app, default=30.0)
    async with client(app, lifespan=True) as http:
        assert (await http.get("/stuck/1", headers=SHORT)).status_code == 504
    assert outcomes() == {("GET /stuck/<int:order>", "inherited"): 1}


@pytest.mark.parametrize("mounted", ["flask by a2wsgi", "quart"])
async def test_mounted_in_starlette(mounted: str) -> None:
    """What another framework serves beneath a mount is named by both."""
    app = Starlette(routes=[Mount("/v1", app=FRAMEWORKS[mounted]().app)])
    async with client(DeadlineMiddleware(app, default=30.0)) as http:
        assert [await _status(http, each) for each in ("GET /v1/none", "GET /v1/hello")] == [404, 200]
        assert await _status(http, "GET /v1/stuck/1", SHORT) == 504
    assert set(outcomes()) == {
        ("GET /v1/hello", "completed"),
        ("GET /v1/stuck/<int:order>", "inherited"),
        ("GET _unmatched", "completed"),
    }


async def test_an_unknown_framework_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """One warning, that names the application and what to do; none with a `route_of`."""

    class Unknown:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await respond(send)

    async with client(DeadlineMiddleware(Unknown())) as http:
        for path in ("/a", "/b", "/a"):
            await http.get(path)
    async with client(DeadlineMiddleware(Unknown(), route_of=lambda scope: "/x")) as http:
        await http.get("/a")
    (told,) = [each for each in caplog.records if each.name == "tracedtimeout"]
    assert told.levelname == "WARNING"
    assert "Unknown are all named '_unmatched'" in told.message
    assert "route_of=" in told.message

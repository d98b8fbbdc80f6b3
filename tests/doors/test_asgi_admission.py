"""Which requests are let in, with what budget, and under what name."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.services.asgi_servers import (
    LONG,
    SPENT,
    Receive,
    Scope,
    Send,
    client,
    figures,
    hello,
    middleware,
    outcomes,
    respond,
)
from tracedtimeout import remaining
from tracedtimeout._core.figures._metrics import (
    HEADERS_IGNORED,
    REJECTIONS,
)
from tracedtimeout.integrations.asgi import EXEMPT, DeadlineMiddleware

pytestmark = pytest.mark.slow  # real sockets, so the real clock


# Admission


@pytest.mark.parametrize("headers", [SPENT, {"grpc-timeout": "0S"}, {"deadline-budget": "5000", "grpc-timeout": "0m"}])
async def test_expired_on_arrival_is_refused(headers: dict[str, str]) -> None:
    """A request whose budget is spent on arrival is answered with 504, and the application does not run."""

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        pytest.fail("ran")

    async with client(middleware(never)) as http:
        assert (await http.get("/never", headers=headers)).status_code == 504
    assert outcomes() == {("GET /never", "rejected"): 1}
    assert figures(REJECTIONS) == {("GET /never", "expired", "enforce"): 1}


async def test_too_little_left_is_refused() -> None:
    """With less than `at_least` left the application does not run; with more it does."""
    async with client(middleware(hello, at_least=5.0)) as http:
        statuses = [
            (await http.get("/hello", headers=headers)).status_code
            for headers in ({"deadline-budget": "4900"}, {"deadline-budget": "9000"}, {}, SPENT)
        ]
    assert statuses == [504, 200, 200, 504]
    assert figures(REJECTIONS) == {
        ("GET /hello", "at_least", "enforce"): 1,
        ("GET /hello", "expired", "enforce"): 1,
    }


async def test_dark_counts_and_runs() -> None:
    """With `dark` what would be refused runs and is counted; what had expired runs as if it had come without."""
    left: list[bool] = []

    async def looks(scope: Scope, receive: Receive, send: Send) -> None:
        left.append(remaining() > 5.0)
        await respond(send)

    async with client(middleware(looks, at_least=5.0, default=60.0, dark=True)) as http:
        statuses = [
            (await http.get("/looks", headers=headers)).status_code
            for headers in ({"deadline-budget": "4900"}, SPENT, LONG)
        ]
    assert (statuses, left) == ([200] * 3, [False, True, True])
    assert figures(REJECTIONS) == {("GET /looks", "at_least", "dark"): 1, ("GET /looks", "expired", "dark"): 1}
    assert outcomes() == {("GET /looks", "completed"): 3}


# Trust


async def granted(headers: Any, **options: Any) -> list[float]:
    """The limit a request with `headers` gets, to the second; and its status."""
    limits: list[float] = []

    async def looks(scope: Scope, receive: Receive, send: Send) -> None:
        limits.append(float(round(remaining())) if remaining() < 1e6 else remaining())
        await respond(send)

    async with client(middleware(looks, **options)) as http:
        assert (await http.get("/looks", headers=headers)).status_code == 200
    return limits


@pytest.mark.parametrize(
    ("headers", "options", "limit"),
    [
        ({}, {}, float("inf")),
        ({}, {"default": 20.0}, 20.0),
        ({}, {"maximum": 10.0}, 10.0),
        ({}, {"default": 20.0, "maximum": 10.0}, 10.0),
        ({}, {"default": 5.0, "maximum": 10.0}, 5.0),
        (LONG, {"default": 20.0}, 20.0),
        (LONG, {"default": 20.0, "maximum": float("inf")}, 60.0),
        (LONG, {"default": 20.0, "maximum": 30.0}, 30.0),
        (LONG, {"maximum": 90.0}, 60.0),
        ({"grpc-timeout": "99999999H"}, {"maximum": 30.0}, 30.0),
        ({"grpc-timeout": "9M", "connect-timeout-ms": "15000"}, {}, 15.0),
        ({"x-envoy-expected-rq-timeout-ms": "0"}, {"default": 20.0, "maximum": 30.0}, 20.0),
        ({"x-envoy-expected-rq-timeout-ms": "15000"}, {}, 15.0),
        (LONG, {"default": 20.0, "accept": ()}, 20.0),
        (LONG, {"default": 20.0, "accept": ("grpc-timeout",)}, 20.0),
        ({"deadline-budget": "-1"}, {"default": 20.0}, 20.0),
        ({"deadline-budget": "9" * 5000}, {"default": 20.0}, 20.0),
        ([("deadline-budget", "15000"), ("deadline-budget", "40000")], {"default": 20.0}, 15.0),
        ([(b"deadline-budget", b"15000\xff")], {"default": 20.0}, 20.0),
        ([(b"deadline-budget", "\uff11\uff15".encode())], {"default": 20.0}, 20.0),
    ],
)
async def test_which_deadline_holds(headers: Any, options: dict[str, Any], limit: float) -> None:
    """The least of the believed headers and `maximum`; `default` only where no believed header gave one."""
    assert await granted(headers, **options) == [limit]


async def test_ignored_headers_are_counted() -> None:
    """What is malformed or not believed is counted, by header and reason."""
    await granted({"deadline-budget": "x", "grpc-timeout": "1"}, accept=("deadline-budget",))
    assert figures(HEADERS_IGNORED) == {("deadline-budget", "malformed"): 1, ("grpc-timeout", "untrusted"): 1}


# Names


async def test_strangers_add_no_series() -> None:
    """Unknown methods and paths end up in series that are there already; a peer cannot make one."""

    def known(scope: Scope) -> str | None:
        return "/hello" if scope["path"] == "/hello" else None

    async with client(DeadlineMiddleware(hello, route_of=known)) as http:
        for method, path in (("GET", "/hello"), ("GET", "/a"), ("BREW", "/hello"), ("BREW", "/a")):
            await http.request(method, path)
        before = set(outcomes())
        for number in range(15):
            await http.request(f"X{number}", f"/{number}/<script>?q={number}")
            await http.request("GET", f"/{number}")
            await http.request(f"get{number}", "/hello")
    assert set(outcomes()) == before
    assert {name for name, _ in before} == {"GET /hello", "GET _unmatched", "_OTHER /hello", "_OTHER _unmatched"}


async def test_an_exempt_route_has_no_timeout() -> None:
    """A `route_of` exempts a route by returning `EXEMPT`: it runs on past the default, uncounted."""

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05)
        await respond(send)

    async with client(DeadlineMiddleware(slow, default=0.01, route_of=lambda scope: EXEMPT)) as http:
        assert (await http.get("/stream")).status_code == 200
    assert outcomes() == {}


async def test_a_resolver_that_raises_is_skipped(caplog: pytest.LogCaptureFixture) -> None:
    """A `route_of` that raises costs the name, not the request, and is logged once."""

    def broken(scope: Scope) -> str | None:
        raise LookupError("no table")

    async with client(DeadlineMiddleware(hello, route_of=broken)) as http:
        assert [(await http.get("/")).status_code for _ in range(2)] == [200, 200]
    assert outcomes() == {("GET _unmatched", "completed"): 2}
    assert [record.levelname for record in caplog.records if record.name == "tracedtimeout"] == ["ERROR"]

"""The budget in httpx, against a real server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.services.asgi_servers import serving
from tracedtimeout import DeadlineExceeded, Outcome, budget, timeout
from tracedtimeout.integrations.httpx import AsyncDeadlineTransport, DeadlineTransport
from tracedtimeout.propagation import decode

pytestmark = pytest.mark.slow  # a real server, and sockets that wait on the real clock

SEEN: list[dict[str, str]] = []
PHASES = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}


async def echo(request: Request) -> Response:
    SEEN.append(dict(request.headers))
    return PlainTextResponse("done")


async def onward(request: Request) -> Response:
    SEEN.append(dict(request.headers))
    await asyncio.sleep(0.03)
    return RedirectResponse(request.query_params.get("to", "/echo"))


async def silent(request: Request) -> Response:
    SEEN.append(dict(request.headers))
    await asyncio.sleep(5.0)
    raise AssertionError("the client waits no longer than its budget")


async def dripping(request: Request) -> Response:
    async def drops() -> AsyncIterator[bytes]:
        for _ in range(500):
            yield b"drop"
            await asyncio.sleep(0.01)

    return StreamingResponse(drops())


APP = Starlette(
    routes=[Route("/echo", echo), Route("/onward", onward), Route("/silent", silent), Route("/dripping", dripping)]
)


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    SEEN.clear()


@asynccontextmanager
async def client(**options: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(APP) as url,
        httpx.AsyncClient(transport=AsyncDeadlineTransport(**options), base_url=url, timeout=5.0) as made,
    ):
        yield made


@contextlib.contextmanager
def sync_client() -> Iterator[httpx.Client]:
    """A synchronous client, and the server in a loop and thread of its own."""
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    where: list[str] = []

    async def serve() -> None:
        async with serving(APP) as url:
            where.append(url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        with httpx.Client(transport=DeadlineTransport(), base_url=where[0], timeout=5.0) as made:
            yield made
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def milliseconds(headers: dict[str, str]) -> int:
    granted = decode("deadline-budget", headers["deadline-budget"])
    assert granted is not None
    return granted // 10**6


async def test_the_budget_goes_out() -> None:
    """A request carries what is left, never more, and under both default headers."""
    async with client() as asking, timeout(2.0):
        await asking.get("/echo")
    granted = decode("grpc-timeout", SEEN[0]["grpc-timeout"])
    assert granted is not None
    assert granted // 10**6 == milliseconds(SEEN[0]) < 2000


async def test_without_a_budget_nothing_goes_out() -> None:
    """With no deadline in force a request is as it was, its own header included."""
    async with client() as asking:
        await asking.get("/echo")
        await asking.get("/echo", headers={"deadline-budget": "70"})
    assert [headers.get("deadline-budget") for headers in SEEN] == [None, "70"]


async def test_each_redirect_says_what_is_left_then() -> None:
    """The header is made anew for a redirect: less is left."""
    async with client() as asking, timeout(2.0):
        await asking.get("/onward", follow_redirects=True)
    first, second = map(milliseconds, SEEN)
    assert first - second >= 29


async def test_hosts_limit_where_the_header_goes() -> None:
    """A host that is not named is not told, after a redirect from one that is neither."""
    async with client(hosts=["localhost", "*.example.org"]) as asking, timeout(2.0):
        await asking.get("/echo")
        url = asking.base_url.copy_with(host="localhost")
        await asking.get(f"{url}/onward", params={"to": f"{asking.base_url}/echo"}, follow_redirects=True)
    assert ["deadline-budget" in headers for headers in SEEN] == [False, True, False]


@pytest.mark.parametrize("own", [None, 5.0, 0.5])
async def test_every_phase_gets_the_least(own: float | None) -> None:
    """Each phase gets its own timeout or what is left as it begins, whichever is less; the request given stays."""
    phases = dict.fromkeys(PHASES, own)
    seen: list[dict[str, float]] = []

    async def note(request: httpx.Request) -> httpx.Response:
        seen.append({phase: request.extensions["timeout"].get(phase) for phase in PHASES})
        seen.append(dict(request.extensions["timeout"]))
        return httpx.Response(200)

    transport = AsyncDeadlineTransport(httpx.MockTransport(note))
    request = httpx.Request("GET", "http://shop", extensions={"timeout": phases})
    async with timeout(1.0):
        await transport.handle_async_request(request)
    assert request.extensions == {"timeout": dict.fromkeys(PHASES, own)}
    assert "deadline-budget" not in request.headers
    if own == 0.5:
        assert seen == [dict.fromkeys(PHASES, 0.5)] * 2
    assert all(0.9 < left <= 1.0 or left == own for phase in seen for left in phase.values())


async def test_the_wait_for_a_connection_is_told() -> None:
    """The header says what is left when a connection is there, not what was when one was asked for."""
    transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1))
    events: list[str] = []

    async def trace(event: str, info: object) -> None:
        events.append(event)

    async with client(transport=transport) as asking, timeout(60.0):
        async with asking.stream("GET", "/dripping") as blocking:
            waiting = asyncio.create_task(asking.get("/echo", extensions={"trace": trace}))
            await asyncio.sleep(0.3)
            await blocking.aclose()
            await waiting
    assert milliseconds(SEEN[-1]) <= 59_700
    assert "http11.send_request_headers.started" in events  # its user's own trace is told too


async def test_attempts_to_connect_are_told() -> None:
    """What a transport's own attempts to connect took is not granted again."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    transport = AsyncDeadlineTransport(httpx.AsyncHTTPTransport(retries=3))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{port}") as asking, timeout(60.0):
        waiting = asyncio.create_task(asking.get("/echo"))
        await asyncio.sleep(0.2)  # the first two attempts were at once, the third is 0.5 s later
        async with serving(APP, port=port):
            await waiting
    assert milliseconds(SEEN[-1]) <= 59_500


def test_sync_attempts_are_told() -> None:
    """The synchronous transport makes its headers as late."""
    told: list[bytes] = []

    def trace(event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            time.sleep(0.2)  # what a slow connection would take
        if event == "http11.send_request_headers.started":
            told.extend(value for name, value in info["request"].headers if name == b"deadline-budget")

    with sync_client() as asking, budget(60.0):
        asking.get("/echo", extensions={"trace": trace})
    assert milliseconds(SEEN[-1]) <= 59_800
    assert [SEEN[-1]["deadline-budget"].encode()] == told


async def test_a_budget_spent_while_waiting_for_a_connection_is_not_sent() -> None:
    """With the budget gone when a connection is there, nothing is written to it."""
    transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1))
    async with client(transport=transport) as asking:
        blocking = await asking.send(asking.build_request("GET", "/dripping"), stream=True)
        asyncio.get_running_loop().call_later(0.1, time.sleep, 0.1)  # so that no timer comes first
        asyncio.get_running_loop().call_later(0.1, asyncio.ensure_future, blocking.aclose())
        with budget(0.15), pytest.raises(DeadlineExceeded) as caught:
            await asking.get("/echo")
    assert caught.value.owner == "_budget"
    assert SEEN == []


async def test_a_spent_budget_sends_nothing() -> None:
    """With the budget spent the request fails at once, unsent, and says whose deadline it was."""
    async with client() as asking, timeout(60.0):
        with budget(0.0), pytest.raises(DeadlineExceeded) as caught:
            await asking.get("/echo")
    assert (caught.value.owner, SEEN) == ("_budget", [])


async def test_clean_up_after_an_expiry_is_sent() -> None:
    """In clean-up after an expiry the deadline that fired binds no more: the request is sent."""
    async with client() as asking:
        with pytest.raises(DeadlineExceeded):
            async with timeout(0.01):
                try:
                    await asyncio.sleep(5.0)
                finally:
                    await asking.get("/echo")
    assert [headers.get("deadline-budget") for headers in SEEN] == [None]


async def test_a_silent_server_ends_as_the_timeout() -> None:
    """The timeout around a request fires, as around anything else, not httpx's own."""
    async with client() as asking:
        t = timeout(0.1, name="ask")
        with pytest.raises(DeadlineExceeded):
            async with t:
                await asking.get("/silent")
    assert t.outcome is Outcome.EXPIRED


@pytest.mark.parametrize("path", ["/silent", "/dripping"])
async def test_a_budget_without_a_timer_ends_a_request(path: str) -> None:
    """A bare budget ends a request in each phase, its body included."""
    async with client() as asking:
        with budget(0.1), pytest.raises(DeadlineExceeded) as caught:
            await asking.get(path)
    assert caught.value.owner == "_budget"


async def test_a_timeout_of_its_own_stays_httpx_s() -> None:
    """When the request's own timeout ends it, httpx's exception is raised, also with a budget."""
    async with client() as asking, timeout(60.0):
        with pytest.raises(httpx.ReadTimeout):
            await asking.get("/silent", timeout=0.05)


@pytest.mark.parametrize("path", ["/silent", "/dripping"])
def test_sync_requests_end_with_the_budget(path: str) -> None:
    """A blocking request ends with the budget: while it waits, and between the chunks of a body."""
    with sync_client() as asking, budget(0.2):
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            asking.get(path)
        assert (caught.value.owner, time.monotonic() - started < 3.0) == ("_budget", True)


def test_a_sync_body_read_when_the_budget_is_spent() -> None:
    """A body that is first read when the budget is spent, and is not there yet, ends as the budget."""
    with socket.create_server(("127.0.0.1", 0)) as listening, httpx.Client(transport=DeadlineTransport()) as asking:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n")
                connection.recv(1)  # until the peer has gone

        thread = threading.Thread(target=answer)
        thread.start()
        with budget(0.1), pytest.raises(DeadlineExceeded):
            with asking.stream("GET", f"http://127.0.0.1:{listening.getsockname()[1]}") as response:
                time.sleep(0.15)
                response.read()
        thread.join()


def test_sync_requests_carry_the_budget() -> None:
    """A blocking request carries what is left, anew on a redirect, and is not sent once the budget is spent."""
    with sync_client() as asking:
        with budget(2.0):
            asking.get("/onward", follow_redirects=True)
        with budget(0.0), pytest.raises(DeadlineExceeded):
            asking.get("/echo")
        with budget(60.0), pytest.raises(httpx.ReadTimeout):
            asking.get("/silent", timeout=0.05)
    first, second, _ = map(milliseconds, SEEN)
    assert 2000 > first >= second + 29


@pytest.mark.parametrize("transport", [AsyncDeadlineTransport, DeadlineTransport])
def test_bad_hosts(transport: Callable[..., object]) -> None:
    """One host's name in place of a collection of them is refused."""
    with pytest.raises(TypeError, match=r"hosts must be a collection of host names, not the string 'example\.org'"):
        transport(hosts="example.org")


@pytest.mark.parametrize("host", ["example.org:8443", "https://example.org", "me@example.org", "[::1]", ""])
def test_hosts_that_no_request_goes_to(host: str) -> None:
    """A host with a port, a scheme or a user would match nothing: it is refused."""
    with pytest.raises(ValueError, match="hosts must be names or addresses alone"):
        AsyncDeadlineTransport(hosts=[host])


async def test_hosts_in_any_case_and_place() -> None:
    """A host is compared without its case, port and user; one that only ends alike is another."""
    told: dict[str, bool] = {}

    async def note(request: httpx.Request) -> httpx.Response:
        told[str(request.url)] = "deadline-budget" in request.headers
        return httpx.Response(200)

    transport = AsyncDeadlineTransport(httpx.MockTransport(note), hosts=["Shop.example", "*.bank.example", "::1"])
    yes = ["http://SHOP.example:81/", "http://me:it@shop.example/", "https://a.b.bank.example/", "http://[::1]:8080/"]
    no = [
        "http://bank.example/",
        "http://evilbank.example/",
        "http://shop.example@evil.example/",
        "http://x/shop.example",
    ]
    async with httpx.AsyncClient(transport=transport) as asking, timeout(1.0):
        for url in yes + no:
            await asking.get(url)
    assert list(told.values()) == [True] * len(yes) + [False] * len(no)

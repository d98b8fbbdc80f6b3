"""The budget in aiohttp: its client against its server, over real sockets."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.propagate import get_global_textmap, set_global_textmap
from prometheus_client import generate_latest

from tests.services.asgi_servers import figures, outcomes, until
from tests.support.scraping import registry_of_ours
from tracedtimeout import DeadlineExceeded, Outcome, budget, remaining, timeout
from tracedtimeout._core.figures._metrics import INTERRUPTIONS, REJECTIONS, THREADS_ABANDONED
from tracedtimeout.integrations.aiohttp import client_middleware, server_middleware
from tracedtimeout.integrations.asgi import exempt
from tracedtimeout.propagation import DeadlinePropagator, decode

pytestmark = pytest.mark.slow  # a real server, and sockets that wait on the real clock

SEEN: list[dict[str, str]] = []
RELEASED = threading.Event()


async def echo(request: web.Request) -> web.StreamResponse:
    SEEN.append({name.lower(): value for name, value in request.headers.items()})
    return web.Response(text=f"{remaining():.1f}")


async def onward(request: web.Request) -> web.StreamResponse:
    SEEN.append({name.lower(): value for name, value in request.headers.items()})
    await asyncio.sleep(0.03)
    raise web.HTTPFound(request.query.get("to", "/echo"))


async def silent(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(5.0)
    raise AssertionError("not ended")


async def dripping(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"drop")
    await asyncio.sleep(5.0)
    raise AssertionError("not ended")


async def dripping_on(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(500):
        await response.write(b"drop")
        await asyncio.sleep(0.01)
    return response


async def forbids_late(request: web.Request) -> web.StreamResponse:
    try:
        await asyncio.sleep(5.0)
    finally:
        raise web.HTTPForbidden  # its own answer, in clean-up


async def in_a_thread(request: web.Request) -> web.StreamResponse:
    await asyncio.to_thread(RELEASED.wait, 20)
    raise AssertionError("not ended")


async def forbidden(request: web.Request) -> web.StreamResponse:
    raise web.HTTPForbidden


@exempt
async def endless(request: web.Request) -> web.StreamResponse:
    return web.Response(text=str(remaining()))


async def sockets(request: web.Request) -> web.StreamResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await asyncio.sleep(0.1)
    await socket.send_str(str(remaining()))
    await socket.close()
    return socket


HANDLERS = (
    echo,
    onward,
    silent,
    dripping,
    dripping_on,
    forbids_late,
    in_a_thread,
    forbidden,
    endless,
    sockets,
)


@asynccontextmanager
async def serving(middleware: Any = None) -> AsyncIterator[str]:
    app = web.Application(middlewares=[] if middleware is None else [middleware])
    for handler in HANDLERS:
        app.router.add_get(f"/{handler.__name__}", handler)
    app.router.add_get("/item/{number}", echo)
    beneath = web.Application()
    beneath.router.add_get("/echo/{number}", echo)
    app.add_subapp("/beneath", beneath)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client(**options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that carries the budget, of a server that knows of none."""
    async with (
        serving() as url,
        aiohttp.ClientSession(url, middlewares=[client_middleware(**options)]) as made,
    ):
        yield made


@asynccontextmanager
async def server(**terms: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """A plain client of a server with the middleware."""
    async with serving(server_middleware(**terms)) as url, aiohttp.ClientSession(url) as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    SEEN.clear()


def milliseconds(headers: dict[str, str]) -> int:
    granted = decode("deadline-budget", headers["deadline-budget"])
    assert granted is not None
    return granted // 10**6


# The client


async def test_the_budget_goes_out() -> None:
    """A request carries what is left, and with nothing that shortens its own header it is as it was."""
    async with client() as asking:
        async with timeout(2.0), asking.get("/echo"):
            pass
        async with asking.get("/echo", headers={"deadline-budget": "70"}):
            pass
        async with asking.get("/echo", timeout=aiohttp.ClientTimeout(total=None)):
            pass
    assert milliseconds(SEEN[0]) < 2000
    assert [headers.get("deadline-budget") for headers in SEEN[1:]] == ["70", None]
    assert all("grpc-timeout" not in headers for headers in SEEN)


async def test_each_redirect_says_what_is_left_then() -> None:
    """The header is made anew for a redirect: less is left."""
    async with client() as asking, timeout(2.0), asking.get("/onward"):
        pass
    first, second = map(milliseconds, SEEN)
    assert first - second >= 29


async def test_hosts_limit_where_the_header_goes() -> None:
    """A host that is not named is not told."""
    async with client(hosts=["localhost"]) as asking, timeout(2.0):
        async with asking.get("/echo"):
            pass
        url = str(asking._base_url).rstrip("/")
        elsewhere = url.replace("127.0.0.1", "localhost")
        async with asking.get(f"{elsewhere}/onward", params={"to": f"{url}/echo"}):
            pass
    assert ["deadline-budget" in headers for headers in SEEN] == [False, True, False]


@pytest.mark.parametrize(
    ("left", "session", "request_s", "asked", "most"),
    [
        (5.0, 0.5, None, None, 500),
        (None, 0.5, None, None, 500),
        (None, 0.5, 9.0, None, 9000),
        (5.0, None, 0.5, None, 500),
        (5.0, 60.0, None, "500", 500),
        (2.0, 60.0, None, "9000", 2000),
        (None, 60.0, 0.5, "9000", 500),
    ],
)
async def test_what_is_told_is_the_least(
    left: float | None, session: float | None, request_s: float | None, asked: str | None, most: int
) -> None:
    """A callee is told no more than its caller waits: of the budget, the total and the caller's own header."""
    options: Any = {} if request_s is None else {"timeout": aiohttp.ClientTimeout(total=request_s)}
    limits = aiohttp.ClientTimeout(total=session)
    mine = client_middleware()
    async with serving() as url, timeout(left):
        for middlewares in ([mine], [passing, mine], [mine, passing], [passing, passing, mine]):
            async with aiohttp.ClientSession(url, middlewares=middlewares, timeout=limits) as asking:
                await asking.get("/echo", headers={} if asked is None else {"Deadline-Budget": asked}, **options)
    assert all(most - 150 < milliseconds(headers) <= most for headers in SEEN)


async def passing(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    return await handler(request)


async def test_a_redirect_takes_of_the_total() -> None:
    """The total is that of a call with all its redirects: what they took is not granted again."""
    async with client() as asking:
        await asking.get("/onward", params={"to": "/onward"}, timeout=aiohttp.ClientTimeout(total=1.0))
    assert [milliseconds(headers) <= 1000 - 30 * hop for hop, headers in enumerate(SEEN)] == [True] * 3
    assert len(SEEN) == 3


async def test_the_next_call_has_its_own_total() -> None:
    """A redirect that nobody follows leaves nothing behind for the calls after it."""
    async with client() as asking:
        await asking.get("/onward", allow_redirects=False, timeout=aiohttp.ClientTimeout(total=0.5))
        await asyncio.sleep(0.3)
        await asking.get("/echo", timeout=aiohttp.ClientTimeout(total=0.5))
    assert milliseconds(SEEN[1]) > 400


async def test_a_redirect_to_another_origin_loses_the_headers() -> None:
    """Where no hosts are named, who was not asked is not told, the caller's own header included."""
    async with client() as asking, serving() as other, timeout(2.0):
        own = {"deadline-budget": "1500"}
        await asking.get("/onward", params={"to": f"{other}/onward?to={other}/echo"})
        await asking.get("/onward", params={"to": f"{other}/echo"}, headers=own)
        await asking.get(f"{other}/echo")
    told = ["deadline-budget" in headers for headers in SEEN]
    assert told == [*(True, False, False), *(True, False), True]


@pytest.mark.parametrize("hosts", [["localhost"], None])
async def test_what_an_instrumentation_puts_there(hosts: list[str] | None) -> None:
    """OpenTelemetry's instrumentation of the session says neither more nor to others than the door does."""
    before = get_global_textmap()
    set_global_textmap(DeadlinePropagator())
    instrumentor = AioHttpClientInstrumentor()
    instrumentor.instrument()
    try:
        async with client(hosts=hosts) as asking, serving() as other, timeout(2.0):
            await asking.get("/onward", params={"to": f"{other}/echo"}, headers={"deadline-budget": "500"})
    finally:
        instrumentor.uninstrument()
        set_global_textmap(before)  # an empty one extracts no context at all
    told = [{"deadline-budget", "grpc-timeout"} & {*headers} != set() for headers in SEEN]
    assert told == [hosts is None, False]
    assert hosts is not None or milliseconds(SEEN[0]) <= 2000


async def test_another_attempt_has_its_own_budget() -> None:
    """A middleware that tries again under a longer limit is told that limit, not the first one's."""

    async def twice(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        with budget(0.5):
            (await handler(request)).close()
        with budget(1.0):
            return await handler(request)

    async with serving() as url, aiohttp.ClientSession(url, middlewares=[twice, client_middleware()]) as asking:
        await asking.get("/echo")
    assert milliseconds(SEEN[0]) <= 500 < milliseconds(SEEN[1]) <= 1000


async def test_a_504_just_before_the_deadline_names_the_hop() -> None:
    """When a callee's deadline passed just before its caller's, that is what the caller's exception says."""

    async def just_before(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        response = await handler(request)
        time.sleep(max(0.0, remaining() - 0.003))  # noqa: ASYNC251  # a timer would be late now and then
        return response

    async with (
        serving(server_middleware()) as url,
        aiohttp.ClientSession(url, middlewares=[client_middleware(), just_before]) as asking,
    ):
        with budget(0.1), pytest.raises(DeadlineExceeded) as caught:
            await asking.get("/silent", headers={"deadline-budget": "10"})
    hop = url.removeprefix("http://")
    assert caught.value.__notes__ == [f"{hop} answered 504 with deadline-expired"]


async def test_a_spent_budget_sends_nothing() -> None:
    """With the budget spent the request fails at once, unsent, and says whose deadline it was."""
    async with client() as asking, timeout(60.0):
        with budget(0.0), pytest.raises(DeadlineExceeded) as caught:
            await asking.get("/echo")
    assert (caught.value.owner, SEEN) == ("_budget", [])


async def test_clean_up_after_an_expiry_is_sent() -> None:
    """In clean-up after an expiry the deadline that fired binds no more: the request is sent, with its own limit."""
    async with client() as asking:
        with pytest.raises(DeadlineExceeded):
            async with timeout(0.01):
                try:
                    await asyncio.sleep(5.0)
                finally:
                    await asking.get("/echo")
    assert 299_000 < milliseconds(SEEN[0]) < 300_000


@pytest.mark.parametrize("path", ["/silent", "/dripping"])
async def test_a_silent_server_ends_as_the_timeout(path: str) -> None:
    """The timeout around a request fires, as around anything else."""
    async with client() as asking:
        t = timeout(0.1, name="ask")
        with pytest.raises(DeadlineExceeded):
            async with t, asking.get(path) as response:
                await response.read()
    assert t.outcome is Outcome.EXPIRED


async def test_a_budget_without_a_timer_ends_a_request() -> None:
    """A bare budget ends a request: before its response as ours, within the body as aiohttp's."""
    async with client() as asking:
        with budget(0.1), pytest.raises(DeadlineExceeded) as caught:
            await asking.get("/silent")
        with budget(0.1), pytest.raises(aiohttp.SocketTimeoutError):
            async with asking.get("/dripping") as response:
                await response.read()
    assert caught.value.owner == "_budget"


async def test_a_body_that_drips_ends_with_the_budget() -> None:
    """A bare budget bounds all of a body, and not only each wait for more of it."""
    async with client() as asking:
        with budget(0.1), pytest.raises(DeadlineExceeded) as caught:
            await (await asking.get("/dripping_on")).read()
        assert caught.value.owner == "_budget"
        with pytest.raises(DeadlineExceeded) as caught:
            async with timeout(0.1, name="reading"):
                await (await asking.get("/dripping_on")).read()
        assert caught.value.name == "reading"
    assert outcomes() == {("reading", "expired"): 1}


async def test_a_body_read_after_its_budget_was_left() -> None:
    """A budget that has been left ends no body that was begun under it."""
    async with client() as asking:
        with budget(0.05):
            response = await asking.get("/dripping_on")
        for _ in range(10):
            assert await response.content.readany()
        response.close()


async def test_the_wait_for_a_connection_is_told() -> None:
    """The header says what is left when a connection is there, not what was when one was asked for."""
    async with (
        serving() as url,
        aiohttp.ClientSession(
            url, middlewares=[client_middleware()], connector=aiohttp.TCPConnector(limit=1)
        ) as asking,
    ):
        async with timeout(60.0):
            blocking = await asking.get("/dripping_on")
            asyncio.get_running_loop().call_later(0.3, blocking.close)
            await asking.get("/echo")
    granted = decode("deadline-budget", SEEN[-1]["deadline-budget"])
    assert granted is not None
    assert granted <= 59.7e9


async def test_a_timeout_of_its_own_stays_aiohttp_s() -> None:
    """When the request's own timeout ends it, aiohttp's exception is raised, also with a budget."""
    async with client() as asking, timeout(60.0):
        with pytest.raises(TimeoutError) as caught:
            await asking.get("/silent", timeout=aiohttp.ClientTimeout(total=0.05))
    assert not isinstance(caught.value, DeadlineExceeded)


async def test_a_websocket_outlives_the_budget_it_was_opened_under() -> None:
    """A budget without a timer bounds the handshake of a WebSocket, not what is received by it."""
    async with client() as asking:
        with budget(0.05):
            socket = await asking.ws_connect("/sockets")
        assert await socket.receive_str() == "inf"
        await socket.close()


# The server


async def test_a_handler_sees_the_budget() -> None:
    """A handler runs under the least of what its caller granted and `maximum`, or under `default`."""
    async with server(default=3.0, maximum=8.0) as asking:
        seen = []
        for headers in ({"deadline-budget": "5000"}, {"grpc-timeout": "9S"}, {}, {"deadline-budget": "soon"}):
            async with asking.get("/echo", headers=headers) as response:
                seen.append(await response.text())
    assert seen == ["5.0", "8.0", "3.0", "3.0"]


async def test_expiry_before_the_response_is_a_504() -> None:
    """A handler that runs out of time is ended, and its peer gets a 504 that says nothing of what is inside."""
    async with server() as asking:
        async with asking.get("/silent", headers={"deadline-budget": "50"}) as response:
            answer = response.status, response.content_type, response.headers["deadline-expired"]
            problem = await response.json()
    assert answer == (504, "application/problem+json", "1")
    assert problem == {
        "type": "about:blank",
        "title": "Gateway Timeout",
        "status": 504,
        "detail": "The deadline has passed.",
    }
    assert outcomes() == {("GET /silent", "inherited"): 1}
    assert figures(INTERRUPTIONS) == {("GET /silent", "_remote"): 1}


async def test_expiry_after_the_response_started_cuts_it() -> None:
    """Once the response has started the connection is cut: it never looks complete."""
    async with server() as asking:
        async with asking.get("/dripping", headers={"deadline-budget": "50"}) as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
    assert outcomes() == {("GET /dripping", "inherited"): 1}


async def test_an_answer_of_its_own_in_clean_up() -> None:
    """A handler may still answer by raising once its deadline has fired: that took the deadline's place."""
    async with serving(server_middleware(default=0.05)) as url, aiohttp.ClientSession(url) as asking:
        assert (await asking.get("/forbids_late")).status == 403
    assert outcomes() == {("GET /forbids_late", "replaced"): 1}


async def test_a_thread_that_runs_on_is_counted() -> None:
    """A worker thread cannot be stopped: the peer gets its 504, and the thread is counted until it ends."""
    RELEASED.clear()
    async with serving(server_middleware(default=0.05)) as url, aiohttp.ClientSession(url) as asking:
        assert (await asking.get("/in_a_thread")).status == 504
        assert figures(THREADS_ABANDONED) == {("GET /in_a_thread",): 1}
        RELEASED.set()
        await until(lambda: figures(THREADS_ABANDONED) == {})


async def test_refusals() -> None:
    """What arrives expired, or with too little, is refused and no handler runs; in the dark it runs and is counted."""
    async with server(at_least=0.2) as asking:
        statuses = []
        for budget_ms in ("0", "100", "9000"):
            async with asking.get("/echo", headers={"deadline-budget": budget_ms}) as response:
                statuses.append(response.status)
    assert (statuses, len(SEEN)) == ([504, 504, 200], 1)
    async with server(at_least=0.2, dark=True) as asking, asking.get("/echo", headers={"deadline-budget": "0"}) as dark:
        assert await dark.text() == "inf"
    assert figures(REJECTIONS) == {
        ("GET /echo", "expired", "enforce"): 1,
        ("GET /echo", "at_least", "enforce"): 1,
        ("GET /echo", "expired", "dark"): 1,
    }


async def test_names() -> None:
    """A request is named by its method and canonical route, and neither an unknown path nor method adds a name."""
    async with server() as asking:
        for method, path in (
            ("GET", "/item/7"),
            ("GET", "/item/8"),
            ("GET", "/beneath/echo/9"),
            ("HEAD", "/item/9"),
            ("GET", "/nowhere"),
            ("GET", "/no/where"),
            ("PURGE", "/item/7"),
            ("GET", "/forbidden"),
        ):
            async with asking.request(method, path):
                pass
    assert outcomes() == {
        ("GET /item/{number}", "completed"): 2,
        ("GET /beneath/echo/{number}", "completed"): 1,
        ("HEAD /item/{number}", "completed"): 1,
        ("GET _unmatched", "completed"): 2,
        ("_OTHER _unmatched", "completed"): 1,
        ("GET /forbidden", "completed"): 1,
    }


async def test_exempt_handlers_and_websockets() -> None:
    """An exempt handler has no deadline, and `default` ends no WebSocket."""
    async with server(default=0.05) as asking:
        async with asking.get("/endless", headers={"deadline-budget": "1"}) as response:
            assert await response.text() == "inf"
        async with asking.ws_connect("/sockets") as socket:
            assert await socket.receive_str() == "inf"
    assert outcomes() == {("GET /sockets", "completed"): 1}


async def test_a_peer_that_only_asks_for_a_websocket() -> None:
    """Asking for a WebSocket where there is none is no way out of `default` and `maximum`."""
    async with server(maximum=0.05) as asking:
        headers = {"upgrade": "websocket", "connection": "close"}
        async with asking.get("/silent", headers=headers) as response:
            assert response.status == 504
    assert outcomes() == {("GET /silent", "expired"): 1}


async def test_a_hop() -> None:
    """Client and server together: what is left at the caller is what its peer has."""
    async with (
        serving(server_middleware()) as url,
        aiohttp.ClientSession(url, middlewares=[client_middleware()]) as asking,
        timeout(2.04),
        asking.get("/echo") as response,
    ):
        assert await response.text() == "2.0"
    assert outcomes()[("GET /echo", "completed")] == 1


def test_bad_terms() -> None:
    """Bad input is refused at the door, by name."""
    with pytest.raises(ValueError, match="maximum must not be negative, not -1"):
        server_middleware(maximum=-1)
    with pytest.raises(TypeError, match="hosts must be a collection of host names, not the string 'shop'"):
        client_middleware(hosts="shop")


async def test_known_routes_start_at_zero() -> None:
    """With the first request the expiries of all routes stand at 0, but for those that are exempt."""
    async with server() as asking, asking.get("/echo"):
        page = generate_latest(registry_of_ours()).decode()
    zeros = {line.partition('timeout="')[2].partition('"')[0] for line in page.splitlines() if _is_zero(line)}
    assert {"GET /echo", "GET /silent", "GET /dripping"} <= zeros
    assert not {name for name in zeros if name.startswith("HEAD") or name == "GET /endless"}


def _is_zero(line: str) -> bool:
    return line.startswith("tracedtimeout_expirations_total{") and line.endswith(" 0.0")

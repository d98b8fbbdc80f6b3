"""The budget in httpx and httpx2, against a real server on loopback."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import httpx
import httpx2
import pytest
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.propagate import get_global_textmap, set_global_textmap
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.services.asgi_servers import serving
from tests.services.blocking import in_thread
from tracedtimeout import DeadlineExceeded, Outcome, budget, remaining, timeout
from tracedtimeout.integrations import httpx as httpx_door
from tracedtimeout.integrations import httpx2 as httpx2_door
from tracedtimeout.propagation import DeadlinePropagator, decode

pytestmark = pytest.mark.slow  # a real server, and sockets that wait on the real clock


class Kit(NamedTuple):
    """A library and its door: the same tests for both."""

    lib: Any
    door: Any


KITS = {"httpx": Kit(httpx, httpx_door), "httpx2": Kit(httpx2, httpx2_door)}

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


@pytest.fixture(params=KITS)
def kit(request: pytest.FixtureRequest) -> Kit:
    return KITS[request.param]


@asynccontextmanager
async def client(kit: Kit, *, patience: float = 90.0, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = kit.door.AsyncDeadlineTransport(**options)
    async with serving(APP) as url, kit.lib.AsyncClient(transport=transport, base_url=url, timeout=patience) as made:
        yield made


@contextmanager
def sync_client(kit: Kit) -> Iterator[httpx.Client]:
    """A synchronous client, and the server in a loop and thread of its own."""
    transport = kit.door.DeadlineTransport()
    with in_thread(serving(APP)) as url, kit.lib.Client(transport=transport, base_url=url, timeout=90.0) as made:
        yield made


def milliseconds(headers: dict[str, str]) -> int:
    granted = decode("deadline-budget", headers["deadline-budget"])
    assert granted is not None
    return granted // 10**6


async def test_the_budget_goes_out(kit: Kit) -> None:
    """A request carries what is left, never more, and no other header of a deadline than was asked for."""
    async with client(kit) as asking, timeout(2.0):
        await asking.get("/echo")
    async with client(kit, headers=["grpc-timeout"]) as asking, timeout(2.0):
        await asking.get("/echo")
    granted = decode("grpc-timeout", SEEN[1]["grpc-timeout"])
    assert granted is not None
    assert max(granted // 10**6, milliseconds(SEEN[0])) < 2000
    assert ("grpc-timeout" in SEEN[0], "deadline-budget" in SEEN[1]) == (False, False)


async def test_without_a_budget_nothing_goes_out(kit: Kit) -> None:
    """With no deadline in force a request is as it was, its own header included."""
    async with client(kit) as asking:
        await asking.get("/echo")
        await asking.get("/echo", headers={"deadline-budget": "70"})
    assert [headers.get("deadline-budget") for headers in SEEN] == [None, "70"]


async def test_each_redirect_says_what_is_left_then(kit: Kit) -> None:
    """The header is made anew for a redirect: less is left."""
    async with client(kit) as asking, timeout(2.0):
        await asking.get("/onward", follow_redirects=True)
    first, second = map(milliseconds, SEEN)
    assert first - second >= 29


async def test_hosts_limit_where_the_header_goes(kit: Kit) -> None:
    """A host that is not named is not told, after a redirect from one that is neither."""
    async with client(kit, hosts=["localhost", "*.example.org"]) as asking, timeout(2.0):
        await asking.get("/echo")
        url = asking.base_url.copy_with(host="localhost")
        await asking.get(f"{url}/onward", params={"to": f"{asking.base_url}/echo"}, follow_redirects=True)
    assert ["deadline-budget" in headers for headers in SEEN] == [False, True, False]


@pytest.mark.parametrize("own", [None, 5.0, 0.5])
async def test_every_phase_gets_the_least(kit: Kit, own: float | None) -> None:
    """Each phase gets its own timeout or what is left as it begins, whichever is less; the request given stays."""
    phases = dict.fromkeys(PHASES, own)
    seen: list[dict[str, float]] = []

    async def note(request: Any) -> Any:
        seen.append({phase: request.extensions["timeout"].get(phase) for phase in PHASES})
        seen.append(dict(request.extensions["timeout"]))
        return kit.lib.Response(200)

    transport = kit.door.AsyncDeadlineTransport(kit.lib.MockTransport(note))
    request = kit.lib.Request("GET", "http://shop", extensions={"timeout": phases})
    async with timeout(1.0):
        await transport.handle_async_request(request)
    assert request.extensions == {"timeout": dict.fromkeys(PHASES, own)}
    assert "deadline-budget" not in request.headers
    if own == 0.5:
        assert seen == [dict.fromkeys(PHASES, 0.5)] * 2
    assert all(0.9 < left <= 1.0 or left == own for phase in seen for left in phase.values())


async def test_the_wait_for_a_connection_is_told(kit: Kit) -> None:
    """The header says what is left when a connection is there, not what was when one was asked for."""
    transport = kit.lib.AsyncHTTPTransport(limits=kit.lib.Limits(max_connections=1))
    events: list[str] = []

    async def trace(event: str, info: object) -> None:
        events.append(event)

    async with client(kit, transport=transport) as asking, timeout(60.0):
        async with asking.stream("GET", "/dripping") as blocking:
            waiting = asyncio.create_task(asking.get("/echo", extensions={"trace": trace}))
            await asyncio.sleep(0.3)
            await blocking.aclose()
            await waiting
    assert milliseconds(SEEN[-1]) <= 59_700
    assert "http11.send_request_headers.started" in events  # its user's own trace is told too


async def test_attempts_to_connect_are_told(kit: Kit) -> None:
    """What a transport's own attempts to connect took is not granted again."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    transport = kit.door.AsyncDeadlineTransport(kit.lib.AsyncHTTPTransport(retries=3))
    async with (
        kit.lib.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{port}", timeout=90.0) as asking,
        timeout(60.0),
    ):
        waiting = asyncio.create_task(asking.get("/echo"))
        await asyncio.sleep(0.2)  # the first two attempts were at once, the third is 0.5 s later
        async with serving(APP, port=port):
            await waiting
    assert milliseconds(SEEN[-1]) <= 59_500


def test_sync_attempts_are_told(kit: Kit) -> None:
    """The synchronous transport makes its headers as late."""
    told: list[bytes] = []

    def trace(event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            time.sleep(0.2)  # what a slow connection would take
        if event == "http11.send_request_headers.started":
            told.extend(value for name, value in info["request"].headers if name == b"deadline-budget")

    with sync_client(kit) as asking, budget(60.0):
        asking.get("/echo", extensions={"trace": trace})
    assert milliseconds(SEEN[-1]) <= 59_800
    assert [SEEN[-1]["deadline-budget"].encode()] == told


async def test_a_budget_spent_while_waiting_for_a_connection_is_not_sent(kit: Kit) -> None:
    """With the budget gone when a connection is there, nothing is written to it."""
    transport = kit.lib.AsyncHTTPTransport(limits=kit.lib.Limits(max_connections=1))
    async with client(kit, transport=transport) as asking:
        blocking = await asking.send(asking.build_request("GET", "/dripping"), stream=True)
        asyncio.get_running_loop().call_later(0.1, time.sleep, 0.1)  # so that no timer comes first
        asyncio.get_running_loop().call_later(0.1, asyncio.ensure_future, blocking.aclose())
        with budget(0.15), pytest.raises(DeadlineExceeded) as caught:
            await asking.get("/echo")
    assert caught.value.owner == "_budget"
    assert SEEN == []


async def test_a_spent_budget_sends_nothing(kit: Kit) -> None:
    """With the budget spent the request fails at once, unsent, and says whose deadline it was."""
    async with client(kit) as asking, timeout(60.0):
        with budget(0.0), pytest.raises(DeadlineExceeded) as caught:
            await asking.get("/echo")
    assert (caught.value.owner, SEEN) == ("_budget", [])


async def test_clean_up_after_an_expiry_is_sent(kit: Kit) -> None:
    """In clean-up after an expiry the deadline that fired binds no more: the request is sent."""
    async with client(kit) as asking:
        with pytest.raises(DeadlineExceeded):
            async with timeout(0.01):
                try:
                    await asyncio.sleep(5.0)
                finally:
                    await asking.get("/echo")
    assert [headers.get("deadline-budget") for headers in SEEN] == [None]


async def test_a_silent_server_ends_as_the_timeout(kit: Kit) -> None:
    """The timeout around a request fires, as around anything else, not httpx's own."""
    async with client(kit) as asking:
        t = timeout(0.1, name="ask")
        with pytest.raises(DeadlineExceeded):
            async with t:
                await asking.get("/silent")
    assert t.outcome is Outcome.EXPIRED


@pytest.mark.parametrize("path", ["/silent", "/dripping"])
async def test_a_budget_without_a_timer_ends_a_request(kit: Kit, path: str) -> None:
    """A bare budget ends a request in each phase, its body included."""
    async with client(kit) as asking:
        with budget(0.1), pytest.raises(DeadlineExceeded) as caught:
            await asking.get(path)
    assert caught.value.owner == "_budget"


async def test_a_timeout_of_its_own_stays_httpx_s(kit: Kit) -> None:
    """When the request's own timeout ends it, httpx's exception is raised, also with a budget."""
    async with client(kit) as asking, timeout(60.0):
        with pytest.raises(kit.lib.ReadTimeout):
            await asking.get("/silent", timeout=0.05)


@pytest.mark.parametrize("path", ["/silent", "/dripping"])
def test_sync_requests_end_with_the_budget(kit: Kit, path: str) -> None:
    """A blocking request ends with the budget: while it waits, and between the chunks of a body."""
    with sync_client(kit) as asking, budget(0.2):
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded) as caught:
            asking.get(path)
        assert (caught.value.owner, time.monotonic() - started < 3.0) == ("_budget", True)


def test_a_sync_body_read_when_the_budget_is_spent(kit: Kit) -> None:
    """A body that is first read when the budget is spent, and is not there yet, ends as the budget."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        kit.lib.Client(transport=kit.door.DeadlineTransport()) as asking,
    ):

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


def test_sync_requests_carry_the_budget(kit: Kit) -> None:
    """A blocking request carries what is left, anew on a redirect, and is not sent once the budget is spent."""
    with sync_client(kit) as asking:
        with budget(2.0):
            asking.get("/onward", follow_redirects=True)
        with budget(0.0), pytest.raises(DeadlineExceeded):
            asking.get("/echo")
        with budget(60.0), pytest.raises(kit.lib.ReadTimeout):
            asking.get("/silent", timeout=0.05)
    first, second, _ = map(milliseconds, SEEN)
    assert 2000 > first >= second + 29


# Whom it tells, and what


async def told_to(kit: Kit, url: str, given: dict[str, str] | None = None, **options: Any) -> dict[str, str]:
    """The headers of a request to `url`, as the transport within ours is given them."""
    seen: list[dict[str, str]] = []

    async def note(request: Any) -> Any:
        seen.append(dict(request.headers))
        return kit.lib.Response(200)

    transport = kit.door.AsyncDeadlineTransport(kit.lib.MockTransport(note), **options)
    async with kit.lib.AsyncClient(transport=transport, timeout=90.0) as asking:
        await asking.get(url, headers=given)
    return seen[0]


async def test_hosts_that_are_not_listed_get_no_header_of_ours(kit: Kit) -> None:
    """Neither a header of the door, nor one that the caller or an instrumentation put there; others stay."""
    given = {"deadline-budget": "70", "grpc-timeout": "1S", "connect-timeout-ms": "9", "x-mine": "1"}
    own = ["deadline-budget", "connect-timeout-ms"]
    for bound in (None, 2.0):
        async with timeout(bound):
            seen = await told_to(kit, "http://elsewhere.example", given, hosts=kit.door.PRIVATE, headers=own)
        assert {*given} & {*seen} == {"x-mine"}


async def test_private_hosts(kit: Kit) -> None:
    """`PRIVATE`, alone or with others, tells one's own network."""
    async with timeout(2.0):
        hosts = [*kit.door.PRIVATE, "*.example.org"]
        seen = [await told_to(kit, f"http://{host}/", hosts=hosts) for host in ("bank", "a.example.org", "8.8.8.8")]
    assert ["deadline-budget" in headers for headers in seen] == [True, True, False]


@pytest.mark.parametrize(
    ("left", "patience", "asked", "most"),
    [
        (5.0, 0.5, None, 500),
        (5.0, 90.0, "50", 50),
        (2.0, 90.0, "9000", 2000),
        (2.0, 0.5, "9000", 500),
        (2.0, 90.0, "soon", 2000),
        (None, 0.5, "9000", 500),
    ],
)
async def test_what_is_told_is_the_least(
    kit: Kit, left: float | None, patience: float, asked: str | None, most: int
) -> None:
    """A callee is told no more than its caller waits: of the budget, the read timeout and the caller's own header."""
    async with client(kit, patience=patience) as asking, timeout(left):
        await asking.get("/echo", headers={} if asked is None else {"Deadline-Budget": asked})
    assert 0 < milliseconds(SEEN[0]) <= most


async def test_the_callers_other_headers_are_tightened(kit: Kit) -> None:
    """A header of another kind that the caller set tells the least as well."""
    async with client(kit) as asking, timeout(2.0):
        await asking.get("/echo", headers={"connect-timeout-ms": "9000"})
        await asking.get("/echo", headers={"connect-timeout-ms": "50"})
    assert int(SEEN[0]["connect-timeout-ms"]) <= 2000
    assert max(int(SEEN[1]["connect-timeout-ms"]), milliseconds(SEEN[1])) <= 50


async def test_a_redirect_to_another_origin_loses_the_headers(kit: Kit) -> None:
    """Where no hosts are named, who was not asked is not told, the caller's own header included."""
    async with client(kit) as asking, serving(APP) as other, timeout(2.0):
        here, own = str(asking.base_url).rstrip("/"), {"deadline-budget": "1500"}
        await asking.get("/onward", params={"to": f"{other}/onward?to={other}/echo"}, follow_redirects=True)
        await asking.get("/onward", params={"to": f"{other}/echo"}, headers=own, follow_redirects=True)
        await asking.get(f"{other}/echo")
        answer = await asking.get("/onward", params={"to": f"{other}/onward?to={here}/echo"})
        while answer.next_request is not None:
            answer = await asking.send(answer.next_request)
    told = ["deadline-budget" in headers for headers in SEEN]
    assert told == [*(True, False, False), *(True, False), True, *(True, False, True)]


@pytest.mark.parametrize("hosts", [["localhost"], None])
async def test_what_an_instrumentation_puts_there(kit: Kit, hosts: list[str] | None) -> None:
    """OpenTelemetry's instrumentation within the transport says neither more nor to others than the door does."""
    before = get_global_textmap()
    set_global_textmap(DeadlinePropagator())
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument()
    try:
        async with client(kit, hosts=hosts) as asking, timeout(2.0):
            await asking.get("/echo", headers={"deadline-budget": "500"})
    finally:
        instrumentor.uninstrument()
        set_global_textmap(before)  # an empty one extracts no context at all
    assert ("deadline-budget" in SEEN[0], "grpc-timeout" in SEEN[0]) == (hosts is None, False)
    assert hosts is not None or milliseconds(SEEN[0]) <= 500


async def test_a_504_just_before_the_deadline_names_the_hop(kit: Kit) -> None:
    """When a callee's deadline passed just before its caller's, that is what the caller's exception says."""
    answer = kit.lib.Response(504, headers={"deadline-expired": "1"})

    def just_before(request: Any) -> Any:
        time.sleep(max(0.0, remaining() - 0.003))
        return answer

    async def asking() -> None:
        transport = kit.door.AsyncDeadlineTransport(kit.lib.MockTransport(just_before))
        async with kit.lib.AsyncClient(transport=transport) as client:
            await client.get("http://bank:8080/pay")

    note = ["bank:8080 answered 504 with deadline-expired"]
    with budget(0.05), pytest.raises(DeadlineExceeded) as caught:
        await asking()
    assert caught.value.__notes__ == note
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(0.05):
            await asking()
    assert caught.value.__cause__ is not None
    assert getattr(caught.value.__cause__, "__notes__", None) == note
    transport = kit.door.DeadlineTransport(kit.lib.MockTransport(just_before))
    with kit.lib.Client(transport=transport) as client, budget(0.05), pytest.raises(DeadlineExceeded) as caught:
        client.get("http://bank:8080/pay")
    assert caught.value.__notes__ == note


async def test_a_504_with_time_left_is_an_answer(kit: Kit) -> None:
    """A callee's deadline that passed long before its caller's is its own affair."""
    answer = kit.lib.Response(504, headers={"deadline-expired": "1"})
    transport = kit.door.AsyncDeadlineTransport(kit.lib.MockTransport(lambda request: answer))
    async with kit.lib.AsyncClient(transport=transport) as asking, timeout(2.0):
        assert (await asking.get("http://bank/")).status_code == 504


@pytest.mark.parametrize(("door", "given"), [(httpx_door, httpx2), (httpx2_door, httpx)])
async def test_the_other_library_s_client_is_refused(door: Any, given: Any) -> None:
    """The door of one library says so when a client of the other is given it."""
    async with given.AsyncClient(transport=door.AsyncDeadlineTransport()) as asking:
        with pytest.raises(TypeError, match=f"a door of .* was given a Request of {given.__name__}: each has its own"):
            await asking.get("http://bank/")

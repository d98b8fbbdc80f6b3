"""Requests end at their deadlines, behind real servers over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from typing import Any

import httpx
import pytest

from tests.services.asgi_servers import (
    LONG,
    SERVERS,
    SHORT,
    Receive,
    Recorder,
    Scope,
    Send,
    client,
    figures,
    forever,
    hello,
    middleware,
    outcomes,
    respond,
    serving,
    status_of,
    stuck,
    stuck_or_hello,
    until,
)
from tracedtimeout import View, detach, remaining, timeout
from tracedtimeout._core import _observers
from tracedtimeout._core.figures._metrics import (
    EXPIRATIONS,
    INTERRUPTIONS,
    RECEIVED,
    REJECTIONS,
    THREADS_ABANDONED,
)
from tracedtimeout.integrations.asgi import DeadlineMiddleware

pytestmark = pytest.mark.slow  # real sockets, so the real clock


async def lifespanless(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await respond(send)


# Expiry


@pytest.mark.parametrize("server", SERVERS)
async def test_expiry_before_the_response_starts_is_a_504(server: str) -> None:
    """A request whose deadline passes before its response starts is answered with 504 and a problem of RFC 9457."""
    async with client(middleware(stuck), server) as http:
        response = await http.get("/stuck/7", headers=SHORT)
    assert response.status_code == 504
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["deadline-expired"] == "1"
    assert response.json() == {
        "type": "about:blank",
        "title": "Gateway Timeout",
        "status": 504,
        "detail": "The deadline has passed.",
    }
    assert outcomes() == {("GET /stuck", "inherited"): 1}
    assert figures(INTERRUPTIONS) == {("GET /stuck", "_remote"): 1}
    assert figures(RECEIVED) == {("deadline-budget",): 1}


async def test_the_default_is_the_requests_own() -> None:
    """Without a header the default holds, and the request's timeout owns the expiry."""
    async with client(middleware(stuck, default=0.05)) as http:
        response = await http.get("/stuck")
    assert response.status_code == 504
    assert outcomes() == {("GET /stuck", "expired"): 1}
    assert figures(EXPIRATIONS) == {("GET /stuck", "expired"): 1}


async def test_a_head_request_gets_no_body() -> None:
    """The 504 to HEAD has the headers of the body, and none."""
    async with client(middleware(stuck)) as http:
        response = await http.head("/stuck", headers=SHORT)
        assert (response.status_code, response.content) == (504, b"")
        assert int(response.headers["content-length"]) > 0


@pytest.mark.parametrize("server", SERVERS)
async def test_expiry_after_the_start_cuts_the_response(server: str) -> None:
    """Once the response has started it is cut off: no second start, no end that looks complete."""

    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"x" * 10, more=True)
        await forever()

    recorder = Recorder(middleware(streams))
    async with client(recorder, server) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/streams", headers=SHORT)
    assert recorder.sent == ["start 200", "body"]
    assert recorder.raised == ["DeadlineExceeded"]
    assert outcomes() == {("GET /streams", "inherited"): 1}


async def test_expiry_while_streaming_in_steps() -> None:
    """A stream that is alive is cut at its deadline as well, between two chunks."""

    async def ticks(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, b"", more=True)
        while True:
            await send({"type": "http.response.body", "body": b"tick", "more_body": True})
            await asyncio.sleep(0.001)

    async with client(middleware(ticks)) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/ticks", headers=SHORT)
    assert outcomes() == {("GET /ticks", "inherited"): 1}


@pytest.mark.parametrize("server", SERVERS)
async def test_expiry_after_the_response_is_complete(server: str) -> None:
    """What runs on after its response is ended too; its peer has all of its answer, and the next on its connection."""
    asked = asyncio.Event()

    async def background(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/next":
            asked.set()
            await until(outcomes)
            await respond(send, b"next")
            return
        await respond(send)
        await asked.wait()
        await forever()

    recorder = Recorder(middleware(background))
    async with client(recorder, server) as http:
        response = await http.get("/background", headers={"deadline-budget": "200"})
        assert (response.status_code, response.content) == (200, b"ok")
        assert (await http.get("/next")).content == b"next"
    assert (recorder.sent, recorder.raised) == (["start 200", "body"] * 2, [])
    assert outcomes() == {("GET /background", "inherited"): 1, ("GET /next", "completed"): 1}


async def test_detached_work_outlives_the_request() -> None:
    """Work created under `detach` is not ended with the request."""
    ended = asyncio.Event()

    async def commit() -> None:
        assert remaining() == float("inf")
        await asyncio.sleep(0.1)
        ended.set()

    async def detaches(scope: Scope, receive: Receive, send: Send) -> None:
        with detach():
            task = asyncio.create_task(commit())
        await asyncio.shield(task)
        pytest.fail("not cancelled")

    async with client(middleware(detaches)) as http:
        assert (await http.get("/detaches", headers=SHORT)).status_code == 504
        await ended.wait()


async def test_the_handler_sees_the_budget() -> None:
    """The handler's `remaining` is what is left of the caller's budget, and a nested timeout is bounded by it."""
    seen: list[tuple[bool, str, str]] = []

    async def looks(scope: Scope, receive: Receive, send: Send) -> None:
        async with timeout(300.0, name="nested") as t:
            seen.append((t.remaining() <= remaining() + 0.001 <= 60.001, t.owner, t.source))
        await respond(send)

    async with client(middleware(looks)) as http:
        assert (await http.get("/looks", headers=LONG)).status_code == 200
    assert seen == [(True, "_remote", "header")]


async def test_what_observers_see() -> None:
    """The request is one timeout, of kind ``request``, with the header as its source."""
    seen: list[tuple[str, str, str, str]] = []

    def observer(t: View) -> None:
        seen.append((t.name, t.kind, t.source, t.owner))

    _observers.add(observer)
    async with client(middleware(hello, default=5.0, maximum=90.0)) as http:
        await http.get("/hello", headers=LONG)
        await http.get("/hello")
    assert seen == [
        ("GET /hello", "request", "header", "_remote"),
        ("GET /hello", "request", "own", "GET /hello"),
    ]


async def test_what_the_peer_sees_of_us() -> None:
    """Nothing of our internals is in the bytes of a 504: no name, path, limit, owner or place."""
    async with serving(middleware(stuck, default=0.0625)) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET /stuck/secret HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = (await reader.read()).decode()
        writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.splitlines()[0] == "HTTP/1.1 504 Gateway Timeout"
    assert {line.partition(":")[0].lower() for line in head.splitlines()[1:]} == {
        "date", "server", "content-type", "content-length", "deadline-expired", "connection",
    }  # fmt: skip
    assert set(json.loads(body)) == {"type", "title", "status", "detail"}
    for secret in ("stuck", "secret", "0.06", "62", "_remote", "asgi", "DeadlineExceeded", "Traceback"):
        assert secret not in body + head.replace("content-length", "")


# The application's own errors


@pytest.mark.parametrize("server", SERVERS)
async def test_the_applications_own_timeout_is_a_500(server: str) -> None:
    """A TimeoutError of the application's own is neither ours nor a 504."""

    async def raises(scope: Scope, receive: Receive, send: Send) -> None:
        raise TimeoutError("a database's")

    recorder = Recorder(middleware(raises, default=5.0))
    async with client(recorder, server) as http:
        assert (await http.get("/raises")).status_code == 500
    assert recorder.raised == ["TimeoutError"]
    assert outcomes() == {("GET /raises", "failed"): 1}


async def test_a_nested_timeouts_expiry_is_a_500() -> None:
    """A timeout of the application's own that expires is its business, though it raises DeadlineExceeded."""

    async def nested(scope: Scope, receive: Receive, send: Send) -> None:
        async with timeout(0.01, name="nested"):
            await forever()

    recorder = Recorder(middleware(nested, default=5.0))
    async with client(recorder) as http:
        assert (await http.get("/nested")).status_code == 500
    assert recorder.raised == ["DeadlineExceeded"]
    assert outcomes() == {("GET /nested", "failed"): 1, ("nested", "expired"): 1}


async def test_an_answer_given_while_expiring_is_the_applications() -> None:
    """An application that catches the cancellation may still answer for itself."""

    async def falls_back(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            await respond(send, b"from the cache")

    async with client(middleware(falls_back, default=0.02)) as http:
        response = await http.get("/falls_back")
    assert (response.status_code, response.content) == (200, b"from the cache")
    assert outcomes() == {("GET /falls_back", "suppressed"): 1}


async def test_an_answer_that_comes_too_late_is_dropped() -> None:
    """An application that does not stop when told to is answered for; what it sends after that goes nowhere."""

    async def clings(scope: Scope, receive: Receive, send: Send) -> None:
        while not recorder.sent:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)
        await respond(send, b"at last")

    recorder = Recorder(middleware(clings))
    async with client(recorder) as http:
        assert (await http.get("/clings", headers=SHORT)).status_code == 504
        await until(outcomes)
    assert (recorder.sent, recorder.raised) == (["start 504", "body"], [])


async def test_what_outlives_the_request_answers_no_more() -> None:
    """Detached work that answers after the 504 starts no second response, and is told nothing of that."""
    answered: list[asyncio.Task[None]] = []

    async def later(send: Send) -> None:
        await until(lambda: "body" in recorder.sent)
        await respond(send, b"later")

    async def detaches(scope: Scope, receive: Receive, send: Send) -> None:
        with detach():
            answered.append(asyncio.create_task(later(send)))
        await asyncio.shield(answered[0])

    recorder = Recorder(middleware(detaches))
    async with client(recorder) as http:
        assert (await http.get("/detaches", headers=SHORT)).status_code == 504
        await answered[0]
    assert (recorder.sent, recorder.raised) == (["start 504", "body"], [])


# Connections


@pytest.mark.parametrize("server", ["h11", "httptools"])
async def test_a_connection_is_reused_after_a_504(server: str) -> None:
    """After a 504 the same connection serves the next request, if the application has read the first one's body."""
    ports: list[int] = []

    async def notes(scope: Scope, receive: Receive, send: Send) -> None:
        ports.append(scope["client"][1])
        await receive()
        await stuck_or_hello(scope, receive, send)

    async with client(middleware(notes)) as http:
        statuses = []
        for path in ("/hello", "/stuck", "/hello", "/stuck", "/hello"):
            response = await http.post(path, headers=SHORT, content=b"order")
            statuses.append(response.status_code)
    assert statuses == [200, 504, 200, 504, 200]
    assert len(set(ports)) == 1


async def test_http2_streams_expire_alone() -> None:
    """On one HTTP/2 connection a stream that expires leaves the others be."""
    async with client(middleware(stuck_or_hello), "hypercorn") as http:
        waiting = asyncio.create_task(http.get("/stuck", headers={"deadline-budget": "200"}))
        hellos = [(await http.get("/hello", headers=LONG)).status_code for _ in range(5)]
        assert (hellos, (await waiting).status_code) == ([200] * 5, 504)


@pytest.mark.parametrize("server", ["h11", "httptools"])
async def test_a_thousand_at_once(server: str) -> None:
    """Of 1,000 concurrent requests those that expire get 504, the others their answer, and all are counted."""
    expired = asyncio.Event()
    statuses: list[int] = []

    async def half(scope: Scope, receive: Receive, send: Send) -> None:
        await (forever() if scope["path"].startswith("/stuck") else expired.wait())
        await respond(send)

    async def ask(url: str, number: int) -> None:
        path, ms = (f"/stuck/{number}", 1000) if number % 2 else (f"/kept/{number}", 60_000)
        statuses.append(await status_of(url, path, f"deadline-budget: {ms}"))
        if statuses.count(504) == 500:
            expired.set()

    async with serving(middleware(half), server) as url:
        async with asyncio.TaskGroup() as group:
            for number in range(1000):
                group.create_task(ask(url, number))
    assert (statuses.count(504), statuses.count(200)) == (500, 500)
    ended = {name: count for (name, _), count in outcomes().items()}
    assert ended == {"GET /stuck": 500, "GET /kept": 500}
    assert (
        figures(INTERRUPTIONS).get(("GET /stuck", "_remote"), 0)
        + figures(REJECTIONS).get(("GET /stuck", "expired", "enforce"), 0)
        == 500
    )


# Other scopes


@pytest.mark.parametrize("server", SERVERS)
async def test_the_lifespan_passes(server: str) -> None:
    """Start-up and shutdown pass through, with no timeout and no count."""
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while scope["type"] == "lifespan":
            message = await receive()
            seen.append(message["type"])
            await asyncio.sleep(0.03)
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
        await respond(send)

    async with client(middleware(app, default=0.01), server, lifespan=True) as http:
        assert (await http.get("/")).status_code == 200
    assert seen == ["lifespan.startup", "lifespan.shutdown"]
    assert {name for name, _ in outcomes()} == {"GET /"}


async def test_an_app_without_a_lifespan() -> None:
    """An application that raises for the lifespan is served as without us."""
    async with client(middleware(lifespanless), lifespan=True) as http:
        assert (await http.get("/")).status_code == 200


# Threads


async def test_a_thread_that_runs_on_is_counted() -> None:
    """A worker thread cannot be stopped: the peer gets its 504, and the thread is counted until it ends."""
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait(20)
        ended.set()

    async def threaded(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.to_thread(work)

    async with client(middleware(threaded)) as http:
        assert (await http.get("/threaded", headers=SHORT)).status_code == 504
        assert (figures(THREADS_ABANDONED), ended.is_set()) == ({("GET /threaded",): 1}, False)
        release.set()
        await until(lambda: figures(THREADS_ABANDONED) == {})
        assert ended.is_set()


# Configuration


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"default": -1.0}, ValueError, "default must not be negative, not -1.0"),
        ({"maximum": float("nan")}, ValueError, "maximum must be a number of seconds, not nan"),
        ({"at_least": "1"}, TypeError, "at_least must be a number of seconds, not '1'"),
        ({"at_least": None}, TypeError, "at_least must be a number of seconds, not None"),
        ({"accept": None}, TypeError, r"accept must be some of .*, not None"),
        ({"route_of": "/"}, TypeError, "route_of must be a function of the scope, not '/'"),
        ({"accept": ("x-deadline",)}, ValueError, r"accept must be some of .*, not \('x-deadline',\)"),
        ({"accept": "grpc-timeout"}, ValueError, "accept must be some of"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """Bad input is refused at the door, naming parameter and value."""
    with pytest.raises(error, match=message):
        DeadlineMiddleware(hello, **options)

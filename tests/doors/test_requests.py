"""The budget in requests, against a real server on loopback."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.propagate import get_global_textmap, set_global_textmap
from requests.auth import HTTPDigestAuth
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from urllib3 import Retry, Timeout

from tests.services.asgi_servers import serving
from tests.services.blocking import in_thread
from tracedtimeout import DeadlineExceeded, budget, remaining
from tracedtimeout.integrations.requests import PRIVATE, DeadlineAdapter
from tracedtimeout.propagation import DeadlinePropagator, decode

pytestmark = pytest.mark.slow  # a real server, and sockets that wait on the real clock

SEEN: list[dict[str, str]] = []


async def echo(request: Request) -> Response:
    SEEN.append(dict(request.headers))
    return PlainTextResponse("done")


async def onward(request: Request) -> Response:
    SEEN.append(dict(request.headers))
    await asyncio.sleep(0.03)
    return RedirectResponse(request.query_params["to"])


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


async def busy(request: Request) -> Response:
    SEEN.append(dict(request.headers))
    await asyncio.sleep(0.05)
    return PlainTextResponse("busy", 503)


async def challenge(request: Request) -> Response:
    SEEN.append(dict(request.headers))
    if "authorization" in request.headers:
        return PlainTextResponse("done")
    return PlainTextResponse("who?", 401, headers={"www-authenticate": 'Digest realm="x", nonce="y", qop="auth"'})


async def expired(request: Request) -> Response:
    return PlainTextResponse("late", 504, headers={"deadline-expired": "1"})


HANDLERS = (echo, onward, silent, dripping, busy, challenge, expired)
APP = Starlette(routes=[Route(f"/{handler.__name__}", handler) for handler in HANDLERS])


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    SEEN.clear()


@contextmanager
def session(**options: Any) -> Iterator[tuple[requests.Session, str]]:
    """A session with the adapter, and the URL of a server."""
    with in_thread(serving(APP)) as url, requests.Session() as made:
        made.mount("http://", DeadlineAdapter(**options))
        yield made, url


def milliseconds(headers: dict[str, str]) -> int:
    granted = decode("deadline-budget", headers["deadline-budget"])
    assert granted is not None
    return granted // 10**6


def told() -> list[bool]:
    return ["deadline-budget" in headers or "grpc-timeout" in headers for headers in SEEN]


def test_the_budget_goes_out() -> None:
    """A request carries what is left; without a budget it is as it was, its own header included."""
    with session() as (asking, url):
        with budget(2.0):
            asking.get(f"{url}/echo")
        asking.get(f"{url}/echo", timeout=0.5)
        asking.get(f"{url}/echo", headers={"deadline-budget": "70"})
    assert milliseconds(SEEN[0]) < 2000
    assert [headers.get("deadline-budget") for headers in SEEN[1:]] == [None, "70"]
    assert all("grpc-timeout" not in headers for headers in SEEN)


@pytest.mark.parametrize(
    ("timeout", "asked", "most"),
    [
        (0.5, None, 500),
        ((9.0, 0.5), None, 500),
        (Timeout(connect=9.0, read=0.5), None, 500),
        (Timeout(total=0.5), None, 500),
        (Timeout(), None, 2000),
        (None, "50", 50),
        (9.0, "9000", 2000),
    ],
)
def test_what_is_told_is_the_least(timeout: Any, asked: str | None, most: int) -> None:
    """A callee is told no more than its caller waits: of the budget, the read timeout and the caller's own header."""
    with session() as (asking, url), budget(2.0):
        asking.get(f"{url}/echo", timeout=timeout, headers={} if asked is None else {"Deadline-Budget": asked})
    assert 0 < milliseconds(SEEN[0]) <= most


def test_a_tuple_of_three_is_refused() -> None:
    """A timeout that requests would not take is refused in its words."""
    three: Any = (1, 2, 3)
    with session() as (asking, url), pytest.raises(ValueError, match="timeout must be seconds, or a tuple"):
        asking.get(f"{url}/echo", timeout=three)


def test_a_spent_budget_sends_nothing() -> None:
    """With the budget spent the request fails at once, unsent, and says whose deadline it was."""
    with session() as (asking, url), budget(0.0), pytest.raises(DeadlineExceeded) as caught:
        asking.get(f"{url}/echo")
    assert (caught.value.owner, SEEN) == ("_budget", [])


@pytest.mark.parametrize("path", ["silent", "dripping"])
def test_requests_end_with_the_budget(path: str) -> None:
    """A request ends with the budget: while it waits, and between the chunks of a body."""
    with session() as (asking, url), budget(0.2), pytest.raises(DeadlineExceeded) as caught:
        asking.get(f"{url}/{path}")
    assert caught.value.owner == "_budget"


def test_a_body_that_stalls_ends_with_the_budget() -> None:
    """A wait for more of a body ends when the budget is spent."""
    with socket.create_server(("127.0.0.1", 0)) as listening, requests.Session() as asking:
        asking.mount("http://", DeadlineAdapter())

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n")
                connection.recv(1)  # until the client has gone

        thread = threading.Thread(target=answer)
        thread.start()
        with budget(0.1), pytest.raises(DeadlineExceeded):
            asking.get(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        thread.join()


def test_a_timeout_of_its_own_stays_that_of_requests() -> None:
    """When the request's own timeout ends it, the exception of requests is raised, also with a budget."""
    with session() as (asking, url), budget(60.0), pytest.raises(requests.ReadTimeout):
        asking.get(f"{url}/silent", timeout=0.05)


def test_attempts_are_told_and_counted() -> None:
    """Each of urllib3's attempts carries what is left then, and none begins when the budget is spent."""
    again = Retry(total=20, status_forcelist=[503], backoff_factor=0)
    with session(max_retries=again) as (asking, url), budget(0.4), pytest.raises(DeadlineExceeded) as caught:
        asking.get(f"{url}/busy")
    left = list(map(milliseconds, SEEN))
    assert (caught.value.owner, 1 < len(left) < 10) == ("_budget", True)
    assert all(later <= earlier - 45 for earlier, later in itertools.pairwise(left))


def test_hosts() -> None:
    """Hosts that are not listed get no header of ours, nor the caller's; those of `PRIVATE` do."""
    own = {"deadline-budget": "500"}
    with session(hosts=["localhost"]) as (asking, url):
        with budget(2.0):
            asking.get(f"{url}/echo", headers=own)
            asking.get(f"{url.replace('127.0.0.1', 'localhost')}/onward", params={"to": f"{url}/echo"}, headers=own)
        asking.get(f"{url}/echo", headers=own)
    with session(hosts=PRIVATE) as (asking, url), budget(2.0):
        asking.get(f"{url}/echo")
    assert told() == [False, True, False, False, True]


def test_a_redirect_to_another_origin_loses_the_headers() -> None:
    """Where no hosts are named, who was not asked is not told; each redirect says what is left then."""
    with session() as (asking, url), in_thread(serving(APP)) as other, budget(2.0):
        asking.get(f"{url}/onward", params={"to": f"{url}/echo"})
        asking.get(f"{url}/onward", params={"to": f"{other}/echo"}, headers={"deadline-budget": "1500"})
        asking.get(f"{other}/echo")
    assert told() == [True, True, True, False, True]
    assert milliseconds(SEEN[0]) - milliseconds(SEEN[1]) >= 29


@pytest.mark.parametrize("hosts", [["localhost"], None])
def test_what_an_instrumentation_puts_there(hosts: list[str] | None) -> None:
    """OpenTelemetry's instrumentation of the session says neither more nor to others than the door does."""
    before = get_global_textmap()
    set_global_textmap(DeadlinePropagator())
    instrumentor = RequestsInstrumentor()
    instrumentor.instrument()
    try:
        with session(hosts=hosts) as (asking, url), budget(2.0):
            asking.get(f"{url}/echo", timeout=0.5)
    finally:
        instrumentor.uninstrument()
        set_global_textmap(before)  # an empty one extracts no context at all
    assert told() == [hosts is None]
    assert hosts is not None or milliseconds(SEEN[0]) <= 500


def test_the_request_given_stays() -> None:
    """The headers of one attempt are not those of the next: an answer to a challenge has its own budget."""
    with session() as (asking, url):
        with budget(0.5):
            answer = asking.get(f"{url}/echo")
        assert "deadline-budget" not in answer.request.headers
        with budget(2.0):
            assert asking.get(f"{url}/challenge", auth=HTTPDigestAuth("me", "it")).status_code == 200
    assert told() == [True] * 3


def test_a_504_just_before_the_deadline_names_the_hop() -> None:
    """When a callee's deadline passed just before its caller's, that is what the caller's exception says."""

    class JustBefore(DeadlineAdapter):
        def build_response(self, *args: Any) -> requests.Response:
            time.sleep(max(0.0, remaining() - 0.003) if remaining() < 1.0 else 0.0)
            return super().build_response(*args)

    with session() as (asking, url):
        asking.mount("http://", JustBefore())
        with budget(2.0):
            assert asking.get(f"{url}/expired").status_code == 504
        with budget(0.1), pytest.raises(DeadlineExceeded) as caught:
            asking.get(f"{url}/expired")
    assert caught.value.__notes__ == [f"{url.removeprefix('http://')} answered 504 with deadline-expired"]


def test_a_session_pickles() -> None:
    """A session with the adapter can be handed to a process, as any other."""
    with session(hosts=["localhost"]) as (asking, url), budget(2.0):
        pickle.loads(pickle.dumps(asking)).get(f"{url.replace('127.0.0.1', 'localhost')}/echo")  # noqa: S301  # our own
    assert told() == [True]

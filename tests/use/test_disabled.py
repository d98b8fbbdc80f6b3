"""With TRACEDTIMEOUT_DISABLED=1 every wrapper is asyncio's, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio
import prometheus_client
import tracedtimeout
from tracedtimeout import *
from tracedtimeout._core.figures import _process
from tracedtimeout.integrations.asgi import DeadlineMiddleware

@with_timeout(0.01, name="decorated")
async def decorated():
    await asyncio.sleep(9)

async def free():
    return remaining()

async def app(scope, receive, send):
    print(scope["type"], remaining())

async def main():
    undo = install()
    try:
        async with timeout(0.01, name="a", at_least=5, reserve=1) as t:
            await asyncio.sleep(9)
    except TimeoutError as error:
        print(type(error).__name__, t.expired(), t.name, t.outcome, isinstance(t, asyncio.Timeout))
        print([(fact, getattr(t, fact)) for fact in ("kind", "source", "owner", "error", "where", "spent")])
        print(0 < t.limit <= 0.01 <= t.elapsed, t.overrun >= 0, t.remaining(), t.reschedules, isinstance(t, View))
    for awaitable in (decorated(), wait_for(asyncio.sleep(9), 0, name="b")):
        try:
            await awaitable
        except TimeoutError as error:
            print(type(error).__name__)
    with budget(0), detach():
        checkpoint()
    async with budget(None), detach():
        print(await budget(0)(detach()(free))(), budget(0)(detach()(remaining))())
    async with timeout_at(None), Timeout(None) as t:
        print(remaining(), t.remaining(), t.deadline())
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"deadline-budget", b"0")]}
    await DeadlineMiddleware(app, maximum=0.0, route_of=lambda scope: "/")(scope, None, None)
    undo()
    print(b"tracedtimeout" in prometheus_client.generate_latest(), _process.snapshot())

asyncio.run(main())
"""


def test_every_wrapper_is_asyncios_and_uncounted() -> None:
    """No subclass of TimeoutError, no budget, no family, no figure; what ours add is accepted and does nothing."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env={**os.environ, "TRACEDTIMEOUT_DISABLED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "TimeoutError True a expired True",
        "[('kind', 'timeout'), ('source', 'own'), ('owner', 'a'), ('error', None), ('where', None), ('spent', ())]",
        "True True 0.0 0 True",
        "TimeoutError",
        "TimeoutError",
        "inf inf",
        "inf inf None",
        "http inf",
        "False {}",
    ]


DOORS = """
import asyncio
import aiohttp
import httpx
from aiohttp import web
from tests.services.asgi_servers import path_of, respond
from tests.services.rpc import Payments, call, channel
from tracedtimeout import DeadlineExceeded, remaining, timeout
from tracedtimeout._core.figures import _process
from tracedtimeout.integrations.aiohttp import client_middleware, server_middleware
from tracedtimeout.integrations.asgi import EXEMPT, DeadlineMiddleware
from tracedtimeout.integrations.door import Door
from tracedtimeout.integrations.grpc import DeadlineServerInterceptor, client_interceptors

terms = {"default": 60.0, "maximum": 0.05}
spent = {"deadline-budget": "0"}

async def handler(request):
    print("deadline-budget" in request.headers, remaining())
    await asyncio.sleep(9 if request.path == "/slow" else 0.01)
    return web.Response()

async def over_aiohttp():
    app = web.Application(middlewares=[server_middleware(**terms)])
    app.router.add_get("/quick", handler)
    app.router.add_get("/slow", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with timeout(60.0), aiohttp.ClientSession(middlewares=[client_middleware()]) as asking:
        for path, headers in (("quick", {}), ("quick", spent), ("slow", {})):
            async with asking.get(f"http://127.0.0.1:{runner.addresses[0][1]}/{path}", headers=headers) as response:
                print(response.status, response.headers.get("deadline-expired"))
    await runner.cleanup()

async def app(scope, receive, send):
    await asyncio.sleep({"/slow": 9, "/exempt": 0.1}.get(scope["path"], 0.01))
    await respond(send)

async def over_asgi():
    def route_of(scope):
        return EXEMPT if scope["path"] == "/exempt" else path_of(scope)

    transport = httpx.ASGITransport(DeadlineMiddleware(app, route_of=route_of, **terms))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as asking:
        for path, headers in (("quick", spent), ("slow", {}), ("exempt", {})):
            answer = await asking.get(path, headers=headers)
            print(answer.status_code, answer.headers.get("deadline-expired"))

async def over_grpc():
    payments = Payments()
    doors = {"client": client_interceptors(), "server": [DeadlineServerInterceptor(**terms)]}
    async with timeout(60.0), channel(payments, **doors) as calling:
        for method in ("unary_unary", "unary_stream", "in_thread"):
            print(await call(calling, method, metadata=[("deadline-budget", "0")]))
        try:
            await call(calling, "unary_unary", b"wait")
        except Exception as error:
            print(error.code().name)
    print(payments.granted, payments.left)

async def by_door():
    for door, carrier in ((Door(**terms), spent), (Door(dark=True, **terms), None)):
        try:
            async with door.open("job", carrier, queued=True) as job:
                await asyncio.sleep(0.1)
            print(job.outcome)
        except DeadlineExceeded as error:
            print(job.kind, job.outcome, error.owner, str(error)[:32])

async def main():
    for ask in (over_asgi, over_aiohttp, over_grpc, by_door):
        await ask()

with Door(**terms).open("job", spent):
    print(remaining())
asyncio.run(main())
print(_process.snapshot())
"""


@pytest.mark.slow  # real servers in a process of its own
def test_doors_end_requests_and_no_more() -> None:
    """Every door still ends a request at its `default`, or `maximum`, and answers 504; none reads or writes a header,
    none counts anything, none has a budget for its handlers."""
    ran = subprocess.run(
        [sys.executable, "-c", DOORS],
        env={**os.environ, "TRACEDTIMEOUT_DISABLED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "inf",
        "200 None",  # ASGI: a spent header is not read
        "504 1",
        "200 None",  # exempt
        "False inf",
        "200 None",  # aiohttp
        "True inf",
        "200 None",
        "False inf",
        "504 1",
        "b'pay'",  # grpc
        "b'pay'",
        "b'pay'",
        "DEADLINE_EXCEEDED",
        "[None, None, None] [inf, inf, inf, inf]",
        "request expired job 'job' exceeded its 0.050 s deadl",
        "completed",  # in the dark
        "{}",
    ]


CLIENT = """
import httpx2
from tracedtimeout import budget
from tracedtimeout.integrations.httpx2 import DeadlineTransport

def note(request):
    print(request.headers.get("deadline-budget"))
    return httpx2.Response(200)

transport = DeadlineTransport(httpx2.MockTransport(note), hosts=["bank"])
with budget(0.0), httpx2.Client(transport=transport) as asking:
    asking.get("http://shop/", headers={"deadline-budget": "9000"})
"""


@pytest.mark.slow  # a process of its own
def test_clients_send_what_they_are_given() -> None:
    """A client door neither adds, nor shortens, nor takes out a header, whatever its hosts are."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", CLIENT],
        env={**os.environ, "TRACEDTIMEOUT_DISABLED": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("9000\n", "")

"""The ASGI door against a hand-written server, in virtual time: what it answers, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.services.asgi_servers import (
    App,
    Message,
    Receive,
    Scope,
    Send,
    figures,
    forever,
    middleware,
    outcomes,
    respond,
    stuck,
)
from tests.support import running_loop
from tracedtimeout import DeadlineExceeded, Timeout, View, detach, remaining, timeout
from tracedtimeout._core import _observers
from tracedtimeout._core.figures._metrics import HEADERS_IGNORED, REJECTIONS
from tracedtimeout.integrations.asgi import DeadlineMiddleware, _overdue
from tracedtimeout.propagation import HEADERS, decode
from tracedtimeout.testing import run

BUDGET = (b"deadline-budget", b"1000")


def scope_of(**more: object) -> Scope:
    return {"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": [], **more}


async def nothing_more() -> Message:
    await forever()
    return {}


def asked(app: App, receive: Receive = nothing_more, scope: Scope | None = None, **options: Any) -> list[object]:
    """What `app`, behind the door, answers to one request: the statuses and types of the messages."""
    sent: list[object] = []

    async def send(message: Message) -> None:
        sent.append(message.get("status", message["type"]))

    async def main() -> None:
        await asyncio.create_task(_served(middleware(app, **options), scope or scope_of(), receive, send))

    run(main())
    assert _overdue.answers == {}
    return sent


async def _served(app: Any, *arguments: Any) -> None:
    await app(*arguments)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await respond(send)


# Answering for an application that runs on


def unwinding(turns: int, blocked: float, seconds: float = 0.0) -> App:
    """An application that, once cancelled, answers for itself, after a turn of the loop that takes so long."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            running_loop().block(blocked)
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.sleep(seconds)
            await respond(send)

    return app


def test_a_blocked_loop_takes_nothing_from_the_application() -> None:
    """It has time to answer for itself after the loop was blocked for all of the grace."""
    assert asked(unwinding(3, blocked=0.12), default=1.0) == [200, "http.response.body"]


def test_the_grace_is_a_tenth_of_a_second() -> None:
    """Within it the application's answer counts, after it the 504, and never both."""
    assert asked(unwinding(0, 0.0, seconds=0.09), default=1.0) == [200, "http.response.body"]
    assert asked(unwinding(0, 0.0, seconds=0.11), default=1.0) == [504, "http.response.body"]


def test_what_comes_after_the_504_cuts_nothing() -> None:
    """An application that begins to answer when it has been answered for, and is ended then, cuts no connection."""

    async def begins(scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await forever()
        await asyncio.sleep(0.2)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"part", "more_body": True})
        raise asyncio.CancelledError

    assert asked(begins, default=1.0) == [504, "http.response.body"]


# Scopes


@pytest.mark.parametrize("root_path", ["", None, "/mounted", "left out"])
def test_any_root_path_is_served(root_path: str | None) -> None:
    """Servers may leave it out, and some say None."""
    scope = scope_of(root_path=root_path)
    if root_path == "left out":
        del scope["root_path"]
    assert asked(hello, scope=scope, default=1.0) == [200, "http.response.body"]


def test_lines_of_others_are_not_looked_at() -> None:
    """A header line that is none of ours may be of any shape."""
    scope = scope_of(headers=[[b"a", b"b", 1], (b"c",), [b"deadline-budget", b"1000"]])
    assert asked(stuck, scope=scope) == [504, "http.response.body"]


# Admission


@pytest.mark.parametrize("headers", [[], [BUDGET]])
def test_at_least_holds_beside_a_maximum(headers: list[tuple[bytes, bytes]]) -> None:
    """What counts is what is left in the end, whoever says so: the caller, the maximum, a timeout around the door."""
    scope = scope_of(headers=headers)
    assert asked(hello, scope=scope, maximum=0.01, at_least=0.05) == [504, "http.response.body"]
    assert figures(REJECTIONS) == {("GET /", "at_least", "enforce"): 1}


@pytest.mark.parametrize("headers", [[], [BUDGET]])
def test_at_least_holds_beneath_a_timeout(headers: list[tuple[bytes, bytes]]) -> None:
    """The same, of a timeout around the door."""

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        async with timeout(0.02, name="outer"):
            await middleware(hello, maximum=1.0, at_least=0.05)(scope, receive, send)

    sent: list[object] = []

    async def send(message: Message) -> None:
        sent.append(message.get("status"))

    run(outer(scope_of(headers=headers), nothing_more, send))
    assert sent == [504, None]


def test_the_dark_refuses_nothing_without_a_header() -> None:
    """In the dark no default is too little."""
    assert asked(hello, default=0.01, at_least=0.05, dark=True) == [200, "http.response.body"]
    assert figures(REJECTIONS) == {}


def test_the_caller_binds_nothing_after_the_request() -> None:
    """What its caller granted is over with the request, for the code that served it too."""
    left: list[float] = []

    async def send(message: Message) -> None: ...

    async def main() -> None:
        await middleware(hello)(scope_of(headers=[BUDGET]), nothing_more, send)
        left.append(remaining())

    run(main())
    assert left == [math.inf]


def test_paths_of_strangers_grow_no_book() -> None:
    """The names that are kept are of routes, and so many at most."""

    async def send(message: Message) -> None: ...

    async def item(request: Request) -> Response:
        return Response()

    async def main() -> None:
        door = DeadlineMiddleware(Starlette(routes=[Route("/item/{number}", item)]), default=1.0)
        for number in range(3000):
            for path in (f"/item/{number}", f"/stranger/{number}"):
                await door(scope_of(path=path, query_string=b"", server=("x", 80)), nothing_more, send)
        assert len(door._names) <= 1024
        assert set(door._names.values()) == {"GET /item/{number}"}

    run(main())


def test_the_dark_counts_the_maximum_too() -> None:
    """In the dark the same requests are counted as would be refused."""
    scope = scope_of(headers=[BUDGET])
    assert asked(hello, scope=scope, maximum=0.01, at_least=0.05, dark=True) == [200, "http.response.body"]
    assert figures(REJECTIONS) == {("GET /", "at_least", "dark"): 1}


def _malformed(lines: list[tuple[bytes, bytes]]) -> int:
    """How many of them are, each that repeats a header one more."""
    found = len(lines) - len({name for name, _ in lines})
    for name, value in lines:
        try:
            decode(name.decode(), value.decode("latin-1"))
        except ValueError:
            found += 1
    return found


def test_fuzz() -> None:
    """``TRACEDTIMEOUT_FUZZ=1000000`` requests with hostile headers: none fails, none has more than `maximum`, all that
    is malformed is counted, and there is one name."""
    dice = random.Random(7)
    left: list[float] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        left[:] = [remaining()]
        await respond(send)

    async def send(message: Message) -> None:
        assert message.get("status", 200) in {200, 504}

    async def main() -> None:
        door = middleware(app, maximum=2.0)
        malformed = 0
        for _ in range(int(os.environ.get("TRACEDTIMEOUT_FUZZ", "2000"))):
            lines = [(dice.choice(HEADERS).encode(), hostile(dice)) for _ in range(dice.randrange(1, 4))]
            malformed += _malformed(lines)
            left[:] = [0.0]
            await door(scope_of(headers=lines), nothing_more, send)
            assert 0.0 <= left[0] <= 2.0
        ignored = figures(HEADERS_IGNORED)
        assert sum(count for (_, reason), count in ignored.items() if reason == "malformed") == malformed
        assert {name for name, _ in outcomes()} == {"GET /"}

    run(main())


def hostile(dice: random.Random) -> bytes:
    """A value: good, bent, of any bytes, or huge."""
    value = bytearray(dice.choice([b"1500", b"1500;sent=1763823600123", b"500m", b"0", b"99999999H", b"1e3", b"-1"]))
    kind = dice.randrange(8)
    if kind == 0:
        return dice.randbytes(dice.randrange(20))
    if kind == 1:
        return bytes(value) * dice.randrange(2000)
    for _ in range(dice.randrange(3)):
        at = dice.randrange(len(value) + 1)
        value[at : at + dice.randrange(3)] = dice.randbytes(dice.randrange(3))
    return bytes(value)


# What is left behind


@contextlib.contextmanager
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def timeouts() -> list[Timeout]:
    return [each for each in gc.get_objects() if isinstance(each, Timeout)]


async def starts(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await forever()


async def cleans_up(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await forever()
    finally:
        await asyncio.sleep(0.5)


async def gone() -> Message:
    await asyncio.sleep(0.5)
    return {"type": "http.disconnect"}


@pytest.mark.parametrize("cancel_on_disconnect", [False, True])
@pytest.mark.parametrize("receive", [nothing_more, gone])
@pytest.mark.parametrize("app", [hello, stuck, starts, cleans_up])
def test_a_request_is_gone_when_it_is_over(app: App, receive: Receive, cancel_on_disconnect: bool) -> None:
    """Nothing of it waits for the garbage collector, however it ended."""

    async def send(message: Message) -> None: ...

    async def main() -> None:
        door = middleware(app, default=1.0, cancel_on_disconnect=cancel_on_disconnect)
        for _ in range(3):
            with contextlib.suppress(DeadlineExceeded):
                await asyncio.create_task(_served(door, scope_of(), receive, send))
        await asyncio.sleep(1.0)
        assert [each for each in timeouts() if each not in before] == []

    with no_collector():
        before = timeouts()  # what other tests have left
        run(main())


# Watching for a disconnect


def test_who_listens_on_is_told_that_it_is_over() -> None:
    """A task that the application leaves, waiting for a message, is not left to wait for ever."""
    heard: list[str] = []

    async def listens(receive: Receive) -> None:
        heard.extend([(await receive())["type"] for _ in range(2)])

    async def leaves_one(scope: Scope, receive: Receive, send: Send) -> None:
        with detach():
            listening.append(asyncio.create_task(listens(receive)))
        await asyncio.sleep(0)
        await respond(send)

    listening: list[asyncio.Task[None]] = []

    async def send(message: Message) -> None: ...

    async def main() -> None:
        door = middleware(leaves_one, default=1.0, cancel_on_disconnect=True)
        await door(scope_of(), nothing_more, send)
        await listening[0]

    run(main())
    assert heard == ["http.disconnect"] * 2


# Observers


def test_an_interrupt_while_it_is_left_is_passed_on() -> None:
    """Ctrl-C in an observer that is told of the end reaches the server as what it is."""

    def closes(t: View) -> None:
        raise KeyboardInterrupt

    def opens(t: View) -> Callable[[View], None]:
        return closes

    async def send(message: Message) -> None: ...

    _observers.add(opens)
    try:
        with pytest.raises(KeyboardInterrupt) as caught:
            run(middleware(hello, default=1.0)(scope_of(), nothing_more, send))
    finally:
        _observers.remove(opens)
    assert caught.value.__context__ is None
    assert outcomes() == {("GET /", "completed"): 1}

"""The live page: the timeouts in flight now, the last that ran out of time, and figures by name.

    app.mount("/timeouts", tracedtimeout.live.live_app())

It shows the names of your timeouts, the modules and lines they wait at, and how you are doing: it belongs behind your
authentication, and is off unless mounted. ``/timeouts/json`` is the same for programs; ``python -m tracedtimeout top
http://.../timeouts`` shows it in a terminal. A program without a web server calls ``dump_on_signal()``, and ``kill
-USR1`` has it write the tree to standard error.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any, TextIO

from tracedtimeout._core import _observers
from tracedtimeout._core._arguments import seconds_of, shown
from tracedtimeout._shared.asgi import Headers, Receive, Scope, Send, reply, serve
from tracedtimeout._shared.off_loop import OffLoop
from tracedtimeout._shared.signals import on_signal

from . import _page, _tree
from ._figures import Ended, Figures, Names, Recent
from ._view import view

STREAM = 20.0
"""Seconds after which a stream of events ends, and the browser opens the next: a server that ends waits for them."""

WATCHERS = 50
"""Streams of events at the same time; more are answered with 503, and the browser asks again."""

__all__ = ["LiveApp", "dump_on_signal", "live_app"]


def live_app(*, every: float = 0.5, keep: int = 50) -> LiveApp:
    """An ASGI application that shows the timeouts of this process: mount it behind your authentication.

    The last segment of the path decides: ``json`` and ``events`` (server-sent), anything else is the page. From now on
    the timeouts that run out of time are noted; the others pay less than 1 us each for it.

    Args:
        every: seconds between two updates. The page is rendered once for all who watch, in a thread, and not at all for
            nobody. At most 50 streams are served at the same time.
        keep: how many that ran out of time are remembered; the page shows the last 12, the JSON all.

    Raises:
        TypeError, ValueError: `every` is no number of seconds above 0, or `keep` no whole number from 0 on.
    """
    if seconds_of("every", every) <= 0.0:
        raise ValueError(f"every must be above 0 seconds, not {shown(every)}")
    if not isinstance(keep, int):
        raise TypeError(f"keep must be a whole number, not {shown(keep)}")
    if not 0 <= keep <= sys.maxsize:
        raise ValueError(f"keep must be from 0 to {sys.maxsize}, not {shown(keep)}")
    return LiveApp(every, keep)


@dataclass(frozen=True, slots=True)
class Picture:
    """All that the page shows, at one instant."""

    at: float
    tree: _tree.Tree
    ended: list[Ended]
    names: list[Figures]


class LiveApp:
    """The ASGI application that `live_app` makes. No `DeadlineMiddleware` ends its requests."""

    __tracedtimeout_exempt__ = True

    def __init__(self, every: float, keep: int) -> None:
        self._every = every
        self._recent = Recent(keep)
        self._names = Names()
        self._looked = -math.inf
        self._picture: Picture | None = None
        self._event = b""  # of that picture
        self._off_loop = OffLoop("tracedtimeout-live")
        self._watchers = 0
        _observers.add(self._recent)

    def close(self) -> None:
        """Note nothing any more."""
        _observers.remove(self._recent)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await serve(scope, receive, send, self._answer, "the live page")

    def look(self) -> Picture:
        """The picture of now, or of less than an update ago."""
        now = time.monotonic()
        if self._picture is None or now - self._looked > 0.8 * self._every:
            self._looked = now
            self._picture = Picture(time.time(), _tree.gather(), self._recent.latest(), self._names.look())
            self._event = b""
        return self._picture

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"])
        if path.endswith("/events"):
            await self._stream(scope, receive, send)
        elif path.endswith("/json"):
            await reply(scope, send, 200, _JSON, await self._off_loop.run("json", lambda: _json(self.look())))
        else:
            await reply(scope, send, 200, _HTML, await self._off_loop.run(path, self._page_at, path))

    def _page_at(self, path: str) -> bytes:
        return _page.page(self._view(), path).encode(errors="replace")

    def _event_now(self) -> bytes:
        """The content of the page now as an event: rendered once for all who watch."""
        view = self._view()
        if not self._event:
            self._event = f"retry: 1000\ndata: {json.dumps(view)}\n\n".encode()
        return self._event

    def _view(self) -> dict[str, Any]:
        picture = self.look()
        return view(picture.at, picture.tree, picture.ended, picture.names)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the page's content again and again, until the client is gone or `STREAM` is over."""
        if scope["method"] == "HEAD":
            await reply(scope, send, 200, _EVENTS, b"")
            return
        if self._watchers >= WATCHERS:
            await reply(scope, send, 503, [(b"retry-after", b"3")], b"too many watch this page already")
            return
        self._watchers += 1
        try:
            await self._send_events(receive, send)
        finally:
            self._watchers -= 1

    async def _send_events(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
        gone = asyncio.ensure_future(_gone(receive))
        end = time.monotonic() + STREAM
        try:
            while not gone.done() and time.monotonic() < end:
                event = await self._off_loop.run("event", self._event_now)
                if not await _taken(send({"type": "http.response.body", "body": event, "more_body": True}), gone):
                    return
                await asyncio.wait([gone], timeout=self._every)
            if not gone.done():
                await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()


async def _taken(sending: Awaitable[None], gone: asyncio.Future[None]) -> bool:
    """True if the client takes an event within `STREAM`: one that neither reads nor hangs up is given up then."""
    sent = asyncio.ensure_future(sending)
    try:
        await asyncio.wait([sent, gone], timeout=STREAM, return_when=asyncio.FIRST_COMPLETED)
        return sent.done() and sent.result() is None
    finally:
        sent.cancel()


def dump_on_signal(number: int | None = None, *, file: TextIO | None = None) -> Callable[[], None]:
    """Have a signal write the tree of the timeouts in flight as text, a blocked event loop or not.

    A thread writes it: the signal may have come while the main thread held the lock that the reading takes.

    Args:
        number: the signal, by default SIGUSR1.
        file: where to, by default standard error as it is then.

    Returns:
        What gives the signal back to whoever had it before.

    Raises:
        ValueError: this is not the main thread, or there is no such signal.
    """

    def write() -> None:
        print(_tree.text(_tree.gather()), end="", file=file or sys.stderr, flush=True)

    return on_signal(signal.SIGUSR1 if number is None else number, write)


def _json(picture: Picture) -> bytes:
    """The facts, numbers as they are; what has no number (no limit, no percentile yet) is null."""
    tree = [asdict(node) | {"used": node.used} for node in picture.tree.nodes]
    ended = [asdict(one) | {"spent": [each._asdict() for each in one.spent]} for one in picture.ended]
    told = {
        "at": picture.at,
        "pid": os.getpid(),
        "in_flight": tree,
        "hidden": picture.tree.hidden,
        "out_of_time": ended,
        "names": [asdict(figures) for figures in picture.names],
    }
    return json.dumps(_finite(told), allow_nan=False).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


_GUARDED = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]
_JSON: Headers = [(b"content-type", b"application/json"), *_GUARDED]
_EVENTS: Headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no"), *_GUARDED]
_HTML: Headers = [
    (b"content-type", b"text/html; charset=utf-8"),
    (b"content-security-policy", _page.POLICY.encode()),
    *_GUARDED,
]


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

"""The servers of the table in docs/servers.md, each a process of its own on loopback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.support.processes import PATIENCE, free_port

ROOT = Path(__file__).parents[2]
ASGI = "tests.services.behaving:app"
UVICORN = ("uvicorn", ASGI, "--port", "{port}", "--log-level", "critical", "--ws", "websockets-sansio")


@dataclass(frozen=True, slots=True)
class Server:
    """How a server is started, as a module; the package that it is not here without; what its clients speak."""

    title: str
    command: tuple[str, ...]
    needs: str
    http2: bool = False
    framework: str = "asgi"
    """What it serves: the behaviours that are another server's business are not asked of it."""


def _uvicorn(http: str, loop: str) -> Server:
    options = ("--http", http, "--loop", loop, "--timeout-graceful-shutdown", "1")
    return Server(f"uvicorn, {http}, {loop}", (*UVICORN, *options), http if loop == "asyncio" else loop)


HYPERCORN = ("hypercorn", ASGI, "--bind", "127.0.0.1:{port}", "--graceful-timeout", "1", "--log-level", "error")
GRANIAN = ("granian", ASGI, "--interface", "asgi", "--port", "{port}", "--no-log", "--workers-kill-timeout", "1")
GUNICORN = ("gunicorn", ASGI, "-k", "uvicorn_worker.UvicornWorker", "--bind", "127.0.0.1:{port}")

SERVERS = {
    "uvicorn-h11": _uvicorn("h11", "asyncio"),
    "uvicorn-h11-uvloop": _uvicorn("h11", "uvloop"),
    "uvicorn-httptools": _uvicorn("httptools", "asyncio"),
    "uvicorn-httptools-uvloop": _uvicorn("httptools", "uvloop"),
    "gunicorn": Server("gunicorn, uvicorn's workers", (*GUNICORN, "--graceful-timeout", "1"), "uvicorn_worker"),
    "hypercorn": Server("hypercorn, HTTP/1", HYPERCORN, "hypercorn"),
    "hypercorn-h2": Server("hypercorn, HTTP/2", HYPERCORN, "hypercorn", http2=True),
    "granian": Server("granian, HTTP/1", (*GRANIAN, "--http", "auto"), "granian"),
    "granian-h2": Server("granian, HTTP/2", (*GRANIAN, "--http", "auto"), "granian", http2=True),
    "daphne": Server("daphne", ("daphne", ASGI, "-p", "{port}", "-v", "0"), "daphne"),
    "aiohttp": Server("aiohttp.web", ("tests.services.behaving_aiohttp", "{port}"), "aiohttp", framework="aiohttp"),
    "grpc": Server("grpc.aio", ("tests.services.behaving_rpc", "{port}", "{figures}"), "grpc", framework="grpc"),
}


def installed(name: str) -> bool:
    return find_spec(SERVERS[name].needs) is not None


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    name: str
    port: int
    http2: bool
    figures: int
    """The port of its page of metrics, the same one where it speaks HTTP."""

    def active(self, name: str) -> int:
        """Requests of that name that are open in it."""
        return self._value(f'tracedtimeout_active{{timeout="{name}"}}')

    def ended(self, name: str, outcome: str) -> int:
        """How many requests of that name ended so."""
        return self._value(f'tracedtimeout_duration_seconds_count{{outcome="{outcome}",timeout="{name}"}}')

    def open(self, path: str) -> int:
        """Calls of its ASGI application for that path that are not over."""
        return int(_page(self.port, f"/open?{path}"))

    def _value(self, series: str) -> int:
        found = re.search(rf"^{re.escape(series)} (\S+)$", _page(self.figures), re.MULTILINE)
        return int(float(found[1])) if found else 0


def _page(port: int, path: str = "/metrics") -> str:
    """A page, by a connection that no other request has."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as page:
        text: bytes = page.read()
    return text.decode()


@contextmanager
def running(name: str, log: Path, *arguments: str) -> Iterator[Running]:
    """The server, as soon as it answers; ended afterwards, by force if it waits for something.

    Raises:
        AssertionError: it does not answer, with what it wrote.
    """
    server, port = SERVERS[name], free_port()
    figures = free_port() if server.framework == "grpc" else port
    parts = (part.format(port=port, figures=figures) for part in server.command)
    command = [sys.executable, "-m", *parts, *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
    try:
        _wait(process, figures, log)
        yield Running(name, port, server.http2, figures)
    finally:
        process.terminate()
        try:
            process.wait(3.0)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        try:
            _page(port)
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"the server does not answer: {log.read_text(errors='replace')}")

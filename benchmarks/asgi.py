"""What the ASGI middleware costs a server: its CPU time for a request of hello-world, beside none and beside others.

    python -m benchmarks.asgi

Each server (uvicorn, httptools, no uvloop) is a process of its own; this one sends the load, over a few kept
connections, to each in turn, in short rounds. A round's figure is the CPU time that its server used, by the operating
system's account, for each request; a ratio is the median over the rounds of that to the same round without middleware.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

CONNECTIONS = 8

PLAIN = b"GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n"
BUDGETED = PLAIN[:-2] + b"deadline-budget: 20000\r\n\r\n"


class Way(NamedTuple):
    """A row of the table: what is measured, beside what, and how it is asked."""

    what: str
    beside: str
    request: bytes = PLAIN


WAYS = {
    "again": Way("no middleware, again (control)", "nothing"),
    "bare": Way("asyncio.timeout by hand", "nothing"),
    "ours": Way("DeadlineMiddleware(default=30)", "nothing"),
    "ours, a budget": Way("DeadlineMiddleware, deadline-budget sent", "nothing", BUDGETED),
    "otel": Way("OpenTelemetry's, traces sampled", "nothing"),
    "instrumentator": Way("prometheus-fastapi-instrumentator", "fastapi"),
}


class Server:
    """One server and the connections to it."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, request: bytes) -> None:
        self._process, self._port, self._request = process, port, request
        self._connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def connect(self) -> None:
        for _ in range(CONNECTIONS):
            self._connections.append(await asyncio.open_connection("127.0.0.1", self._port))

    async def round(self, requests: int) -> float:
        """Microseconds of the server's CPU for each of so many requests."""
        before = self._cpu()
        each = requests // CONNECTIONS
        await asyncio.gather(*(self._ask(*connection, each) for connection in self._connections))
        return (self._cpu() - before) / (each * CONNECTIONS) / 1e3

    def close(self) -> None:
        for _, writer in self._connections:
            writer.close()

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, times: int) -> None:
        for _ in range(times):
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(len(b"hello, world"))

    def _cpu(self) -> int:
        """Nanoseconds that the server has run."""
        return int(Path(f"/proc/{self._process.pid}/schedstat").read_text().split()[0])


@asynccontextmanager
async def serving(name: str, request: bytes) -> AsyncIterator[Server]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        command = [sys.executable, "-m", "benchmarks._asgi_apps", name, str(listening.fileno())]
        process = await asyncio.create_subprocess_exec(*command, pass_fds=[listening.fileno()])
        server = Server(process, listening.getsockname()[1], request)
        try:
            await server.connect()
            await server.round(400)  # what a first request loads
            yield server
        finally:
            server.close()
            process.terminate()
            await process.wait()


async def main(rounds: int, requests: int, ways: dict[str, Way]) -> None:
    async with AsyncExitStack() as stack:
        asked = {way.beside: PLAIN for way in ways.values()} | {name: way.request for name, way in ways.items()}
        servers = {name: await stack.enter_async_context(serving(name, request)) for name, request in asked.items()}
        spent: dict[str, list[float]] = {name: [] for name in servers}
        for turn in range(rounds):
            for name in sorted(servers, reverse=bool(turn % 2)):
                spent[name].append(await servers[name].round(requests))
    print(f"{'server CPU per request':42}  {'us':>7}  {'added':>7}  ratio")
    for name, way in ways.items():
        pairs = list(zip(spent[name], spent[way.beside], strict=True))
        ratio = statistics.median(mine / other for mine, other in pairs)
        added = statistics.median(mine - other for mine, other in pairs)
        print(f"{way.what:42}  {statistics.median(spent[name]):7.1f}  {added:7.1f}  {ratio:5.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The server's CPU per request, with a middleware and without.")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--only", choices=sorted(WAYS), nargs="+", default=list(WAYS), help="these rows")
    parser.add_argument("--requests", type=int, default=800, help="in each round, to each server")
    chosen = parser.parse_args()
    asyncio.run(main(chosen.rounds, chosen.requests, {name: WAYS[name] for name in chosen.only}))

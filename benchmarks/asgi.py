"""The cost of the ASGI middleware to a server: its CPU time for a hello-world, beside none and beside others.

    python -m benchmarks.asgi

The servers (uvicorn, httptools, no uvloop) stand in one process, since two of the same differ by 5 % by where their
memory lies; this one sends the load, over a few kept connections, to each in turn, in short rounds. A round's figure is
the processor time of the server's process, by the operating system's account, for each request; a ratio is the median
over the rounds, and over some such processes, of that to the same round without middleware.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

CONNECTIONS = 8


def plain() -> bytes:
    return b"GET /hello HTTP/1.1\r\nhost: localhost\r\n\r\n"


def budgeted() -> bytes:
    """As a caller of ours asks: another budget each time, and when it was sent."""
    now = time.time_ns() // 10**6
    said = b"deadline-budget: %d;sent=%d\r\n\r\n" % (20_000 - now % 5_000, now)
    return b"GET /bounded HTTP/1.1\r\nhost: localhost\r\n" + said


Request = Callable[[], bytes]


class Way(NamedTuple):
    """A row of the table: what is measured, beside what, and how it is asked."""

    what: str
    beside: str
    request: Request = plain


WAYS = {
    "again": Way("no middleware, again (control)", "nothing"),
    "bare": Way("asyncio.timeout by hand", "nothing"),
    "ours": Way("DeadlineMiddleware(default=30)", "nothing"),
    "header": Way("no middleware, deadline-budget sent", "nothing", budgeted),
    "ours, a budget": Way("DeadlineMiddleware, deadline-budget sent", "header", budgeted),
    "otel": Way("OpenTelemetry's, traces sampled", "nothing"),
    "instrumentator": Way("prometheus-fastapi-instrumentator", "fastapi"),
}


class Server:
    """One of the servers of a process and the connections to it."""

    def __init__(self, pid: int, request: Request) -> None:
        self._pid, self._request = pid, request
        self._connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def connect(self, port: int) -> None:
        for _ in range(CONNECTIONS):
            self._connections.append(await asyncio.open_connection("127.0.0.1", port))

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
            writer.write(self._request())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            await reader.readexactly(len(b"hello, world"))

    def _cpu(self) -> int:
        """Nanoseconds that the server's process has run."""
        return int(Path(f"/proc/{self._pid}/schedstat").read_text().split()[0])


@asynccontextmanager
async def serving(requests: dict[str, Request]) -> AsyncIterator[dict[str, Server]]:
    """A process with a server for each of `requests`, by the name of its app, warmed up."""
    with ExitStack() as stack:
        listening = {name: stack.enter_context(socket.create_server(("127.0.0.1", 0))) for name in requests}
        served = [f"{name}={listener.fileno()}" for name, listener in listening.items()]
        descriptors = [listener.fileno() for listener in listening.values()]
        command = [sys.executable, "-m", "benchmarks._asgi_apps", *served]
        process = await asyncio.create_subprocess_exec(*command, pass_fds=descriptors, stdin=asyncio.subprocess.PIPE)
        servers = {name: Server(process.pid, request) for name, request in requests.items()}
        try:
            for name, server in servers.items():
                await server.connect(listening[name].getsockname()[1])
                await server.round(400)  # what a first request loads
            yield servers
        finally:
            for server in servers.values():
                server.close()
            await process.communicate(b"")  # ends its standard input


async def main(processes: int, rounds: int, requests: int, ways: dict[str, Way]) -> None:
    named = {*ways, *(way.beside for way in ways.values())}
    asked = {name: WAYS[name].request if name in WAYS else plain for name in named}
    spent: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(processes):
        async with serving(asked) as servers:
            for _ in range(rounds):
                for name in random.sample(list(servers), len(servers)):
                    await servers[name].round(requests // 8)  # with the caches as the one before has left them
                    spent[name].append(await servers[name].round(requests))
    print(f"{'server CPU per request':42}  {'us':>7}  {'added':>7}  ratio")
    for name, way in ways.items():
        pairs = list(zip(spent[name], spent[way.beside], strict=True))
        ratio = statistics.median(mine / other for mine, other in pairs)
        added = statistics.median(mine - other for mine, other in pairs)
        print(f"{way.what:42}  {statistics.median(spent[name]):7.1f}  {added:7.1f}  {ratio:5.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The server's CPU per request, with a middleware and without.")
    parser.add_argument("--processes", type=int, default=8, help="one after the other")
    parser.add_argument("--rounds", type=int, default=10, help="in each process")
    parser.add_argument("--only", choices=sorted(WAYS), nargs="+", default=list(WAYS), help="these rows")
    parser.add_argument("--requests", type=int, default=400, help="in each round, to each server")
    chosen = parser.parse_args()
    asyncio.run(main(chosen.processes, chosen.rounds, chosen.requests, {name: WAYS[name] for name in chosen.only}))

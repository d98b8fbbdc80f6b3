"""The cost of the ASGI middleware in machine instructions, the only figure that a busy machine gives twice.

    python -m benchmarks.asgi_instructions        # needs Debian's valgrind; takes five minutes

The requests of `benchmarks.asgi` are fed to uvicorn's protocol in one process, with no socket: the kernel's part of a
request is left out, so the ratios are above those of processor time.
"""

from __future__ import annotations

import asyncio
import sys

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tracedtimeout import timeout

from ._asgi_apps import APPS
from .asgi import WAYS, plain
from .instructions import counted

SHORT, LONG = 200, 700
PROGRAM = "import sys; from benchmarks.asgi_instructions import serve; serve({name!r}, int(sys.argv[1]))"
ROWS = ("bare", "ours", "ours, a budget")


def main() -> int:
    beside = {WAYS[name].beside for name in ROWS}
    found = {name: per_request(name) for name in sorted({*ROWS, *beside})}
    print(f"{'instructions per request, Python ' + sys.version.split()[0]:42}  {'':>9}  {'added':>8}  ratio")
    for name in ROWS:
        mine, other = found[name], found[WAYS[name].beside]
        print(f"{WAYS[name].what:42}  {mine:9,}  {mine - other:8,}  {mine / other:5.3f}")
    return 0


def per_request(name: str) -> int:
    """Instructions of one request to the app `name`: two runs differ by those alone."""
    few, many = (counted(PROGRAM.format(name=name), times) for times in (SHORT, LONG))
    return (many - few) // (LONG - SHORT)


def serve(name: str, times: int) -> None:
    """Have the app `name` answer so many requests of one connection."""
    asyncio.run(_serve(name, times))


async def _serve(name: str, times: int) -> None:
    config = uvicorn.Config(APPS[name](), http="httptools", access_log=False, log_level="warning", lifespan="off")
    config.load()
    state, client = ServerState(), Client()
    protocol = HttpToolsProtocol(config, state, {})
    protocol.connection_made(client)
    request = WAYS[name].request() if name in WAYS else plain()
    beside = asyncio.create_task(another())
    for _ in range(times):
        protocol.data_received(request)
        while state.tasks:
            await asyncio.sleep(0)
    assert client.answered == times, client.answered
    protocol.connection_lost(None)
    beside.cancel()


async def another() -> None:
    """A request that is open all the time: how often a loop sees to a lane that is empty depends on the time."""
    async with timeout(30.0, name="another"):
        await asyncio.Event().wait()


class Client(asyncio.Transport):
    """The other end: it counts what is answered."""

    answered = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.answered += bytes(data).startswith(b"HTTP/1.1 200")

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing is to be closed."""


if __name__ == "__main__":
    sys.exit(main())

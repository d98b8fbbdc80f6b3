"""Processes on loopback for tests that need real ones: started, waited for, ended."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

SOCKET = "SOCKET"
PATIENCE = 20.0
"""Seconds a process has to answer, and to end."""


@asynccontextmanager
async def process(
    *command: str, log: Path, hand_on: socket.socket | None = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A running program that is told to end, by the end of its standard input and a signal, at the end of the block."""
    with log.open("wb") as output:
        running = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=() if hand_on is None else (hand_on.fileno(),),
            env=os.environ | (environment or {}),
        )
    assert running.stdin is not None
    try:
        yield running
    finally:
        running.stdin.close()
        if running.returncode is None:
            running.terminate()
        async with asyncio.timeout(PATIENCE):
            await running.wait()


async def answers(url: str, log: Path) -> None:
    """Wait until `url` answers well.

    Raises:
        AssertionError: it does not, with what its program wrote to `log`.
    """
    try:
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient(timeout=PATIENCE) as client:
            while not await _answers(client, url):
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"{url} does not answer: {_words(log)}") from None


def _words(log: Path) -> str:
    return log.read_text(errors="replace")


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@dataclass(frozen=True, slots=True)
class Shop:
    """The demo's services: the ``host:port`` of each."""

    shop: str
    payments: str


@asynccontextmanager
async def shop(folder: Path, *, faults: str = "", load: bool = False, slower: int = 1) -> AsyncIterator[Shop]:
    """The demo's processes, as the demo runs them, with `faults` switched on; ready.

    Their clocks may run so many times slower.
    """
    serve = [*(["tests.programs.slow_motion", str(slower)] if slower != 1 else []), "tracedtimeout.demo.run.serve"]
    async with AsyncExitStack() as stack:

        async def start(name: str, *command: str) -> str:
            switches = {"TRACEDTIMEOUT_DEMO_FAULTS": faults}
            return await stack.enter_async_context(module(*command, log=folder / f"{name}.log", environment=switches))

        payments = await start("payments", *serve, "payments", SOCKET)
        database = str(folder / "shop.sqlite")
        where = await start("shop", *serve, "shop", SOCKET, database, f"http://{payments}")
        await answers(f"http://{payments}/metrics", folder / "payments.log")
        await answers(f"http://{where}/metrics", folder / "shop.log")
        if load:
            await start("load", "tracedtimeout.demo.run.load", f"http://{where}")
        yield Shop(where, payments)


@asynccontextmanager
async def door(folder: Path) -> AsyncIterator[str]:
    """The service of tests/services/door.py; yields its ``host:port`` once it is ready."""
    log = folder / "door.log"
    async with module("tests.services.door", SOCKET, log=log) as where:
        await answers(f"http://{where}/metrics", log)
        yield where


@asynccontextmanager
async def module(*command: str, log: Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[str]:
    """A Python module that runs, with the number of a listening socket where it says `SOCKET`; yields its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        arguments = [str(listening.fileno()) if each == SOCKET else each for each in command]
        async with process(sys.executable, "-m", *arguments, log=log, hand_on=listening, environment=environment):
            yield "{}:{}".format(*listening.getsockname())

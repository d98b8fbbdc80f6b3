"""A chain of three processes, this one first, whose deadline reaches the last."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import httpx

from tests.services.hop import FOREVER, Ended
from tests.support.processes import PATIENCE, SOCKET, free_port, module, process
from tracedtimeout import DeadlineExceeded, timeout
from tracedtimeout.integrations.grpc import client_interceptors
from tracedtimeout.integrations.httpx import AsyncDeadlineTransport

PROPAGATORS = {"OTEL_PROPAGATORS": "tracecontext,baggage,deadline"}


@dataclass(frozen=True, slots=True)
class Told:
    """What a hop tells: the timeouts that ended, and its lines of interruptions."""

    ended: tuple[Ended, ...]
    interruptions: tuple[str, ...]


class Chain:
    """Two hops behind this process. `middle` and `last` are the addresses of B and C."""

    def __init__(self, carrier: str, middle: str, last: str) -> None:
        self.carrier, self.middle, self.last = carrier, middle, last

    async def expire(self, seconds: float) -> float:
        """Ask the chain for what it never answers, under a timeout; its deadline on the common clock."""
        ask = self._ask_grpc if self.carrier == "grpc" else self._ask_http
        t = timeout(seconds, name="edge")
        try:
            async with t:
                deadline = t.deadline()
                await ask()
                await asyncio.sleep(FOREVER)
        except DeadlineExceeded:
            pass
        assert t.owner == "edge"
        assert deadline is not None
        return deadline

    async def told(self, where: str) -> Told:
        """What the hop at that address tells."""
        if self.carrier == "grpc":
            async with grpc.aio.insecure_channel(where) as channel:
                report: Any = channel.unary_unary("/chain.Hop/Report")
                said = json.loads(await report(b"", wait_for_ready=True, timeout=PATIENCE))
        else:
            async with httpx.AsyncClient(timeout=PATIENCE) as client:
                said = (await client.get(f"{where}/report")).json()
        return Told(tuple(Ended(**each) for each in said["ended"]), tuple(said["interruptions"]))

    async def told_once_ended(self, where: str) -> Told:
        """What that hop tells once a timeout of its has ended, which may be a moment after ours has."""
        async with asyncio.timeout(PATIENCE):
            while not (told := await self.told(where)).ended:
                await asyncio.sleep(0.005)
        return told

    async def _ask_http(self) -> None:
        async with httpx.AsyncClient(transport=AsyncDeadlineTransport()) as client:
            await client.get(f"{self.middle}/work", timeout=FOREVER)

    async def _ask_grpc(self) -> None:
        async with grpc.aio.insecure_channel(self.middle, interceptors=client_interceptors()) as channel:
            work: Any = channel.unary_unary("/chain.Hop/Work")
            with suppress(grpc.aio.AioRpcError):
                await work(b"", wait_for_ready=True)


@asynccontextmanager
async def chain(folder: Path, carrier: str, middle: str = "tests.services.hop") -> AsyncIterator[Chain]:
    """Processes B, of the module `middle`, and C, ready and warm."""
    async with AsyncExitStack() as stack:

        async def start(name: str, program: Sequence[str], onward: str = "") -> str:
            log = folder / f"{name}.log"
            if carrier != "grpc":
                hop = module(*program, carrier, SOCKET, onward, log=log, environment=PROPAGATORS)
                return f"http://{await stack.enter_async_context(hop)}"
            where = f"127.0.0.1:{free_port()}"
            command = (sys.executable, "-m", *program, carrier, where, onward)
            await stack.enter_async_context(process(*command, log=log, environment=PROPAGATORS))
            return where

        last = await start("last", ["tests.services.hop"])
        made = Chain(carrier, await start("middle", [middle], last), last)
        async with asyncio.timeout(PATIENCE):
            while not (await made.told(last)).ended:  # the first request of a process pays for what it loads
                await made.expire(0.5)
        await made.told(made.last)
        if middle == "tests.services.hop":
            await made.told(made.middle)
        yield made

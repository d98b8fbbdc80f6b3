"""One run of the demo: its processes started, shown, ended, and summed up."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import tempfile
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from rich.console import Console

from .children import Child
from .screen import Screen
from .services import Seen, Services
from .summary import Summary

T = TypeVar("T")

ANSWER = 30.0
"""Seconds in which a service answers: at the start, that is when it has started."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    port: int
    seconds: float | None
    quiet: bool
    load: bool


async def run(options: Options, listening: socket.socket) -> int:
    """Run the demo on a listening socket until it is told to end; returns the exit status."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tracedtimeout-demo-")))
        client = await stack.enter_async_context(httpx.AsyncClient(timeout=ANSWER))
        family = await stack.enter_async_context(_Family(directory))
        try:
            return await _Demo(options, family, client).run(listening)
        except ChildEndedError as ended:
            print(f"{ended}\n{ended.child.last_words()}".strip(), file=sys.stderr)
        except (httpx.HTTPError, TimeoutError) as error:
            print(f"The demo got no answer from its own processes: {error!r}", file=sys.stderr)
        return 1


class ChildEndedError(Exception):
    """A child process ended that should not have."""

    def __init__(self, child: Child) -> None:
        super().__init__(child.how())
        self.child = child


class _Family:
    """The child processes, all ended with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.children: list[Child] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            self._kill()
        try:
            await asyncio.gather(*(child.end() for child in self.children), return_exceptions=True)
        finally:
            self._kill()

    def _kill(self) -> None:
        for child in self.children:
            child.kill()

    async def start(self, name: str, *command: str, sockets: tuple[int, ...] = ()) -> Child:
        child = await Child.start(name, self.directory, *command, sockets=sockets)
        self.children.append(child)
        return child

    async def serve(self, name: str, listening: socket.socket, *arguments: str) -> None:
        descriptor = listening.fileno()
        await self.start(name, "serve", name, str(descriptor), *arguments, sockets=(descriptor,))

    async def watched(self, work: Coroutine[Any, Any, T], leaving: Child | None = None) -> T:
        """The result of `work`, for as long as all children live; `leaving` may end.

        Raises:
            ChildEndedError: one ended first.
        """
        working = asyncio.create_task(work)
        others = {child.ended: child for child in self.children if child is not leaving}
        try:
            await asyncio.wait({working, *others}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done() or working.exception() is not None:
                await _raise_if_one_ended(others)
            return await working
        finally:
            working.cancel()


async def _raise_if_one_ended(children: Mapping[asyncio.Task[int], Child]) -> None:
    """Raise `ChildEndedError` for the first that has ended, or is about to: whoever asked it knows a little earlier."""
    ended, _ = await asyncio.wait(children, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
    for one in ended:
        raise ChildEndedError(children[one])


class _Demo:
    def __init__(self, options: Options, family: _Family, client: httpx.AsyncClient) -> None:
        self._options, self._family, self._client = options, family, client
        self._console = _console()

    async def run(self, listening: socket.socket) -> int:
        stop = _stop_on_signals()
        services = await self._start_services(listening)
        await self._family.watched(services.ready())
        load = await self._family.start("load", "load", services.shop) if self._options.load else None
        screen = Screen(self._console, services, quiet=self._options.quiet)
        await self._family.watched(screen.show(stop, self._options.seconds))
        ledger = await self._ledger(load) if load else ""
        return self._sum_up(await self._family.watched(services.settled(), leaving=load), ledger)

    async def _ledger(self, load: Child) -> str:
        """Have the load ask no more; returns its ledger once it has all its answers."""
        ledger = await self._family.watched(load.end(), leaving=load)
        if not ledger:
            raise ChildEndedError(load)
        return ledger

    async def _start_services(self, listening: socket.socket) -> Services:
        with listening, socket.create_server(("127.0.0.1", 0)) as other:
            shop, payments = (f"http://127.0.0.1:{each.getsockname()[1]}" for each in (listening, other))
            await self._family.serve("payments", other)
            await self._family.serve("shop", listening, str(self._family.directory / "shop.sqlite"), payments)
        return Services(self._client, shop, payments)

    def _sum_up(self, seen: Seen, ledger: str) -> int:
        summary = Summary(seen, ledger)
        summary.show(self._console)
        if summary.agrees:
            return 0
        for child in self._family.children:
            print(f"{child.name} logged: {child.last_words() or 'nothing'}", file=sys.stderr)
        return 1


def _console() -> Console:
    """The terminal; or plain lines of 120 columns, which rich would cut at 80."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


def _stop_on_signals() -> asyncio.Event:
    """Set at the first Ctrl-C, SIGTERM or hang-up; a second one ends us at once. Also where SIGINT came ignored."""
    loop, stop, task = asyncio.get_running_loop(), asyncio.Event(), asyncio.current_task()
    assert task is not None

    def heard() -> None:
        if stop.is_set():
            task.cancel()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, heard)
    return stop

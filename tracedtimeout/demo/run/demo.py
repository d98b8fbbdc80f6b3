"""One run of the demo: its processes started, shown, ended, and summed up."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Group, RenderableType
from rich.live import Live

from tracedtimeout import timeout
from tracedtimeout.commands import top

from . import ledger, summary
from .children import Child, ChildEndedError, Family
from .load import UNANSWERED

EVERY = 1.0
PLAIN_EVERY = 5.0
"""Seconds between two pictures in a terminal, or two lines elsewhere."""

BOTH = 36
"""Lines of a terminal that has room for both services."""

START = 60.0
SETTLED = 10.0
FIGURES = 60.0
LAST_ANSWERS = UNANSWERED + 10.0
"""Seconds that the demo waits for its services to start, for what clients hung up on to end, for the figures of its
summary, and for the load, whose requests may each take so long."""


@dataclass(frozen=True, slots=True)
class Options:
    """The arguments of the command line."""

    port: int
    seconds: float | None
    quiet: bool
    load: bool


async def run(options: Options, listening: socket.socket) -> int:
    """Run the demo on a listening socket until it is told to end; returns the exit status."""
    try:
        with tempfile.TemporaryDirectory(prefix="tracedtimeout-demo-") as folder:
            async with httpx.AsyncClient(timeout=None) as client, asyncio.TaskGroup() as watching:  # noqa: S113  # ours
                family = Family(Path(folder), watching)
                try:
                    return await _Demo(options, family, client).run(listening)
                except asyncio.CancelledError:
                    await family.kill()
                    raise
                finally:
                    await family.end()
    except* ChildEndedError as ended:
        print(*ended.exceptions, sep="\n", file=sys.stderr)
    except* (TimeoutError, httpx.HTTPError) as failed:
        print(*failed.exceptions, sep="\n", file=sys.stderr)
    return 1


class _Demo:
    def __init__(self, options: Options, family: Family, client: httpx.AsyncClient) -> None:
        self._options, self._family, self._client = options, family, client
        self._console = top.terminal()
        self._shop = self._payments = ""

    async def run(self, listening: socket.socket) -> int:
        stop = _stop_on_signals()
        self._say("Starting a shop and its payments service.")
        async with timeout(START, name="start"):
            await self._start(listening)
        load = await self._family.start("load", "load", self._shop) if self._options.load else None
        self._say(f"Shop {self._shop}, payments {self._payments}, each with /metrics and a live page, /timeouts.")
        self._say("Ctrl-C ends it.")
        await self._show(stop)
        told = await self._last_answers(load) if load else ""
        async with timeout(FIGURES, name="figures"):
            return await self._sum_up(told)

    def _say(self, words: str) -> None:
        if not self._options.quiet:
            self._console.print(words, soft_wrap=True)

    async def _start(self, listening: socket.socket) -> None:
        with listening, socket.create_server(("127.0.0.1", 0)) as other:
            self._shop, self._payments = ("http://{}:{}".format(*each.getsockname()) for each in (listening, other))
            await self._family.serve("payments", other)
            await self._family.serve("shop", listening, str(self._family.folder / "shop.sqlite"), self._payments)
        for url in (self._shop, self._payments):
            await self._get(f"{url}/recent")

    async def _get(self, url: str) -> httpx.Response:
        try:
            return (await self._client.get(url)).raise_for_status()
        except httpx.HTTPError:
            await asyncio.sleep(1.0)  # if its process has ended, the family says so
            raise

    async def _look(self, service: str) -> top.Look:
        look: top.Look = (await self._get(f"{service}/timeouts/json")).json()
        return look

    async def _show(self, stop: asyncio.Event) -> None:
        """Show what the services say, until `stop` is set or the time is over."""
        with suppress(TimeoutError):
            async with timeout(self._options.seconds, name="show"), asyncio.TaskGroup() as showing:
                shown = showing.create_task(self._live() if self._console.is_terminal else self._plain())
                await stop.wait()
                shown.cancel()
        stop.set()

    async def _live(self) -> None:
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while not self._options.quiet:
                live.update(await self._picture(), refresh=True)
                await asyncio.sleep(EVERY)

    async def _picture(self) -> RenderableType:
        lines = self._console.height - 4  # those above it stay in sight
        if lines < BOTH:
            return top.picture(await self._look(self._shop), lines)
        shop, payments = await asyncio.gather(self._look(self._shop), self._look(self._payments))
        third = lines // 3
        shown = top.picture(shop, lines - third - 1, of="shop: "), top.picture(payments, third, of="payments: ")
        return Group(shown[0], "", shown[1])

    async def _plain(self) -> None:
        start = time.monotonic()
        while not self._options.quiet:
            await asyncio.sleep(PLAIN_EVERY)
            look = await self._look(self._shop)
            ended, late = (sum(each[key] for each in look["names"]) for key in ("ended", "out_of_time"))
            open_now = len(look["in_flight"]) + look["hidden"]
            passed = time.monotonic() - start
            self._say(f"{passed:.0f} s: {open_now} timeouts in flight, {ended} ended, {late} of them out of time")

    async def _last_answers(self, load: Child) -> str:
        """Have the load ask no more; returns its ledger once it has all its answers, empty if that is too long."""
        self._say("Waiting for the last answers.")
        try:
            async with timeout(LAST_ANSWERS, name="last answers"):
                return await load.end()
        except TimeoutError as error:
            print(error, file=sys.stderr)
            return ""

    async def _sum_up(self, told: str) -> int:
        looks = {"shop": await self._settled(), "payments": await self._look(self._payments)}
        shop, payments = [(await self._get(f"{url}/recent")).json() for url in (self._shop, self._payments)]
        others = ledger.Ends({(name, outcome): count for name, outcome, count in shop["others"]})
        metrics = ledger.ends((await self._get(f"{self._shop}/metrics")).text)
        lines = ledger.compare(json.loads(told), metrics, others) if told else None
        summary.show(self._console, looks, lines, shop["spans"] + payments["spans"])
        if all(line.agrees for line in lines or []) and bool(told) == self._options.load:
            return 0
        for child in self._family.children:
            print(f"{child.name} logged: {child.last_words() or 'nothing'}", file=sys.stderr)
        return 1

    async def _settled(self) -> top.Look:
        """A look once nothing is in flight in the shop any more, or after some seconds of that not being so."""
        end = time.monotonic() + SETTLED
        while (look := await self._look(self._shop))["in_flight"] and time.monotonic() < end:
            await asyncio.sleep(0.1)
        return look


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

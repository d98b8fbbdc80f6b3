"""What is shown while the demo runs: a live table in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import asyncio
import time

from rich.console import Console, RenderableType
from rich.live import Live

from . import table
from .services import Seen, Services
from .table import Message

EVERY = 1.0
PLAIN_EVERY = 5.0
"""Seconds between two pictures, or two lines."""

MESSAGES = 6

SURROUNDINGS = 10
"""Lines of a picture that are no row and no message."""


class Screen:
    """Shows what the services say, until it is time to end."""

    def __init__(self, console: Console, services: Services, *, quiet: bool) -> None:
        self._console, self._services, self._quiet = console, services, quiet
        self._start = time.monotonic()
        self._told = 0.0

    async def show(self, stop: asyncio.Event, seconds: float | None) -> None:
        """Until `stop` is set, or for so many seconds."""
        end = None if seconds is None else asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(end):
                await self._watch(stop)
        except TimeoutError:
            stop.set()

    async def _watch(self, stop: asyncio.Event) -> None:
        if self._quiet:
            await self._silent(stop)
            return
        self._console.print(*self._title(), sep="\n")
        await (self._live(stop) if self._console.is_terminal else self._plain(stop))

    async def _silent(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await _pause(stop, PLAIN_EVERY)
            await self._services.look()  # what it remembers would soon be gone there

    async def _live(self, stop: asyncio.Event) -> None:
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while not stop.is_set():
                live.update(self._picture(await self._services.look()), refresh=True)
                await _pause(stop, EVERY)

    async def _plain(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await _pause(stop, PLAIN_EVERY)
            seen = await self._services.look()
            self._console.print(self._line(seen), soft_wrap=True)
            for message in self._news(seen.messages):
                self._console.print(table.said(message), soft_wrap=True)

    def _picture(self, seen: Seen) -> RenderableType:
        """The table, and as many messages, of two lines each, as there is room for."""
        room = self._console.height - len(seen.rows) - SURROUNDINGS
        payments = seen.payments if room > len(seen.payments) else []
        room -= len(payments)
        messages = seen.messages[-(room // 2) :] if room > 1 else []
        return table.picture(seen.rows, payments, messages[-MESSAGES:], self._console.width)

    def _title(self) -> tuple[str, str]:
        shop, payments = self._services.shop, self._services.payments
        return f"Shop {shop}, payments {payments}, each with /metrics and a live page, /timeouts.", "Ctrl-C ends it."

    def _line(self, seen: Seen) -> str:
        counts = table.outcomes(seen.outcomes).plain
        return f"{time.monotonic() - self._start:.0f} s: {seen.active} active  {counts}"

    def _news(self, messages: list[Message]) -> list[Message]:
        """The last three messages of those that came since the last time."""
        news = [message for message in messages if message[0] > self._told]
        if news:
            self._told = news[-1][0]
        return news[-3:]


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return

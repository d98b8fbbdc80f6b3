"""What the demo reads of its services over HTTP: their metrics, and their last messages and traces."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import httpx

from . import figures
from .figures import Row
from .table import Message
from .traces import Span

SETTLED = 5.0
"""Seconds in which what clients hung up on has ended in the shop."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at the services showed."""

    rows: list[Row]
    payments: list[Row]
    messages: list[Message]
    trace: list[Span] = field(default_factory=list)
    others: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def active(self) -> int:
        """Timeouts that run in the shop now."""
        return sum(row.active for row in self.rows)

    @property
    def outcomes(self) -> Counter[str]:
        """How those of the shop ended, all names together."""
        return sum((row.outcomes for row in self.rows), Counter())


class Services:
    """The shop and payments, by URL."""

    def __init__(self, client: httpx.AsyncClient, shop: str, payments: str) -> None:
        self._client, self.shop, self.payments = client, shop, payments
        self._kept: dict[str, Span] = {}

    async def ready(self) -> None:
        """Wait until both answer."""
        for url in (self.shop, self.payments):
            await self._get(f"{url}/recent")

    async def look(self) -> Seen:
        """Both services' figures, now."""
        shop, payments, recent, other = await asyncio.gather(
            self._get(f"{self.shop}/metrics"),
            self._get(f"{self.payments}/metrics"),
            self._get(f"{self.shop}/recent"),
            self._get(f"{self.payments}/recent"),
        )
        told, theirs = recent.json(), other.json()
        return Seen(
            figures.rows(shop.text),
            figures.rows(payments.text),
            sorted((when, words) for when, words in told["messages"] + theirs["messages"]),
            await self._whole(told["trace"]),
            Counter({(name, outcome): count for name, outcome, count in told["others"]}),
        )

    async def _whole(self, spans: list[Span]) -> list[Span]:
        """The spans of a trace in the shop, and those of payments, that may only now have ended."""
        if not spans:
            return []
        more = (await self._get(f"{self.payments}/recent?trace={spans[0]['trace']}")).json()["trace"]
        self._kept = {span["id"]: span for span in more} if more else self._kept
        joined = [*spans, *(span for span in self._kept.values() if span["trace"] == spans[0]["trace"])]
        return sorted(joined, key=lambda span: span["start"])

    async def settled(self) -> Seen:
        """A look once nothing runs in the shop any more, or after some seconds of that not being so."""
        seen = await self.look()
        for _ in range(int(SETTLED / 0.1)):
            if not seen.active:
                return seen
            await asyncio.sleep(0.1)
            seen = await self.look()
        return seen

    async def _get(self, url: str) -> httpx.Response:
        return (await self._client.get(url)).raise_for_status()

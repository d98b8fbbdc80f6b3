"""The load generator, a process of its own: asks the shop over HTTP and keeps a ledger of what came back.

It knows nothing of the shop but its URL. On the end of its standard input it asks no more, waits for what is under way
and prints the ledger.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from tracedtimeout import timeout, timeout_at

from .lifeline import on_parent_gone

LOAD = "tracedtimeout-demo-load"
"""The user agent of the load."""

UNANSWERED = 60.0
"""Seconds after which an answer is given up for lost."""

CROWD = 50
"""Customers who wait for their answers: who sees so many goes elsewhere. A shop that cannot keep up is let drain."""


@dataclass(frozen=True, slots=True)
class Customer:
    """One sort of request: asked `every` so many seconds, `first` after so many."""

    method: str
    path: str
    query: str
    every: float
    first: float
    budget: int | None = None
    """Milliseconds that the customer's header grants."""
    leaves_after: float | None = None
    """Seconds after which the customer hangs up."""


CUSTOMERS = (
    Customer("GET", "/products", "page=1", every=0.1, first=0.0),
    Customer("GET", "/search", "q=lamp", every=0.2, first=0.05),
    Customer("GET", "/search", "q=lamp&similar", every=2.5, first=0.3),
    Customer("POST", "/checkout", "product=7&card=4000", every=0.25, first=0.1),
    Customer("POST", "/checkout", "product=7&card=4002", every=1.5, first=0.4),
    Customer("POST", "/checkout", "product=8&card=4009", every=2.0, first=0.2),
    Customer("POST", "/checkout", "product=9&card=4000", every=1.5, first=0.5, budget=100),
    Customer("POST", "/stocktake", "", every=10.0, first=1.0),
    Customer("POST", "/refund", "card=4000", every=1.0, first=0.15),
    Customer("POST", "/refund", "card=4009", every=3.0, first=0.6),
    Customer("GET", "/recommend", "for=lamp", every=3.0, first=1.2),
    Customer("GET", "/invoice", "pages=3", every=2.0, first=0.8),
    Customer("GET", "/statement", "card=4000", every=2.0, first=0.25),
    Customer("GET", "/statement", "card=4009", every=4.0, first=0.35),
    Customer("GET", "/statement", "card=4009", every=2.0, first=0.7, leaves_after=0.3),
)


class Load:
    """Sends what the customers ask, at their rates, as long as the shop keeps up at all."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.ledger: Counter[tuple[str, str]] = Counter()
        """Requests by path and answer."""
        self._client = client
        self.waiting: int = 0
        self._closed = asyncio.Event()

    async def run(self) -> None:
        """Until `close`, and then until every request has its answer."""
        async with asyncio.TaskGroup() as under_way:
            for customer in CUSTOMERS:
                under_way.create_task(self._repeat(customer, under_way))

    def close(self) -> None:
        self._closed.set()

    async def _repeat(self, customer: Customer, under_way: asyncio.TaskGroup) -> None:
        start = asyncio.get_running_loop().time() + customer.first
        for number in itertools.count():
            with suppress(TimeoutError):
                async with timeout_at(start + number * customer.every, name="poll-closed"):
                    await self._closed.wait()
                    return
            if self.waiting < CROWD:
                under_way.create_task(self._ask(customer))

    async def _ask(self, customer: Customer) -> None:
        self.waiting += 1
        try:
            async with timeout(UNANSWERED, name="answer"):
                answer = await self._answer(customer)
        except (httpx.HTTPError, TimeoutError) as error:
            answer = f"no answer: {error!r}"
        self.waiting -= 1
        self.ledger[customer.path, answer] += 1

    async def _answer(self, customer: Customer) -> str:
        if customer.leaves_after is None:
            return described(await self._client.send(self._request(customer)))
        request = self._request(customer)
        sent = asyncio.Event()
        request.extensions["trace"] = _when_sent(sent)
        asking = asyncio.create_task(self._client.send(request))
        await asyncio.wait({asking, asyncio.create_task(sent.wait())}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({asking}, timeout=customer.leaves_after)
        await asyncio.wait({asking}, timeout=0.01)  # what has come while this process was kept waiting, counts
        if asking.done():
            return described(asking.result())
        asking.cancel()
        await asyncio.wait({asking})
        return "hung up"

    def _request(self, customer: Customer) -> httpx.Request:
        headers = {} if customer.budget is None else {"deadline-budget": str(customer.budget)}
        return self._client.build_request(customer.method, f"{customer.path}?{customer.query}", headers=headers)


def described(response: httpx.Response) -> str:
    """An answer as the ledger has it: the status, and what its headers say of deadlines."""
    told = [name for name in ("deadline-expired", "deadline-missed") if name in response.headers]
    return " ".join([str(response.status_code), *told])


def _when_sent(sent: asyncio.Event) -> Callable[[str, object], Awaitable[None]]:
    async def trace(event: str, info: object) -> None:
        if event == "http11.send_request_body.complete":
            sent.set()

    return trace


async def _run(url: str) -> list[tuple[str, str, int]]:
    loop = asyncio.get_running_loop()
    limits = httpx.Limits(max_connections=None, keepalive_expiry=5.0)
    options: dict[str, Any] = {"timeout": None, "limits": limits, "headers": {"user-agent": LOAD}}
    async with httpx.AsyncClient(base_url=url, **options) as client:
        load = Load(client)
        on_parent_gone(lambda: loop.call_soon_threadsafe(load.close))
        await load.run()
    return [(*key, count) for key, count in load.ledger.items()]


def main(url: str) -> None:
    print(json.dumps(asyncio.run(_run(url))))


if __name__ == "__main__":
    main(*sys.argv[1:])

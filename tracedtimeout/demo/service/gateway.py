"""The shop's way to the payments service: HTTP, and the deadline goes along."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from opentelemetry import propagate

from tracedtimeout import remaining
from tracedtimeout.integrations.httpx import AsyncDeadlineTransport

from . import problems

EARLY = 0.1
"""Seconds that payments may end a request before our deadline: the time that the deadline was on its way, at most."""


class Gateway:
    """Payments, as the shop sees them."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def charge(self, card: str) -> None:
        """Take the money.

        Raises:
            CardDeclinedError: the bank says no.
            httpx.HTTPError: payments did not answer, or not well.
        """
        await self._ask("/authorize", card)

    async def refund(self, card: str) -> None:
        """Give the money back."""
        await self._ask("/pay-back", card)

    @asynccontextmanager
    async def statement(self, card: str) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of the bank's statement, as they come."""
        asked = self._client.stream("GET", "/statement", params={"card": card}, headers=_headers())
        async with _ended_by_us(), asked as response:
            yield response.aiter_lines()

    async def _ask(self, path: str, card: str) -> None:
        async with _ended_by_us():
            response = await self._client.post(path, params={"card": card}, headers=_headers())
            if response.status_code == 402:
                raise problems.CardDeclinedError(response.json()["bank"])
            response.raise_for_status()


@asynccontextmanager
async def gateway(url: str) -> AsyncIterator[Gateway]:
    """The way to payments at `url`. It waits as long as it is let: limits are the callers'."""
    transport = AsyncDeadlineTransport()
    async with httpx.AsyncClient(transport=transport, base_url=url, timeout=None) as client:  # noqa: S113  # see above
        yield Gateway(client)


@asynccontextmanager
async def _ended_by_us() -> AsyncIterator[None]:
    """Have what payments ended by our deadline, which it may do a moment early, end here as the same."""
    try:
        yield
    except httpx.HTTPError:
        if remaining() < EARLY:
            await asyncio.sleep(remaining())
        raise


def _headers() -> dict[str, str]:
    """The trace goes along, so that both services are seen in one."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers

"""The demo's faults: each fires the alerts that are for it, and no others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from tests.processes import shop
from tests.stack import prometheus

SECONDS = 14
"""Seconds that the shop is visited; rules see them as so many minutes."""

SCALE = 1 / 60

SPENT = {"deadline-budget": "0"}
STRANGER = "stranger"
"""Not a fault of ours: somebody whose requests arrive with their budget spent."""

FIRES = {
    "blocked-loop": ["TimeoutEventLoopLag"],
    "slow-payments": ["TimeoutNearLimit", "TimeoutExpiryBurnRate"],
    "swallowed-cancellation": ["TimeoutSuppressed"],
    "slow-clean-up": ["TimeoutSlowUnwind"],
    STRANGER: [],
}


@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("fault", FIRES)
async def test_a_fault_fires_the_alerts_that_are_for_it(fault: str, tmp_path: Path) -> None:
    """In the stack's own Prometheus, with windows of a sixtieth, a fault fires its alerts in order and no others.

    On the real clock: Prometheus and the demo's processes have no other.
    """
    async with shop(tmp_path, faults="" if fault == STRANGER else fault) as demo:
        targets = {"demo-shop": [demo.shop], "demo-payments": [demo.payments]}
        async with prometheus(targets, tmp_path, scale=SCALE) as server:
            start = time.time()
            await visit(f"http://{demo.shop}", stranger=fault == STRANGER)
            assert await server.firing(start, time.time()) == FIRES[fault]


async def visit(url: str, *, stranger: bool) -> None:
    """Visit the shop at a steady rate."""
    async with httpx.AsyncClient(base_url=url, timeout=20) as client, asyncio.TaskGroup() as visits:
        for number in range(SECONDS * 8):
            visits.create_task(_ask(client, "POST", "/checkout?product=7&card=4000"))
            if number % 4 == 0:
                visits.create_task(_ask(client, "GET", "/products?page=1"))
            if stranger:
                visits.create_task(_ask(client, "GET", "/products", SPENT))
            await asyncio.sleep(1 / 8)


async def _ask(client: httpx.AsyncClient, method: str, path: str, headers: Mapping[str, str] | None = None) -> None:
    await client.request(method, path, headers=headers)

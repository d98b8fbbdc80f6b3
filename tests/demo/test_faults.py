"""The demo's faults: each fires the alerts that are for it, and no others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.dashboards.stack import prometheus
from tests.support.processes import shop

SECONDS = 18
"""Seconds, by the demo's clocks, that each shop is visited; rules see them as so many minutes."""

SLOWER = 4
"""The demo's clocks run so many times slower: what is within 0.1 s of a limit there has 0.4 s to be late by here."""

SCALE = SLOWER / 60

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
async def test_a_fault_fires_the_alerts_that_are_for_it(tmp_path: Path) -> None:
    """In the stack's own Prometheus, with windows scaled down, each fault fires its alerts in order and no others.

    On the real clock, for Prometheus has no other: a shop and a Prometheus to a fault, all at once.
    """
    ready = asyncio.Barrier(len(FIRES))
    async with asyncio.TaskGroup() as drills:
        fired = {fault: drills.create_task(drill(fault, _folder(tmp_path, fault), ready)) for fault in FIRES}
    assert {fault: drill.result() for fault, drill in fired.items()} == FIRES


def _folder(within: Path, name: str) -> Path:
    (within / name).mkdir()
    return within / name


async def drill(fault: str, folder: Path, ready: asyncio.Barrier) -> list[str]:
    """The alerts that fired in a shop with `fault`, in order; it is visited once all shops are `ready`."""
    async with AsyncExitStack() as stack:
        faults = "" if fault == STRANGER else fault
        demo = await stack.enter_async_context(shop(folder, faults=faults, slower=SLOWER))
        targets = {"demo-shop": [demo.shop], "demo-payments": [demo.payments]}
        server = await stack.enter_async_context(prometheus(targets, folder, scale=SCALE))
        await ready.wait()
        start = time.time()
        await visit(f"http://{demo.shop}", stranger=fault == STRANGER)
        return await server.firing(start, time.time())


async def visit(url: str, *, stranger: bool) -> None:
    """Visit the shop at a steady rate."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client, asyncio.TaskGroup() as visits:
        for number in range(SECONDS * 8):
            visits.create_task(_ask(client, "POST", "/checkout?product=7&card=4000"))
            if number % 4 == 0:
                visits.create_task(_ask(client, "GET", "/products?page=1"))
            if stranger:
                visits.create_task(_ask(client, "GET", "/products", SPENT))
            await asyncio.sleep(SLOWER / 8)


async def _ask(client: httpx.AsyncClient, method: str, path: str, headers: Mapping[str, str] | None = None) -> None:
    await client.request(method, path, headers=headers)

"""The demo's faults: each fires the alerts that are for it, and no others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
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
"""No fault of ours: somebody whose requests arrive with their budget spent. No alert is for it: it is the control."""

FIRES = {
    "blocked-loop": ["TimeoutEventLoopLag"],
    "slow-payments": ["TimeoutNearLimit", "TimeoutExpiryBurnRate"],
    "swallowed-cancellation": ["TimeoutSuppressed"],
    "slow-clean-up": ["TimeoutSlowUnwind"],
}

TAKES = 3
"""A machine so busy that the control's loop lags too tells nothing of the faults: so many times they are tried."""


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize(
    "pair", [("blocked-loop", "slow-payments"), ("swallowed-cancellation", "slow-clean-up")], ids=" ".join
)
async def test_a_fault_fires_the_alerts_that_are_for_it(pair: tuple[str, ...], tmp_path: Path) -> None:
    """In the stack's own Prometheus, with windows scaled down, each fault fires its alerts in order and no others.

    On the real clock, for Prometheus has no other: a shop and a Prometheus to a fault and to the control, all at once.
    """
    for take in range(TAKES):
        (tmp_path / str(take)).mkdir()
        fired = await drills((*pair, STRANGER), tmp_path / str(take))
        if not fired[STRANGER]:
            break
    assert fired == {STRANGER: []} | {fault: FIRES[fault] for fault in pair}


async def drills(faults: Sequence[str], folder: Path) -> dict[str, list[str]]:
    """The alerts of shops with one fault each, side by side."""
    ready = asyncio.Barrier(len(faults))
    async with asyncio.TaskGroup() as group:
        fired = {fault: group.create_task(drill(fault, _folder(folder, fault), ready)) for fault in faults}
    return {fault: drill.result() for fault, drill in fired.items()}


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

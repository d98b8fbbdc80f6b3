"""The data of every panel: its queries, asked of a real Prometheus that watches the demo for a few minutes."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.dashboards.boards import BOARDS
from tests.dashboards.stack import Prometheus, prometheus
from tests.services.door import ask_everything
from tests.support.processes import door, shop

SECONDS = 150
"""Seconds that are shown; the demo's rarest customers come every ten."""

WARM = 12.0
"""Seconds before them, in which rates come to have a window."""

SCALE = 1 / 30
"""Windows and waits of the rules, to those that operators have: a day is 48 minutes."""

ONE = "checkout"
"""The timeout that *One timeout* is opened for."""

STEP = 1.0
RATE = "10s"


async def collect(folder: Path) -> None:
    """Write ``NAME.json`` for each dashboard: its JSON, the range that is shown, and the answers of its queries."""
    with tempfile.TemporaryDirectory() as scratch:
        logs = Path(scratch)
        async with shop(logs, load=True) as demo, door(logs) as other:
            targets = {"shop": [demo.shop], "payments": [demo.payments], "door": [other]}
            async with prometheus(targets, logs, scale=SCALE) as server:
                start = time.time() + WARM
                await ask_everything(f"http://{other}", WARM + SECONDS)
                await asyncio.sleep(2 * 30 * SCALE)
                for name, board in BOARDS.items():
                    shown = await _answers(server, board, start, time.time())
                    (folder / f"{name}.json").write_text(json.dumps(shown))


async def _answers(server: Prometheus, board: dict[str, Any], start: float, end: float) -> dict[str, Any]:
    one = ONE if board["uid"] == "tracedtimeout-one" else ".+"
    panels = {
        panel["id"]: {
            target["refId"]: await _ask(server, target, one, start, end) for target in panel.get("targets", [])
        }
        for panel in board["panels"]
    }
    return {"board": board, "from": start * 1000, "to": end * 1000, "step": STEP, "answers": panels}


async def _ask(server: Prometheus, target: dict[str, Any], one: str, start: float, end: float) -> list[dict[str, Any]]:
    expr = target["expr"].replace("$timeout", one)
    for variable in ("$cluster", "$namespace", "$job", "$instance"):
        expr = expr.replace(variable, ".*")
    expr = expr.replace("$__rate_interval", RATE).replace("$__range", f"{SECONDS}s")
    if target.get("instant"):
        return await server.instant(expr)
    return await server.over(expr, start, end, STEP)

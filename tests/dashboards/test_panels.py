"""The dashboards over the running demo: every panel and rule has something to say, in the stack's own Prometheus."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest

from dashboards import alerts, records
from dashboards._windows import scaled
from tests.dashboards.boards import panels
from tests.dashboards.stack import Prometheus, prometheus
from tests.services.door import ask_everything
from tests.support.processes import door, shop

SECONDS = 16
"""Seconds that the demo runs before it is looked at: its rarest customers come every ten."""

ROUNDS = 6
"""Times that the demo runs so long at most: on a busy machine customers and scrapes are late."""

SCALE = 1 / 60
"""A rule's five minutes are five seconds."""

EMPTY = {
    "TimeoutEventLoopLag": "the demo's loops are seldom held up, unless its fault is switched on: test_faults",
    "TimeoutSlowUnwind": "the demo stops promptly, unless its fault is switched on: test_faults",
    "TimeoutTargetMissing": "everything is up; promtool's unit tests see it fire",
    **dict.fromkeys(
        (
            "one-timeout: Durations B",
            "overview: Utilization B",
            "across-services: Budget received B",
            "job_timeout:tracedtimeout_duration_seconds:rate5m",
        ),
        "of native histograms, and the demo's are classic: test_native",
    ),
}
"""What need not say anything, and why."""


@pytest.mark.server
@pytest.mark.long
@pytest.mark.slow
async def test_every_panel_and_rule_shows_something(tmp_path: Path) -> None:
    """No expression of a dashboard or a rule is an error or empty while the demo runs.

    On the real clock: Prometheus and the demo's processes have no other.
    """
    async with shop(tmp_path, load=True) as demo, door(tmp_path) as other:
        targets = {"demo-shop": [demo.shop], "otel-collector": [demo.payments], "door": [other]}
        async with prometheus(targets, tmp_path, scale=SCALE) as server:
            start = time.time()
            silent = asked = expressions()
            for _ in range(ROUNDS):
                await ask_everything(f"http://{other}", SECONDS)
                silent = [(name, expr) for name, expr in silent if not await shows(server, expr, start)]
                if {name for name, _ in silent} <= EMPTY.keys():
                    break
            exemplars = await server.exemplars("tracedtimeout_duration_seconds_bucket", start, time.time())
    assert [name for name, _ in silent if name not in EMPTY] == []
    assert len(asked) > 80
    assert {"trace_id"} <= set.union(*map(set, exemplars))


def expressions() -> list[tuple[str, str]]:
    """Every expression there is, with all variables at *All*."""
    shown = [(f"{panel} {target['refId']}", target["expr"]) for panel in panels() for target in panel.targets]
    recorded = [(record.record, scaled(record.expr, SCALE)) for record in records.RECORDS]
    fired = [(alert.alert, scaled(alert.expr, SCALE)) for alert in alerts.ALERTS]
    return [(name, expanded(expr)) for name, expr in [*shown, *recorded, *fired]]


def expanded(expr: str) -> str:
    """An expression as Grafana sends it."""
    for variable in ("$cluster", "$namespace", "$job", "$instance", "$timeout"):
        expr = expr.replace(variable, ".*")
    expr = expr.replace("$__rate_interval", "2s").replace("$__range", f"{SECONDS}s")
    assert "$" not in expr
    return expr


async def shows(server: Prometheus, expr: str, start: float) -> bool:
    """Whether a graph of the expression has a point."""
    series = await server.over(expr, start, time.time())
    if any("histograms" in one for one in series):
        return True
    return any(math.isfinite(float(value)) for one in series for _, value in one["values"])

"""Native histograms: dashboards and rules read what Prometheus 3 makes of ours."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from dashboards import records
from dashboards._windows import scaled
from tests.dashboards.boards import panels
from tests.dashboards.stack import native_prometheus, prometheus
from tests.dashboards.test_panels import ROUNDS, SCALE, SECONDS, expanded, shows
from tests.services.door import ask_everything
from tests.support.processes import door, shop
from tracedtimeout._core.figures._metrics import METRICS

HISTOGRAMS = re.compile("|".join(metric.prometheus_name for metric in METRICS if metric.kind == "histogram"))
JOBS = ("demo-shop", "door")
CLASSIC = re.compile(r"_bucket:rate5m$|sum by \(le\)")
"""What is for classic histograms alone: a panel or a rule for native ones stands beside it."""


@pytest.mark.server
@pytest.mark.long
@pytest.mark.slow
async def test_panels_and_rules_read_native_histograms(tmp_path: Path) -> None:
    """With no classic histogram stored, what reads one shows the native one, of our exporter and of OpenTelemetry's.

    On the real clock: Prometheus and the demo's processes have no other.
    """
    async with shop(tmp_path, load=True) as demo, door(tmp_path) as other:
        targets = dict(zip(JOBS, ([demo.shop], [other]), strict=True))
        async with prometheus(targets, tmp_path, scale=SCALE, native=native_prometheus()) as server:
            start = time.time()
            silent = expressions()
            for _ in range(ROUNDS):
                await ask_everything(f"http://{other}", SECONDS)
                for name, each in list(silent.items()):
                    if any([await shows(server, expr, start) for expr in each]):
                        del silent[name]
                if not silent:
                    break
            left = await server.over(
                "count by (job) (job_timeout:tracedtimeout_exits:increase5m > 0)", start, time.time()
            )
            classic = await server.instant('{__name__=~"tracedtimeout_.+_(bucket|count|sum)"}')
    assert list(silent) == []
    assert {one["metric"]["job"] for one in left} == set(JOBS)
    assert classic == []


def expressions() -> dict[str, list[str]]:
    """What reads a histogram, in panels and in recording rules, of one job at a time.

    The demo has buckets of its own, and native histograms of different buckets have no sum.
    """
    shown = [(f"{panel} {target['refId']}", target["expr"]) for panel in panels() for target in panel.targets]
    recorded = [(record.record, scaled(record.expr, SCALE)) for record in records.RECORDS]
    return {
        name: [expanded(expr.replace("$job", job)) for job in JOBS]
        for name, expr in [*shown, *recorded]
        if HISTOGRAMS.search(expr) and not CLASSIC.search(f"{expr}\n{name}")
    }

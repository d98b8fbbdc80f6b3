"""The page about the dashboards: its arithmetic is that of the table of metrics, its configuration is accepted."""

from __future__ import annotations

import re
from pathlib import Path
from subprocess import run

import pytest

from dashboards import alerts, records
from tests.dashboards.stack import DASHBOARDS, program
from tracedtimeout import Outcome
from tracedtimeout._core.figures import _metrics as metrics
from tracedtimeout._core.figures._metrics import Metric
from tracedtimeout.demo.run.faults import Fault
from tracedtimeout.propagation._wire import HEADERS

TEXT = (DASHBOARDS / "README.md").read_text()
OWN_EXPIRIES = 4
"""What a deadline that fired can end in: expired, replaced, suppressed, and cancelled from outside all the same."""


def size(metric: Metric) -> int:
    """The series of one set of labels: of a histogram its buckets, ``+Inf``, sum and count."""
    return len(metric.default_bounds) + 3 if metric.kind == "histogram" else 1


COMPLETES = sum(map(size, (metrics.DURATION, metrics.LIMIT, metrics.UTILIZATION, metrics.ACTIVE)))
EXPIRES = COMPLETES + sum(map(size, (metrics.DURATION, metrics.UNWIND, metrics.EXPIRATIONS))) + 1
"""One more for the owner that interrupts it."""

EVERYTHING = (
    COMPLETES
    + size(metrics.DURATION) * (len(Outcome) - 1)
    + size(metrics.UNWIND)
    + OWN_EXPIRIES
    + 2 * 2  # reasons by modes of a rejection
    + size(metrics.RESCHEDULES)
    + size(metrics.THREADS_ABANDONED)
)
INSTANCE = size(metrics.TIMER_LAG) + size(metrics.SCRAPE_DURATION)
HEADER = size(metrics.RECEIVED) + size(metrics.TRANSIT) + 3  # reasons to ignore it
BUCKETS = len(metrics.DURATION.default_bounds) + 1
RECORDED = sum(
    {"job_timeout": 1, "job_timeout_le": BUCKETS}.get(r.record.partition(":")[0], 0) for r in records.RECORDS
)


def test_series_are_counted_right() -> None:
    """The table of cardinality and its examples are what the table of metrics makes them."""
    cells = re.findall(r"^\| (?:a name|an instance|recorded)[^|]*\| (\d+)", TEXT, re.MULTILINE)
    assert list(map(int, cells)) == [COMPLETES, EXPIRES, EVERYTHING, INSTANCE, HEADER, RECORDED]
    assert f"= {(30 * COMPLETES + 20 * EXPIRES + INSTANCE + 2 * HEADER) * 20:,} series" in TEXT
    assert f"50 x {RECORDED} = {50 * RECORDED:,} recorded" in TEXT
    assert f"= {200 * EVERYTHING + INSTANCE + len(HEADERS) * HEADER:,} series" in TEXT


def test_every_alert_and_fault_is_explained() -> None:
    """The page names each alert of the table and each fault of the demo."""
    assert set(re.findall(r"^\| \[`(Timeout\w+)`\]", TEXT, re.MULTILINE)) == {alert.alert for alert in alerts.ALERTS}
    assert [fault for fault in Fault if f"`{fault}`" not in TEXT] == []


@pytest.mark.server
@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL))
def test_prometheus_accepts_what_the_page_says_to_configure(block: str, tmp_path: Path) -> None:
    """`promtool check` finds nothing wrong with the snippets, be they configuration or rules."""
    (tmp_path / "snippet.yml").write_text(block)
    kind = "rules" if block.startswith("groups:") else "config"
    command = [program("promtool"), "check", kind, str(tmp_path / "snippet.yml")]
    done = run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

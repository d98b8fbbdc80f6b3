"""The pages on telemetry name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.telemetry import ROOT
from tracedtimeout._core.figures import _metrics
from tracedtimeout.logs import LogObserver
from tracedtimeout.spans import _told

TELEMETRY = (ROOT / "docs" / "telemetry.md").read_text()
WORKERS = (ROOT / "docs" / "workers.md").read_text()

OF_TIMEOUTS = {metric.name for metric in _metrics.METRICS if "timeout" in metric.labels} - {
    "tracedtimeout.active",
    "tracedtimeout.rejections",
    "tracedtimeout.threads.abandoned",
}
"""Metrics that say of one timeout what a span says too."""


def test_the_table_joins_all_that_spans_have() -> None:
    """Every attribute is in it, and every metric that tells the same of a timeout."""
    constants = {value for name, value in vars(_told).items() if name.isupper() and isinstance(value, str)}
    attributes = {value for value in constants if re.fullmatch(r"(tracedtimeout|error|code)\.[a-z.]+", value)}
    assert len(attributes) >= 14
    table = TELEMETRY.partition("## Spans and metrics joined")[2].partition("##")[0]
    named = set(re.findall(r"`([a-z_.]+)`", table))
    assert attributes | OF_TIMEOUTS <= named


def test_the_table_joins_all_fields_of_a_log_record() -> None:
    """They are those that the observer's docstring lists."""
    fields = set(re.findall(r"``(timeout_\w+)``", LogObserver.__doc__ or ""))
    assert fields == set(re.findall(r"`(timeout_\w+)`", TELEMETRY))


@pytest.mark.parametrize("program", re.findall(r"```python\n(.*?)```", WORKERS, re.DOTALL))
def test_what_is_to_be_written_runs(program: str) -> None:
    """Each block is a program that can be imported."""
    exec(compile(program, "docs/workers.md", "exec"), {})  # noqa: S102  # our own page


def test_links_lead_somewhere() -> None:
    """Other pages that they name are there."""
    for name in re.findall(r"\]\(([\w./]+)\)", TELEMETRY + WORKERS):
        assert (Path(ROOT) / "docs" / name).exists()

"""PromQL that counts events over a window, those before a series was first scraped included.

``increase()`` compares samples, so it does not see what a series is born with: of a burst within one scrape interval
it sees nothing. Here a series without a past counts by its first value as well. One that only looks new does not: its
process is older than the window, and its name was not seen there before (a target that was relabelled). Where no
``process_start_time_seconds`` is exported a process counts as young.
"""

from __future__ import annotations

from tracedtimeout._core import _metrics as metrics
from tracedtimeout._core._metrics import Metric

from ._windows import SECONDS

PLACE = "cluster, namespace, job"
"""Labels that say where a process runs; those that a Prometheus does not have stay away by themselves."""

INSTANCE = f"{PLACE}, instance"
TIMEOUT = f"{PLACE}, timeout"

_BORN_AT_ZERO = 'outcome="expired"'
"""The series that stands at 0 from a name's first entry: it tells since when a name is watched."""


def counted(metric: Metric, window: str, by: str, matching: str = "") -> str:
    """Events of a counter or a histogram that has the label ``outcome``, over `window`."""
    name = metric.prometheus_name + ("_count" if metric.kind == "histogram" else "")
    series = f"{name}{{{matching}}}" if matching else name
    return (
        f"sum by ({by}) (\n"
        f"  increase({series}[{window}])\n"
        "  or label_replace(\n"
        f"    min_over_time({series}[{window}]) unless {series} offset {window}\n"
        f"    unless on ({INSTANCE}, timeout) (\n"
        f"      (min_over_time({name}{{{_BORN_AT_ZERO}}}[{window}]) unless {name}{{{_BORN_AT_ZERO}}} offset {window})\n"
        f"      and on ({INSTANCE}) max_over_time(process_start_time_seconds[{window}]) < time() - {seconds(window)}\n"
        "    ),\n"
        '    "first", "value", "job", ".*"\n'  # a label more, so that both the increase and the first value are added
        "  )\n"
        ")"
    )


def expirations(window: str, matching: str = "") -> str:
    """Expiries by name over `window`."""
    return counted(metrics.EXPIRATIONS, window, TIMEOUT, matching)


def exits(window: str, by: str = TIMEOUT, matching: str = 'outcome!="rejected"') -> str:
    """Timeouts left over `window`; what was refused on entry is left out."""
    return counted(metrics.DURATION, window, by, matching)


def seconds(window: str) -> int:
    """The seconds of a Prometheus duration."""
    return int(window[:-1]) * SECONDS[window[-1]]

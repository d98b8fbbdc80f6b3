"""PromQL that counts events over a window, those before a series was first scraped included.

``increase()`` compares samples, so it does not see what a series is born with: of a burst within one scrape interval
it sees nothing. Here a series without a past counts by its first value as well. One that only looks new does not: its
process is older than the window, and its name was not seen there before (a target that was relabelled). Where no
``process_start_time_seconds`` is exported a process counts as young.
"""

from __future__ import annotations

from tracedtimeout._core.figures import _metrics as metrics
from tracedtimeout._core.figures._metrics import Metric

from ._windows import SECONDS

PLACE = "cluster, namespace, job"
"""Labels that say where a process runs; those that a Prometheus does not have stay away by themselves."""

INSTANCE = f"{PLACE}, instance"
TIMEOUT = f"{PLACE}, timeout"

_BORN_AT_ZERO = 'outcome="expired"'
"""The series that stands at 0 from a name's first entry: it tells since when a name is watched."""


def counted(metric: Metric, window: str, by: str, matching: str = "") -> str:
    """Events of a counter or a histogram, classic or native, that has the label ``outcome``, over `window`."""
    histogram = metric.kind == "histogram"
    name = metric.prometheus_name + ("_count" if histogram else "")
    parts = [
        f"increase({name}{{{matching}}}[{window}])",
        # A label more, so that both the increase and the first value are added.
        f'label_replace({_new("min_over_time", name, matching, window)}, "first", "value", "job", ".*")',
    ]
    if histogram:
        native = metric.prometheus_name
        parts += [
            f"histogram_count({_new('last_over_time', native, matching, window)})",
            f"histogram_count(increase({native}{{{matching}}}[{window}]))",
        ]
    return f"sum by ({by}) (\n  " + "\n  or ".join(parts).replace("{}", "") + "\n)"


def _new(read: str, name: str, matching: str, window: str) -> str:
    """Series that have no past at the beginning of `window`, read by a function over time.

    Absent at that very moment is not enough where nothing tells when the process started: a scrape may have failed.
    """
    start = f"max_over_time(process_start_time_seconds[{window}])"
    told, series = f"{name}{{{_BORN_AT_ZERO}}}", f"{name}{{{matching}}}"
    return (
        f"\n    {read}({series}[{window}]) unless {series} offset {window}\n"
        f"    unless (last_over_time({series}[5m] offset {window}) unless on ({INSTANCE}) {start})\n"
        f"    unless on ({INSTANCE}, timeout) (\n"
        f"      ({read}({told}[{window}]) unless {told} offset {window})\n"
        f"      and on ({INSTANCE}) {start} < time() - {seconds(window)}\n"
        "    )\n  "
    )


def quantile(q: float, metric: Metric, by: str, window: str = "5m") -> str:
    """The value that a share `q` of a histogram, classic or native, stays below."""
    name = metric.prometheus_name
    return (
        f"histogram_quantile({q:g}, sum by ({by}, le) (rate({name}_bucket[{window}])))\n"
        f"or histogram_quantile({q:g}, sum by ({by}) (rate({name}[{window}])))"
    )


def observed(metric: Metric, by: str, window: str = "5m") -> str:
    """The count of a histogram, classic or native, over `window`, first values left out."""
    name = metric.prometheus_name
    return f"sum by ({by}) (increase({name}_count[{window}]) or histogram_count(increase({name}[{window}])))"


def expirations(window: str, matching: str = "") -> str:
    """Expiries by name over `window`."""
    return counted(metrics.EXPIRATIONS, window, TIMEOUT, matching)


def exits(window: str, by: str = TIMEOUT, matching: str = 'outcome!="rejected"') -> str:
    """Timeouts left over `window`; what was refused on entry is left out."""
    return counted(metrics.DURATION, window, by, matching)


def seconds(window: str) -> int:
    """The seconds of a Prometheus duration."""
    return int(window[:-1]) * SECONDS[window[-1]]

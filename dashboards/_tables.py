"""The tables and thresholds that more than one dashboard shows."""

from __future__ import annotations

from grafana_foundation_sdk.builders import table

from tracedtimeout._core import _metrics as metrics

from . import _promql as promql
from ._panels import Column, Text, rows

EXPIRY_STEPS = ((0.001, "orange"), (0.0144, "red"))
USED_STEPS = ((0.75, "yellow"), (0.9, "orange"), (1.0, "red"))
LAG_STEPS = ((0.1, "orange"), (0.5, "red"))


def alerts() -> table.Panel:
    """The alerts of dashboards/prometheus that fire now."""
    firing = 'ALERTS{alertname=~"Timeout.+", alertstate="firing", job=~"$job"}'
    return rows(
        Text("Firing alerts", "Each has a runbook line in its annotations. No rows: all is well.", "short"),
        [Column("Firing", f"sum by (alertname, severity, window, job, instance, timeout) ({firing})", "short")],
    )


def limits() -> table.Panel:
    """How long each timeout takes, beside its limit, and what the limit should be."""
    text = Text(
        "Suggested limit",
        f"p99.9 of duration with {promql.HEADROOM - 1:.0%} headroom, beside the limit in force (the average granted). "
        "Durations that another's deadline cut short are left out. While more than 0.1 % expire, the limit itself "
        "hides how long the work would take: raise it, then look again. So does the deadline of another that ends more "
        "than 0.1 %: look at that one first. Values are read from buckets, so they are as fine as these.",
        "s",
    )
    return rows(text, [*_durations(), *_limits()])


def _durations() -> list[Column]:
    def quantile(q: float) -> str:
        return promql.quantile(q, metrics.DURATION, promql.BY, promql.UNCENSORED, promql.WHOLE)

    return [
        Column("p50", quantile(0.5), "s"),
        Column("p95", quantile(0.95), "s"),
        Column("p99", quantile(0.99), "s"),
        Column("p99.9", quantile(0.999), "s"),
    ]


def _limits() -> list[Column]:
    used = promql.quantile(0.99, metrics.UTILIZATION, promql.BY, window=promql.WHOLE)
    return [
        Column("Limit", promql.mean(metrics.LIMIT, promql.BY, promql.WHOLE), "s"),
        Column("Suggested", promql.suggested_limit(), "s"),
        Column("Verdict", promql.verdict(), "short", names=promql.VERDICTS),
        Column("Utilization p99", used, "percentunit", USED_STEPS),
        Column("Share that expires", promql.expiry_share(promql.BY, promql.WHOLE), "percentunit", EXPIRY_STEPS),
    ]

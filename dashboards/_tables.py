"""The tables and thresholds that more than one dashboard shows."""

from __future__ import annotations

from grafana_foundation_sdk.builders import table

from . import _promql as promql
from . import limits
from ._panels import Column, Text, rows
from ._record import named

EXPIRY_STEPS = ((0.001, "orange"), (0.0144, "red"))
USED_STEPS = ((0.75, "yellow"), (0.9, "orange"), (1.0, "red"))
LAG_STEPS = ((0.1, "orange"), (0.5, "red"))


def alerts() -> table.Panel:
    """The alerts of dashboards/prometheus that fire now."""
    firing = f'ALERTS{{alertname=~"Timeout.+", alertstate="firing", {promql.PLACE}}}'
    labels = "alertname, severity, owner, window, cluster, namespace, job, instance, timeout"
    return rows(
        Text("Firing alerts", "Each has a runbook among its annotations. No rows: all is well.", "short"),
        [Column("Firing", f"sum by ({labels}) ({firing})", "short")],
    )


def suggested() -> table.Panel:
    """The durations of each timeout over a day, beside its limit and the limit that is suggested."""
    text = Text(
        "Suggested limit",
        f"Over a day, all instances, from recording rules: p99.9 of duration with {limits.HEADROOM - 1:.0%} headroom, "
        "beside the limit in force (the average granted). Durations that another's deadline cut short are left out. "
        "While more than 0.1 % expire, the limit itself hides how long the work would take: raise it, then look again. "
        "So does the deadline of another that ends more than 0.1 %: look at that one first. Values are read from "
        "buckets, so they are as fine as these.",
        "s",
    )
    return rows(text, [*_durations(), *_limits()])


def _durations() -> list[Column]:
    titles = {"p50": "p50", "p95": "p95", "p99": "p99", "p999": "p99.9"}
    return [
        Column(title, promql.recorded(named("duration_seconds", f"{name}_rate1d")), "s")
        for name, title in titles.items()
    ]


def _limits() -> list[Column]:
    used = promql.recorded(named("utilization", "p99_rate5m"))
    share = promql.recorded(named("expiry_share", "ratio_rate1d"))
    return [
        Column("Limit", promql.recorded(named("limit_seconds", "mean_rate1d")), "s"),
        Column("Suggested", promql.recorded(named("suggested_limit_seconds", "p999_rate1d")), "s"),
        Column("Verdict", promql.recorded(named("limit_verdict", "rate1d")), "short", names=limits.VERDICTS),
        Column("Utilization p99, now", used, "percentunit", USED_STEPS),
        Column("Share that expires", share, "percentunit", EXPIRY_STEPS),
    ]

"""The PromQL that panels are made of, over the package's own table of metrics.

A histogram may be classic or native: each expression reads the one and, where there is none, the other.
"""

from __future__ import annotations

from tracedtimeout._core.figures import _metrics as metrics
from tracedtimeout._core.figures._metrics import Metric

PLACE = 'cluster=~"$cluster", namespace=~"$namespace", job=~"$job"'
TARGET = f'{PLACE}, instance=~"$instance"'
NAMED = f'{TARGET}, timeout=~"$timeout"'
RECORDED = f'{PLACE}, timeout=~"$timeout"'
"""Recorded series, which sum instances away."""

RAN = 'outcome!="rejected"'
NOW = "$__rate_interval"
WHOLE = "$__range"


def matchers(metric: Metric, extra: str = "") -> str:
    """The variables of the dashboard that apply to `metric`, and `extra`, in braces."""
    known = NAMED if "timeout" in metric.labels else TARGET
    return f"{{{known}, {extra}}}" if extra else f"{{{known}}}"


def rate(metric: Metric, by: str, extra: str = "", window: str = NOW) -> str:
    """Events a second; those of a histogram are what it counted."""
    return _summed(metric, "count", by, extra, window)


def quantile(q: float, metric: Metric, by: str = "", extra: str = "", window: str = NOW) -> str:
    """The value that a share `q` stays below."""
    series = matchers(metric, extra)
    classic = f"sum by ({f'{by}, le' if by else 'le'}) (rate({metric.prometheus_name}_bucket{series}[{window}]))"
    native = f"sum by ({by}) (rate({metric.prometheus_name}{series}[{window}]))"
    return f"histogram_quantile({q:g}, {classic}) or histogram_quantile({q:g}, {native})"


def buckets(metric: Metric, window: str = NOW) -> tuple[str, str]:
    """Counts by bucket, for a heatmap: of a classic histogram, and of a native one."""
    name, series = metric.prometheus_name, matchers(metric)
    return (
        f"sum by (le) (increase({name}_bucket{series}[{window}]))",
        f"sum(increase({name}{series}[{window}]))",
    )


def mean(metric: Metric, by: str, window: str = NOW) -> str:
    """The average of what a histogram recorded."""
    return f"{_summed(metric, 'sum', by, '', window)} / ({rate(metric, by, window=window)} > 0)"


def _summed(metric: Metric, part: str, by: str, extra: str, window: str) -> str:
    series = matchers(metric, extra)
    if metric.kind != "histogram":
        return f"sum by ({by}) (rate({metric.prometheus_name}{series}[{window}]))"
    classic = f"rate({metric.prometheus_name}_{part}{series}[{window}])"
    native = f"histogram_{part}(rate({metric.prometheus_name}{series}[{window}]))"
    return f"sum by ({by}) ({classic} or {native})"


def level(metric: Metric, by: str) -> str:
    """The value of an up-down counter."""
    return f"sum by ({by}) ({metric.prometheus_name}{matchers(metric)})"


def expiry_share(by: str, window: str = NOW) -> str:
    """Expiries over exits, 0 where nothing expired; work refused on arrival is in neither."""
    exits = rate(metrics.DURATION, by, RAN, window)
    return f"({rate(metrics.EXPIRATIONS, by, window=window)} or {exits} * 0) / ({exits} > 0)"


def recorded(name: str) -> str:
    """The series of a recording rule, for the timeouts that are chosen."""
    return f"{name}{{{RECORDED}}}"

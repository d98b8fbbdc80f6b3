"""The PromQL that panels are made of, over the package's own table of metrics."""

from __future__ import annotations

from tracedtimeout._core import _metrics as metrics
from tracedtimeout._core._metrics import Metric

TARGET = 'job=~"$job", instance=~"$instance"'
NAMED = f'{TARGET}, timeout=~"$timeout"'
RAN = 'outcome!="rejected"'
UNCENSORED = 'outcome!~"rejected|cancelled|inherited"'
"""Durations that another's deadline or a cancellation cut short say nothing about the limit."""

NOW = "$__rate_interval"
WHOLE = "$__range"


def matchers(metric: Metric, extra: str = "") -> str:
    """The variables of the dashboard that apply to `metric`, and `extra`, in braces."""
    known = NAMED if "timeout" in metric.labels else TARGET
    return f"{{{known}, {extra}}}" if extra else f"{{{known}}}"


def rate(metric: Metric, by: str, extra: str = "", window: str = NOW) -> str:
    """Events a second; those of a histogram are what it counted."""
    name = metric.prometheus_name + ("_count" if metric.kind == "histogram" else "")
    return f"sum by ({by}) (rate({name}{matchers(metric, extra)}[{window}]))"


def quantile(q: float, metric: Metric, by: str = "", extra: str = "", window: str = NOW) -> str:
    """The value that a share `q` stays below, read from the buckets."""
    levels = f"{by}, le" if by else "le"
    buckets = f"rate({metric.prometheus_name}_bucket{matchers(metric, extra)}[{window}])"
    return f"histogram_quantile({q:g}, sum by ({levels}) ({buckets}))"


def buckets(metric: Metric, window: str = NOW) -> str:
    """Counts by bucket, for a heatmap."""
    return f"sum by (le) (increase({metric.prometheus_name}_bucket{matchers(metric)}[{window}]))"


def mean(metric: Metric, by: str, window: str = NOW) -> str:
    """The average of what a histogram recorded."""
    total = f"sum by ({by}) (rate({metric.prometheus_name}_sum{matchers(metric)}[{window}]))"
    return f"{total} / ({rate(metric, by, window=window)} > 0)"


def level(metric: Metric, by: str) -> str:
    """What an up-down counter stands at."""
    return f"sum by ({by}) ({metric.prometheus_name}{matchers(metric)})"


def expiry_share(by: str, window: str = NOW) -> str:
    """Expiries over exits, 0 where nothing expired; work refused on arrival is in neither."""
    exits = rate(metrics.DURATION, by, RAN, window)
    return f"({rate(metrics.EXPIRATIONS, by, window=window)} or {exits} * 0) / ({exits} > 0)"


HEADROOM = 1.25
"""What the suggested limit adds to the p99.9 of duration."""

LOOSE = 4
"""A limit this many times the suggested one is too loose."""

BY = "job, timeout"


def suggested_limit() -> str:
    return f"{quantile(0.999, metrics.DURATION, BY, UNCENSORED, WHOLE)} * {HEADROOM}"


def verdict() -> str:
    """A number for `VERDICTS`: the first line that holds for a name."""
    limit, suggested = mean(metrics.LIMIT, BY, WHOLE), suggested_limit()
    counted = f"{metrics.DURATION.prometheus_name}_count{matchers(metrics.DURATION, UNCENSORED)}"
    count = f"sum by ({BY}) (increase({counted}[{WHOLE}]))"
    cut_short = f"{rate(metrics.INTERRUPTIONS, BY, window=WHOLE)} / {rate(metrics.DURATION, BY, RAN, WHOLE)}"
    return (
        f"({expiry_share(BY, WHOLE)} > 0.001) * 0 + 4\n"
        f"or ({cut_short} > 0.001) * 0 + 5\n"
        f"or ({count} < 1000 or {limit} unless {count}) * 0 + 3\n"
        f"or ({suggested} > ({limit})) * 0 + 2\n"
        f"or ({suggested} * {LOOSE} < ({limit})) * 0 + 1\n"
        f"or ({limit}) * 0"
    )


VERDICTS = {  # by the numbers of `verdict`
    "0": ("fits", "green"),
    "1": ("too loose", "blue"),
    "2": ("too tight", "orange"),
    "3": ("too few to tell (under 1000)", "text"),
    "4": ("cannot tell, raise it (over 0.1 % expire)", "red"),
    "5": ("cannot tell, another's deadline ends it (over 0.1 %)", "purple"),
}

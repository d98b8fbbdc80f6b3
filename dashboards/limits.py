"""Recording rules that say what a limit should be: its durations over a day, the suggested limit and a verdict."""

from __future__ import annotations

from tracedtimeout._core.figures import _metrics as metrics

from ._events import TIMEOUT, exits
from ._record import Record, named

UNCENSORED = 'outcome!~"rejected|cancelled|inherited"'
"""Durations that another's deadline or a cancellation cut short say nothing about the limit."""

HEADROOM = 1.25
"""The share that the suggested limit adds to the p99.9 of duration."""

LOOSE = 4
"""A limit this many times the suggested one is too loose."""

VERDICTS = {  # by the numbers of `_verdict`
    "0": ("fits", "green"),
    "1": ("too loose", "blue"),
    "2": ("too tight", "orange"),
    "3": ("too few to tell (under 1000)", "text"),
    "4": ("cannot tell, raise it (over 0.1 % expire)", "red"),
    "5": ("cannot tell, another's deadline ends it (over 0.1 %)", "purple"),
}

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p999": 0.999}

_NAME, _LIMIT = metrics.DURATION.prometheus_name, metrics.LIMIT.prometheus_name
_BUCKETS = f"job_timeout_le:{_NAME}_bucket:rate5m"
_NATIVE = named("duration_seconds", "rate5m")
_SUM, _COUNT = named("limit_seconds_sum", "rate5m"), named("limit_seconds_count", "rate5m")

NOW: tuple[Record, ...] = (  # instances are summed here, so that a day's figures read few series
    Record(_BUCKETS, f"sum by ({TIMEOUT}, le) (rate({_NAME}_bucket{{{UNCENSORED}}}[5m]))"),
    Record(_NATIVE, f"sum by ({TIMEOUT}) (rate({_NAME}{{{UNCENSORED}}}[5m]))"),
    Record(_SUM, f"sum by ({TIMEOUT}) (rate({_LIMIT}_sum[5m]) or histogram_sum(rate({_LIMIT}[5m])))"),
    Record(_COUNT, f"sum by ({TIMEOUT}) (rate({_LIMIT}_count[5m]) or histogram_count(rate({_LIMIT}[5m])))"),
)


def _quantile(q: float) -> str:
    return (
        f"histogram_quantile({q:g}, sum by ({TIMEOUT}, le) (sum_over_time({_BUCKETS}[1d])))\n"
        f"or histogram_quantile({q:g}, sum_over_time({_NATIVE}[1d]))"
    )


def _verdict() -> str:
    """A number for `VERDICTS`: the first line that holds for a name."""
    limit, suggested = named("limit_seconds", "mean_rate1d"), named("suggested_limit_seconds", "p999_rate1d")
    count, share = named("uncensored_exits", "increase1d"), named("expiry_share", "ratio_rate1d")
    return (
        f"({share} > 0.001) * 0 + 4\n"
        f"or ({named('interrupted_share', 'ratio_rate1d')} > 0.001) * 0 + 5\n"
        f"or ({count} < 1000 or {limit} unless {count}) * 0 + 3\n"
        f"or ({suggested} > {limit}) * 0 + 2\n"
        f"or ({suggested} * {LOOSE} < {limit}) * 0 + 1\n"
        f"or {limit} * 0"
    )


DAY: tuple[Record, ...] = (
    *(Record(named("duration_seconds", f"{name}_rate1d"), _quantile(q)) for name, q in QUANTILES.items()),
    Record(named("limit_seconds", "mean_rate1d"), f"sum_over_time({_SUM}[1d]) / (sum_over_time({_COUNT}[1d]) > 0)"),
    Record(named("suggested_limit_seconds", "p999_rate1d"), f"{named('duration_seconds', 'p999_rate1d')} * {HEADROOM}"),
    Record(
        named("interrupted_share", "ratio_rate1d"),
        f"sum_over_time({named('interruptions', 'increase5m')}[1d])"
        f" / (sum_over_time({named('exits', 'increase5m')}[1d]) > 0)",
    ),
    Record(named("uncensored_exits", "increase1d"), exits("1d", matching=UNCENSORED)),
    Record(named("limit_verdict", "rate1d"), _verdict()),
)

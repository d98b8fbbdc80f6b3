"""The table of metrics: every name, unit, label and bucket that leaves the process.

Prometheus and OTel read the same rows, so that one dashboard serves both. The names of a row follow OpenTelemetry's
Prometheus compatibility rules: dots become underscores, the unit is appended, counters end in ``_total``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .._arguments import shown

OTHER = "_OTHER"
"""The label of every name past the cap (the value OTel's semantic conventions use for "something else")."""

STARTED_NS = time.time_ns()
"""Unix time from which every figure counts, loaded before the first can be; OTel's cumulative data say so."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_RATIOS = (0.1, 0.25, 0.5, 0.75, 0.8, 0.9, 0.95, 0.99, 1.0, 1.05, 1.25, 1.5, 2.0, 5.0)
_LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True, eq=False)  # by identity: hashing all fields costs 0.5 us at each look-up
class Metric:
    """One row: an OTel instrument and the Prometheus family it becomes."""

    name: str
    prometheus_name: str
    kind: Literal["histogram", "counter", "updowncounter"]
    unit: str
    labels: tuple[str, ...]
    description: str
    default_bounds: tuple[float, ...] = ()

    @property
    def bounds(self) -> tuple[float, ...]:
        """Upper bounds of the buckets, inclusive, ascending, without ``+Inf``; empty unless a histogram."""
        return _chosen.get(self.name, self.default_bounds)


DURATION = Metric(
    "tracedtimeout.duration",
    "tracedtimeout_duration_seconds",
    "histogram",
    "s",
    ("timeout", "outcome"),
    "Seconds from entering a timeout to leaving it.",
    _SECONDS,
)
LIMIT = Metric(
    "tracedtimeout.limit",
    "tracedtimeout_limit_seconds",
    "histogram",
    "s",
    ("timeout",),
    "Seconds granted to a timeout on entry; timeouts with no deadline are left out.",
    _SECONDS,
)
UTILIZATION = Metric(
    "tracedtimeout.utilization",
    "tracedtimeout_utilization",
    "histogram",
    "1",
    ("timeout",),
    "Seconds a timeout took over the seconds it was granted: near 1 is about to fire.",
    _RATIOS,
)
UNWIND = Metric(
    "tracedtimeout.unwind",
    "tracedtimeout_unwind_seconds",
    "histogram",
    "s",
    ("timeout",),
    "Seconds from the deadline firing to the timeout being left: slow clean-up, uncancellable code.",
    _LAGS,
)
TIMER_LAG = Metric(
    "tracedtimeout.timer_lag",
    "tracedtimeout_timer_lag_seconds",
    "histogram",
    "s",
    (),
    "Seconds from a deadline to its timer callback: a blocked event loop.",
    _LAGS,
)
EXPIRATIONS = Metric(
    "tracedtimeout.expirations",
    "tracedtimeout_expirations_total",
    "counter",
    "{expiration}",
    ("timeout", "outcome"),
    "Timeouts whose own deadline fired, whatever came of it.",
)
INTERRUPTIONS = Metric(
    "tracedtimeout.interruptions",
    "tracedtimeout_interruptions_total",
    "counter",
    "{timeout}",
    ("timeout", "owner"),
    "Timeouts ended by the deadline of another, the owner.",
)
REJECTIONS = Metric(
    "tracedtimeout.rejections",
    "tracedtimeout_rejections_total",
    "counter",
    "{rejection}",
    ("timeout", "reason", "mode"),
    "Timeouts refused on entry for want of budget.",
)
RESCHEDULES = Metric(
    "tracedtimeout.reschedules",
    "tracedtimeout_reschedules_total",
    "counter",
    "{reschedule}",
    ("timeout",),
    "Calls of reschedule().",
)
ACTIVE = Metric(
    "tracedtimeout.active",
    "tracedtimeout_active",
    "updowncounter",
    "{timeout}",
    ("timeout",),
    "Timeouts entered and not yet left.",
)
RECEIVED = Metric(
    "tracedtimeout.received",
    "tracedtimeout_received_seconds",
    "histogram",
    "s",
    ("header",),
    "Seconds of budget that a caller's header gave.",
    _SECONDS,
)
TRANSIT = Metric(
    "tracedtimeout.transit",
    "tracedtimeout_transit_seconds",
    "histogram",
    "s",
    ("header",),
    "Seconds from a header being sent to being received, by the two machines' clocks.",
    _SECONDS,
)
HEADERS_IGNORED = Metric(
    "tracedtimeout.headers.ignored",
    "tracedtimeout_headers_ignored_total",
    "counter",
    "{header}",
    ("header", "reason"),
    "Deadline headers, or parts of them, that were not believed.",
)
THREADS_ABANDONED = Metric(
    "tracedtimeout.threads.abandoned",
    "tracedtimeout_threads_abandoned",
    "updowncounter",
    "{thread}",
    ("timeout",),
    "Threads that run on after the request they served was answered with 504.",
)
SCRAPE_DURATION = Metric(
    "tracedtimeout.scrape.duration",
    "tracedtimeout_scrape_duration_seconds",
    "histogram",
    "s",
    (),
    "Seconds spent collecting and encoding one scrape.",
    _LAGS,
)

METRICS: tuple[Metric, ...] = (
    DURATION,
    LIMIT,
    UTILIZATION,
    UNWIND,
    TIMER_LAG,
    EXPIRATIONS,
    INTERRUPTIONS,
    REJECTIONS,
    RESCHEDULES,
    ACTIVE,
    RECEIVED,
    TRANSIT,
    HEADERS_IGNORED,
    THREADS_ABANDONED,
    SCRAPE_DURATION,
)

_chosen: dict[str, tuple[float, ...]] = {}


def choose_buckets(buckets: Mapping[str, Sequence[float]]) -> None:
    """Replace the bounds of the histograms named by their instrument name.

    Raises ValueError for a name that is no histogram of ours, and for bounds that are not finite and ascending.
    """
    chosen: dict[str, tuple[float, ...]] = {}
    histograms = {metric.name: metric for metric in METRICS if metric.kind == "histogram"}
    for name, bounds in buckets.items():
        if name not in histograms:
            raise ValueError(f"buckets: {name!r} is not one of {sorted(histograms)}")
        if not bounds or any(not math.isfinite(b) for b in bounds) or sorted(set(bounds)) != list(bounds):
            raise ValueError(f"buckets[{name!r}] must be finite and strictly ascending, not {shown(bounds)}")
        chosen[name] = tuple(float(bound) for bound in bounds)
    _chosen.clear()
    _chosen.update(chosen)

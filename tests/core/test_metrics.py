"""The table of metrics: the buckets that dashboards, rules and other processes of the service count on."""

from __future__ import annotations

import pytest

from tracedtimeout._core.figures import _metrics
from tracedtimeout._core.figures._metrics import Metric

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
RATIOS = (0.1, 0.25, 0.5, 0.75, 0.8, 0.9, 0.95, 0.99, 1.0, 1.05, 1.25, 1.5, 2.0, 5.0)
LAGS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@pytest.mark.parametrize(
    ("metric", "bounds"),
    [
        (_metrics.DURATION, SECONDS),
        (_metrics.LIMIT, SECONDS),
        (_metrics.UTILIZATION, RATIOS),
        (_metrics.TIMER_LAG, LAGS),
        (_metrics.EXPIRATIONS, ()),
    ],
    ids=lambda each: each.name if isinstance(each, Metric) else "",
)
def test_buckets_are_the_same_from_one_release_to_the_next(metric: Metric, bounds: tuple[float, ...]) -> None:
    """Histograms of two releases add up; what is no histogram has none."""
    assert metric.default_bounds == metric.bounds == bounds

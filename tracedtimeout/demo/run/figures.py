"""What a metrics page says of each timeout: its counts, and percentiles as Prometheus would work them out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

PREFIX = "tracedtimeout_"


@dataclass(slots=True)
class Histogram:
    """Cumulative counts by upper bound."""

    buckets: dict[float, float] = field(default_factory=dict)
    total: float = 0.0

    @property
    def count(self) -> float:
        return self.buckets.get(math.inf, 0.0)

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    def quantile(self, q: float) -> float | None:
        """Interpolated inside its bucket, as ``histogram_quantile`` does; the highest finite bound above that."""
        rank = q * self.count
        below, under = 0.0, 0.0
        for bound, count in sorted(self.buckets.items()):
            if count >= rank and count > under:
                return below if bound == math.inf else below + (bound - below) * (rank - under) / (count - under)
            below, under = bound, count
        return None


@dataclass(slots=True)
class Row:
    """One timeout, by name."""

    name: str
    active: int = 0
    duration: Histogram = field(default_factory=Histogram)
    limit: Histogram = field(default_factory=Histogram)
    utilization: Histogram = field(default_factory=Histogram)
    outcomes: Counter[str] = field(default_factory=Counter)


def rows(page: str) -> list[Row]:
    """A row for each name in the text of a metrics page, in its order."""
    found: dict[str, Row] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if family.name.startswith(PREFIX) and "timeout" in sample.labels:
                row = found.setdefault(sample.labels["timeout"], Row(sample.labels["timeout"]))
                _add(row, sample.name.removeprefix(PREFIX), sample.labels, sample.value)
    return list(found.values())


def ends(found: Iterable[Row]) -> Counter[tuple[str, str]]:
    """How many timeouts ended how, by name and outcome."""
    return Counter({(row.name, outcome): count for row in found for outcome, count in row.outcomes.items()})


def _add(row: Row, sample: str, labels: dict[str, str], value: float) -> None:
    if sample == "active":
        row.active = int(value)
    elif sample == "duration_seconds_count":
        row.outcomes[labels["outcome"]] += int(value)
    family, _, part = sample.rpartition("_")
    histograms = {"duration_seconds": row.duration, "limit_seconds": row.limit, "utilization": row.utilization}
    if (histogram := histograms.get(family)) is None:
        return
    if part == "bucket":
        bound = float(labels["le"])
        histogram.buckets[bound] = histogram.buckets.get(bound, 0.0) + value
    elif part == "sum":
        histogram.total += value

"""Metric, span and log agree on random timeouts of every outcome, whatever road a figure leaves the process by.

``TRACEDTIMEOUT_PARITY=10000`` in front of the tests makes ten thousand of them, of the usual 300.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, MetricsData
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.support.telemetry import Spans, block, run
from tracedtimeout import install, otlp, timeout
from tracedtimeout._core import _observers
from tracedtimeout._core._outcome import Outcome
from tracedtimeout.logs import LogObserver
from tracedtimeout.prometheus import Collector
from tracedtimeout.spans import SpanObserver

MANY = int(os.environ.get("TRACEDTIMEOUT_PARITY", "300"))
NAMES = ("db", "cache", "bank", "mail")

LOGGED = {"expired", "rejected", "replaced", "suppressed", "late"}
"""Outcomes that have a line of their own; an inherited one is told of by the line of its owner."""

FIRED = {"expired", "replaced", "suppressed"}
"""Outcomes of a deadline of its own that fired."""

Body = Callable[[], Awaitable[object]]
Ledger = Counter[tuple[str, str]]
"""How many ended, by name and outcome."""


async def _swallow() -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(9.0)


async def _replace() -> None:
    try:
        await asyncio.sleep(9.0)
    except asyncio.CancelledError:
        raise KeyError("replaced") from None


async def _fail() -> None:
    raise TimeoutError("not ours")


async def _be_cancelled() -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_soon(task.cancel)
    try:
        await asyncio.sleep(9.0)
    finally:
        task.uncancel()


async def _one(chance: random.Random, ledger: Ledger) -> None:
    """A timeout of some name that ends in some way."""
    outcome, name = chance.choice(list(Outcome)), chance.choice(NAMES)
    limit = chance.choice((0.02, 0.5, 1.0, 1.5, chance.uniform(0.01, 3.0)))
    bodies: dict[Outcome, Body] = {
        Outcome.COMPLETED: lambda: asyncio.sleep(limit * chance.uniform(0.0, 0.99)),
        Outcome.EXPIRED: lambda: asyncio.sleep(9.0),
        Outcome.SUPPRESSED: _swallow,
        Outcome.REPLACED: _replace,
        Outcome.FAILED: _fail,
        Outcome.CANCELLED: _be_cancelled,
        Outcome.LATE: lambda: block(limit * 1.5),
    }
    ledger[name, outcome.value] += 1
    with suppress(TimeoutError, KeyError, asyncio.CancelledError):
        if outcome in bodies:
            async with timeout(limit, name=name):
                await bodies[outcome]()
            return
        ledger["outer", "expired" if outcome is Outcome.INHERITED else "failed"] += 1
        async with timeout(limit, name="outer"):
            async with timeout(5.0, name=name, at_least=4.0 if outcome is Outcome.REJECTED else 0.0):
                await asyncio.sleep(9.0)


class Roads:
    """Everything that figures leave the process by, and what each has seen."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.spans, self._caplog = Spans(), caplog
        self._registry = CollectorRegistry()
        self._registry.register(Collector())
        self._total = InMemoryMetricReader()
        kinds = (sdk.Histogram, sdk.ObservableCounter)
        self._delta = InMemoryMetricReader(preferred_temporality=dict.fromkeys(kinds, AggregationTemporality.DELTA))
        self._deltas: dict[str, Counter[Any]] = {}
        self._provider = MeterProvider([self._total, self._delta], shutdown_on_exit=False)
        self._observer = SpanObserver(tracer_provider=self.spans.provider)
        logs = LogObserver(logging.getLogger("parity"))
        self._undo = [install(registry=None, spans="off", observers=[logs]), otlp.instrument(self._provider)]
        _observers.add(self._observer)

    def close(self) -> None:
        _observers.remove(self._observer)
        for undo in self._undo:
            undo()

    def look(self) -> None:
        """Collect what is new for who wants deltas."""
        for name, counts in _otlp(self._delta.get_metrics_data()).items():
            self._deltas.setdefault(name, Counter()).update(counts)

    def of(self, metric: str) -> dict[str, Counter[Any]]:
        """Counts by label values, of each road that has metrics."""
        family = "tracedtimeout_" + metric
        om = openmetrics(self._registry).decode()  # type: ignore[no-untyped-call]  # prometheus_client's
        return {
            "text": _prometheus(read_text(generate_latest(self._registry).decode()), family),
            "openmetrics": _prometheus(read_openmetrics(om), family),  # type: ignore[no-untyped-call]  # as above
            "cumulative": +_otlp(self._total.get_metrics_data()).get("tracedtimeout." + metric, Counter()),
            "delta": +self._deltas.get("tracedtimeout." + metric, Counter()),
        }

    def spanned(self) -> Ledger:
        return Counter((one.attributes["name"], one.attributes["outcome"]) for one in self.spans.seen)

    def logged(self) -> Ledger:
        records = [vars(record) for record in self._caplog.records if record.name == "parity"]
        return Counter((record["timeout_name"], record["timeout_outcome"]) for record in records)


def _prometheus(families: Iterable[Any], name: str) -> Counter[Any]:
    """The counts of a counter, or of a histogram of seconds, as they stand on a page."""
    names = (f"{name}_total", f"{name}_seconds_count")
    found: Counter[Any] = Counter()
    for family in families:
        for sample in family.samples:
            if sample.name in names:
                found[tuple(sorted(sample.labels.items()))] += int(sample.value)
    return +found


def _otlp(data: MetricsData | None) -> dict[str, Counter[Any]]:
    found: dict[str, Counter[Any]] = {}
    for resource in data.resource_metrics if data is not None else ():
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            counts = found.setdefault(metric.name, Counter())
            for point in metric.data.data_points:
                labels = tuple(sorted((point.attributes or {}).items()))
                counts[labels] += int(getattr(point, "count", 0) or getattr(point, "value", 0))
    return found


def _labelled(ledger: Ledger, outcomes: set[str]) -> Counter[Any]:
    return Counter(
        {(("outcome", outcome), ("timeout", name)): n for (name, outcome), n in ledger.items() if outcome in outcomes}
    )


@pytest.mark.parametrize("seed", [1, 2])
def test_metric_span_and_log_agree(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Every road tells the same counts, those that the program meant: by text and OpenMetrics, cumulative and delta."""
    chance, ledger = random.Random(seed), Counter[tuple[str, str]]()
    caplog.set_level(logging.WARNING, logger="parity")
    roads = Roads(caplog)

    async def main() -> None:
        for _ in range(MANY):
            await asyncio.create_task(_one(chance, ledger))
            if chance.random() < 0.05:
                roads.look()

    try:
        run(main())
        roads.look()
        every = {outcome.value for outcome in Outcome}
        assert {outcome for _, outcome in ledger} == every
        assert roads.spanned() == ledger
        assert roads.logged() == Counter({key: n for key, n in ledger.items() if key[1] in LOGGED})
        _all_tell(roads, "duration", _labelled(ledger, every))
        _all_tell(roads, "expirations", _labelled(ledger, FIRED))
        inherited = {
            (("owner", "outer"), ("timeout", name)): n for (name, how), n in ledger.items() if how == "inherited"
        }
        _all_tell(roads, "interruptions", Counter(inherited))
        rejected = Counter({name: n for (name, how), n in ledger.items() if how == "rejected"})
        for road, counts in roads.of("rejections").items():
            assert Counter({dict(labels)["timeout"]: n for labels, n in counts.items()}) == rejected, road
        for road, counts in roads.of("active").items():
            assert not counts, road
    finally:
        roads.close()


def _all_tell(roads: Roads, metric: str, expected: Counter[Any]) -> None:
    assert roads.of(metric) == dict.fromkeys(("text", "openmetrics", "cumulative", "delta"), expected)

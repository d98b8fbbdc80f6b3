"""A bucket of the durations, and a count of expiries, leads to the last sampled span that fell into it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.sdk.trace.sampling import Decision, StaticSampler
from opentelemetry.trace import format_span_id, format_trace_id
from prometheus_client import generate_latest

from tests.services.prometheus_server import answer, prometheus
from tests.support.scraping import lint, parsed, registry_of_ours, serving
from tests.support.telemetry import Spans
from tracedtimeout import _exemplars, timeout
from tracedtimeout._core import _observers
from tracedtimeout._core.figures import _process
from tracedtimeout.prometheus import metrics_app
from tracedtimeout.spans import SpanObserver
from tracedtimeout.testing import run


@pytest.fixture(autouse=True)
def _no_exemplars() -> Iterator[None]:
    yield
    _exemplars.reset()


class Shown(NamedTuple):
    """An exemplar at the metrics endpoint."""

    sample: str
    outcome: str
    le: str | None
    span: str
    value: float


def shown() -> list[Shown]:
    """All exemplars, in the order of their series."""
    return [
        Shown(
            sample.name.removeprefix("tracedtimeout_"),
            sample.labels["outcome"],
            sample.labels.get("le"),
            f"{sample.exemplar.labels['trace_id']}-{sample.exemplar.labels['span_id']}",
            sample.exemplar.value,
        )
        for family in parsed(registry_of_ours())
        for sample in family.samples
        if sample.exemplar is not None
    ]


def ids(spans: Spans) -> list[str]:
    """The spans that ended, as exemplars show them."""
    contexts = [span.context for span in spans.ended if span.context is not None]
    return [f"{format_trace_id(context.trace_id)}-{format_span_id(context.span_id)}" for context in contexts]


async def charge(*seconds: float) -> None:
    """One timeout of 2 s after another."""
    for taken in seconds:
        with suppress(TimeoutError):
            async with timeout(2.0, name="charge"):
                await asyncio.sleep(taken)


def observed(*seconds: float, policy: Any = "always", **options: Any) -> Spans:
    """The spans of timeouts that took so long, in virtual time."""
    spans = Spans(**options)
    _observers.add(SpanObserver(policy, spans.provider))
    run(charge(*seconds))
    return spans


def test_each_bucket_leads_to_its_last_span() -> None:
    """The third timeout takes the place of the first, in whose bucket it fell; the second has a bucket of its own."""
    _, slow, quick = ids(observed(0.25, 0.5, 0.125))
    assert shown() == [
        Shown("duration_seconds_bucket", "completed", "0.25", quick, 0.125),
        Shown("duration_seconds_bucket", "completed", "0.5", slow, 0.5),
    ]


def test_an_expiry_leads_to_its_span() -> None:
    """The count of expiries and the bucket of the duration show the same span."""
    (expired,) = ids(observed(3.0))
    assert shown() == [
        Shown("duration_seconds_bucket", "expired", "2.5", expired, 2.0),
        Shown("expirations_total", "expired", None, expired, 1.0),
    ]


def test_a_late_span_is_an_exemplar() -> None:
    """With spans of what went wrong alone, those lead there; the quick one has none."""
    (expired,) = ids(observed(0.25, 3.0, policy="late"))
    assert [exemplar.span for exemplar in shown()] == [expired, expired]


@pytest.mark.parametrize("decision", [Decision.DROP, Decision.RECORD_ONLY])
def test_a_span_that_is_not_sampled_is_no_exemplar(decision: Decision) -> None:
    """One could not follow it, recorded or not."""
    observed(0.25, 3.0, sampler=StaticSampler(decision))
    assert shown() == []


def test_exemplars_are_of_now() -> None:
    """Prometheus refuses those that are out of order, or far from its own clock."""
    before = time.time()
    observed(0.25)
    (stamp,) = [
        sample.exemplar.timestamp
        for family in registry_of_ours().collect()
        for sample in family.samples
        if sample.exemplar is not None
    ]
    assert isinstance(stamp, float)
    assert before <= stamp <= time.time()


def test_there_are_as_many_as_series() -> None:
    """Names past the cap share exemplars as they share figures."""
    before, _process.max_names = _process.max_names, 1
    spans = Spans()
    _observers.add(SpanObserver("always", spans.provider))

    async def main() -> None:
        for name in ("a", "b", "c"):
            async with timeout(2.0, name=name):
                pass

    try:
        run(main())
    finally:
        _process.max_names = before
    first, _, last = ids(spans)
    assert sorted(exemplar.span for exemplar in shown()) == sorted([first, last])


@pytest.mark.server
def test_the_older_text_format_leaves_them_out() -> None:
    """Prometheus's own checker accepts it as ever."""
    observed(0.25, 3.0)
    text = generate_latest(registry_of_ours())
    assert (b"trace_id" in text, lint(text)) == (False, "")


@pytest.mark.server
@pytest.mark.slow
async def test_prometheus_returns_the_trace_that_was_exported(tmp_path: Path) -> None:
    """A real Prometheus, asked for exemplars, answers with the span that the exporter saw (real processes)."""
    spans = Spans()
    _observers.add(SpanObserver("always", spans.provider))
    with suppress(TimeoutError):
        async with timeout(0.01, name="charge"):
            await asyncio.sleep(5)
    (expired,) = ids(spans)
    async with (
        serving(metrics_app(registry=registry_of_ours())) as address,
        prometheus(address.removeprefix("http://"), tmp_path) as client,
    ):
        for query in ("tracedtimeout_duration_seconds_bucket", "tracedtimeout_expirations_total"):
            found = await answer(
                client, "query_exemplars", bool, query=query, start=time.time() - 60, end=time.time() + 60
            )
            ((series,),) = [found]
            (exemplar,) = series["exemplars"]
            labels = exemplar["labels"]
            assert (series["seriesLabels"]["timeout"], f"{labels['trace_id']}-{labels['span_id']}") == (
                "charge",
                expired,
            )

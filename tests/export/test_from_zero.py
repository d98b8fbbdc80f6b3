"""A name's expiries stand at 0 before the first of them, on every road; limits are exact, owners bounded."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import generate_latest

from tests.support.scraping import registry_of_ours, shown
from tests.support.telemetry import Spans, python, run
from tracedtimeout import _exemplars, otlp, timeout, wait_for, with_timeout
from tracedtimeout._core import _observers
from tracedtimeout.prometheus._processes import Processes
from tracedtimeout.spans import SpanObserver


async def enter(name: str) -> None:
    async with timeout(1.0, name=name):
        pass


ZEROS = [
    'tracedtimeout_duration_seconds_count{outcome="expired",timeout="t"} 0.0',
    'tracedtimeout_expirations_total{outcome="expired",timeout="t"} 0.0',
]


def zeros(text: str | None = None) -> list[str]:
    """What a page has of expiries, by default that of the core's figures now."""
    text = generate_latest(registry_of_ours()).decode() if text is None else text
    starts = ("tracedtimeout_expirations_total{", "tracedtimeout_duration_seconds_count{")
    return sorted(line for line in text.splitlines() if line.startswith(starts) and 'outcome="expired"' in line)


def test_from_the_first_entry_on() -> None:
    """One that completes is enough."""
    run(enter("t"))
    assert zeros() == ZEROS


def test_from_decoration_on() -> None:
    """A decorated function need not be called."""

    @with_timeout(1.0, name="t")
    async def never_called() -> None: ...

    assert zeros() == ZEROS


def test_in_opentelemetrys_metrics() -> None:
    """Both are there, cumulative."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    undo = otlp.instrument(provider)
    run(enter("t"))
    data = reader.get_metrics_data()
    undo()
    assert data is not None
    counts = {
        metric.name: getattr(point, "count", None) or getattr(point, "value", 0)
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
        if (point.attributes or {}).get("outcome") == "expired"
    }
    assert counts == {"tracedtimeout.expirations": 0, "tracedtimeout.duration": 0}


ONE_OF_SEVERAL = """
from tests.export.test_from_zero import enter, run
from tracedtimeout import install
undo = install(spans="off")
run(enter("t"))
undo()
"""


@pytest.mark.slow
def test_in_the_files_of_several_processes(tmp_path: Path) -> None:
    """They are written with the first transfer. (A process of its own.)"""
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", ONE_OF_SEVERAL], env=environment, check=True)
    assert zeros(generate_latest(Processes(tmp_path)).decode()) == ZEROS


FORKED = """
import os, warnings
from tests.export.test_from_zero import enter, run, shown
warnings.simplefilter("ignore")
run(enter("parent"))
if child := os.fork():
    os.waitpid(child, 0)
else:
    run(enter("child"))
    print([line for line in shown("tracedtimeout_limit_seconds") if "_count" in line], flush=True)
    os._exit(0)
"""


@pytest.mark.slow
def test_a_forked_child_has_nothing_of_its_parent() -> None:
    """Nor a name of its. (A process of its own.)"""
    count = 'tracedtimeout_limit_seconds_count{timeout="child"} 1.0'
    assert python(FORKED) == f"{[count]}\n"


def test_a_limit_is_the_number_in_the_code() -> None:
    """On the span and in the histogram, whichever way it is asked for; of one that gets less, what it asked for."""
    spans = Spans()
    observer = SpanObserver(tracer_provider=spans.provider)

    @with_timeout(0.5, name="with_timeout")
    async def decorated() -> None: ...

    async def main() -> None:
        for _ in range(20):
            async with timeout(0.5, name="timeout"):
                async with timeout(9, name="shortened"):
                    pass
            await wait_for(asyncio.sleep(0), 0.5, name="wait_for")
            await decorated()

    _observers.add(observer)
    asyncio.run(main())
    _observers.remove(observer)
    limits = {(one.name.removeprefix("timeout "), one.attributes["limit"]) for one in spans.seen}
    assert {pair for pair in limits if pair[0] != "shortened"} == {
        ("timeout", 0.5),
        ("wait_for", 0.5),
        ("with_timeout", 0.5),
    }
    assert {one.attributes["requested"] for one in spans.seen if one.name == "timeout shortened"} == {9.0}
    assert 'tracedtimeout_limit_seconds_sum{timeout="timeout"} 10.0' in shown("tracedtimeout_limit_seconds")


def test_work_in_time_is_never_above_one() -> None:
    """However close its limit is to that of others of its name."""

    async def main() -> None:
        for limit, took in [(1.2, 0.1)] * 3 + [(1.201, 1.2005)] * 5:
            async with timeout(limit, name="t"):
                await asyncio.sleep(took)

    run(main())
    assert 'tracedtimeout_utilization_bucket{le="1.0",timeout="t"} 8.0' in shown("tracedtimeout_utilization")


def test_ten_owners_are_told_apart() -> None:
    """The others that end timeouts of one name are `_OTHER`."""

    async def main() -> None:
        for number in range(12):
            try:
                async with timeout(0.5, name=f"owner-{number:02}"), timeout(1.0, name="t"):
                    await asyncio.sleep(2.0)
            except TimeoutError:
                pass

    run(main())
    lines = shown("tracedtimeout_interruptions_total")
    assert len(lines) == 11
    assert 'tracedtimeout_interruptions_total{owner="_OTHER",timeout="t"} 2.0' in lines
    _exemplars.reset()

"""The cost of exporting to each timeout: several worker processes, and exemplars.

    python -m benchmarks.export

One process, ways interleaved in short rounds, medians of the rounds; microseconds for one ``async with timeout(...)``
whose body is empty. Under PROMETHEUS_MULTIPROC_DIR our figures are carried over by a thread, whose own cost is the
second table; beside it stand the five calls of prometheus_client's metrics that would record the same.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable

from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry, Gauge, Histogram

from tracedtimeout import _exemplars, install, timeout
from tracedtimeout._core import _observers
from tracedtimeout.prometheus import _multiprocess
from tracedtimeout.spans import SpanObserver

TIMES = 500
Way = Callable[[], Awaitable[None]]


async def bare() -> None:
    for _ in range(TIMES):
        async with asyncio.timeout(10):  # noqa: ASYNC100  # entering and leaving is what is measured
            pass


async def ours() -> None:
    for _ in range(TIMES):
        async with timeout(10, name="measured"):
            pass


def by_hand() -> Way:
    """A timeout of asyncio's, recorded as we do, by prometheus_client."""
    registry = CollectorRegistry()
    active = Gauge("active", "-", ["timeout"], registry=registry, multiprocess_mode="livesum").labels("measured")
    limit, utilization = (
        Histogram(name, "-", ["timeout"], registry=registry).labels("measured") for name in ("limit", "utilization")
    )
    duration = Histogram("duration", "-", ["timeout", "outcome"], registry=registry).labels("measured", "completed")

    async def way() -> None:
        for _ in range(TIMES):
            begun = time.monotonic()
            active.inc()
            limit.observe(10)
            async with asyncio.timeout(10):  # noqa: ASYNC100  # as above
                pass
            elapsed = time.monotonic() - begun
            duration.observe(elapsed)
            utilization.observe(elapsed / 10)
            active.dec()

    return way


def traced(*, exemplars: bool) -> Way:
    """With a sampled span each, which is exported nowhere."""
    observer = SpanObserver("always", TracerProvider())
    keep = _exemplars.keep if exemplars else lambda *_: None

    async def way() -> None:
        before, _exemplars.keep = _exemplars.keep, keep
        _observers.add(observer)
        try:
            await ours()
        finally:
            _observers.remove(observer)
            _exemplars.keep = before

    return way


async def main(rounds: int) -> None:
    install(spans="off")
    ways = {
        "asyncio.timeout": bare,
        "ours, several processes": ours,
        "asyncio.timeout and prometheus_client by hand, several processes": by_hand(),
        "ours, sampled spans": traced(exemplars=False),
        "ours, sampled spans and exemplars": traced(exemplars=True),
    }
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            begun = time.perf_counter()
            await run()
            taken[way].append((time.perf_counter() - begun) / TIMES)
    print("| way | one timeout, us |\n|---|---|")
    for way, seconds in taken.items():
        print(f"| {way} | {statistics.median(seconds) * 1e6:.2f} |")
    print("\n| names | a transfer with nothing new, ms | with a change in each, ms |\n|---|---|---|")
    for names in (10, 100):
        print(f"| {names} | {await transfers(names, change=False):.2f} | {await transfers(names, change=True):.2f} |")


async def transfers(names: int, *, change: bool) -> float:
    """Milliseconds of the processor for one transfer, once a second."""
    taken = []
    for number in range(12):
        for name in range(names) if change or not number else ():
            async with timeout(10, name=f"name-{name}"):
                pass
        begun = time.thread_time()
        _multiprocess.transfer()
        taken.append(time.thread_time() - begun)
    return statistics.median(taken) * 1e3


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What exporting costs each timeout.")
    parser.add_argument("--rounds", type=int, default=60)
    if _multiprocess.VARIABLE in os.environ:
        asyncio.run(main(parser.parse_args().rounds))
    else:
        parser.parse_args()
        with tempfile.TemporaryDirectory() as folder:
            again = [sys.executable, "-m", "benchmarks.export", *sys.argv[1:]]
            sys.exit(subprocess.call(again, env={**os.environ, _multiprocess.VARIABLE: folder}))

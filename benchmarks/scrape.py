"""The lateness of a 20 ms timeout while the metrics of a busy process are scraped.

    python -m benchmarks.scrape

A hundred names with all nine outcomes, a steady load of timeouts, and another process that scrapes without a pause: so
every measured timeout has a scrape to compete with, which none has in production. Beside ours stand no scrape at all,
and prometheus_client's own ASGI application, which collects and encodes on the event loop. Exit status 1 if a 20 ms
timeout is 5 ms late or more in the median with ours.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import prometheus_client
import uvicorn

from tracedtimeout import install, timeout
from tracedtimeout.prometheus import metrics_app

NAMES = 100
LOAD = 20
"""Tasks that open timeouts all the time, each some 500 a second."""
LIMIT = 0.02
TARGET = 0.005

SCRAPER = """
import sys, urllib.request
while True:
    with urllib.request.urlopen(sys.argv[1]) as response:
        print(len(response.read()), flush=True)
"""


async def main(seconds: float) -> int:
    """Measure each way for so long; returns the exit status."""
    logging.getLogger("tracedtimeout").setLevel(logging.ERROR)  # every name is suppressed and late once, on purpose
    registry = prometheus_client.CollectorRegistry()
    install(registry=registry, spans="off")
    for number in range(NAMES):
        await every_outcome(f"name-{number}")
    ways = {
        "no scrape": None,
        "tracedtimeout.prometheus.metrics_app": metrics_app(registry=registry),
        "prometheus_client.make_asgi_app": prometheus_client.make_asgi_app(registry),
    }
    text = prometheus_client.generate_latest(registry).decode()
    print(f"{len([line for line in text.splitlines() if line[0] != '#'])} samples of {NAMES} names\n")
    print("| scraped by another process, without a pause | scrapes/s | 20 ms timeout late by, median | p95 |")
    print("|---|---|---|---|")
    medians = {way: await measure(way, app, seconds) for way, app in ways.items()}
    return int(medians["tracedtimeout.prometheus.metrics_app"] >= TARGET)


async def measure(way: str, app: Any, seconds: float) -> float:
    """Print a row; returns the median lateness in seconds."""
    async with loaded(), scraped(app) as scrapes:
        begun, before = time.monotonic(), scrapes()
        late = []
        while time.monotonic() < begun + seconds:
            late.append(await lateness())
        rate = (scrapes() - before) / (time.monotonic() - begun)
    median, p95 = statistics.median(late), statistics.quantiles(late, n=20)[-1]
    print(f"| {way} | {rate:.1f} | {median * 1e3:.1f} ms | {p95 * 1e3:.1f} ms |", flush=True)
    return median


async def lateness() -> float:
    """The seconds from the deadline of one timeout to its exit."""
    begun = time.monotonic()
    with contextlib.suppress(TimeoutError):
        async with timeout(LIMIT, name="measured"):
            await asyncio.sleep(60)
    return time.monotonic() - begun - LIMIT


@asynccontextmanager
async def loaded() -> AsyncIterator[None]:
    """Other tasks that use timeouts meanwhile."""

    async def work(number: int) -> None:
        while True:
            async with timeout(1, name=f"name-{number}"):
                await asyncio.sleep(0.002)

    tasks = [asyncio.create_task(work(number)) for number in range(LOAD)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def scraped(app: Any) -> AsyncIterator[Callable[[], int]]:
    """Serve `app` on this loop and have it scraped; yields what tells the number of scrapes so far."""
    if app is None:
        yield lambda: 0
        return
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error", timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        scraper = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SCRAPER, f"http://127.0.0.1:{listener.getsockname()[1]}"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert scraper.stdout is not None
        sizes: list[bytes] = [await scraper.stdout.readline()]
        reading = asyncio.create_task(read(scraper.stdout, sizes))
        try:
            yield lambda: len(sizes)
        finally:
            scraper.kill()
            await scraper.wait()
            await reading
            server.should_exit = True
            await serving


async def read(stream: asyncio.StreamReader, lines: list[bytes]) -> None:
    """Collect the lines of a stream until its end."""
    async for line in stream:
        lines.append(line)  # noqa: PERF401  # watched while it grows


async def every_outcome(name: str) -> None:
    """Open timeouts of that name until each outcome has a figure."""
    for body in (complete, fail, cancel, expire, replace, suppress, run_late, inherit, reject):
        with contextlib.suppress(TimeoutError, LookupError, asyncio.CancelledError):
            await body(name)


async def complete(name: str) -> None:
    async with timeout(1, name=name):
        pass


async def fail(name: str) -> None:
    async with timeout(1, name=name):
        raise LookupError


async def cancel(name: str) -> None:
    async with timeout(1, name=name):
        raise asyncio.CancelledError


async def expire(name: str) -> None:
    async with timeout(0, name=name):
        await asyncio.sleep(1)


async def replace(name: str) -> None:
    async with timeout(0, name=name):
        try:
            await asyncio.sleep(1)
        finally:
            raise LookupError


async def suppress(name: str) -> None:
    async with timeout(0, name=name):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1)


async def run_late(name: str) -> None:
    async with timeout(0.0005, name=name):
        time.sleep(0.001)  # noqa: ASYNC251  # blocks the loop past the deadline


async def inherit(name: str) -> None:
    async with timeout(0, name="outer"), timeout(1, name=name):
        await asyncio.sleep(1)


async def reject(name: str) -> None:
    async with timeout(0.5, name="outer"), timeout(1, name=name, at_least=0.75):
        pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How late a 20 ms timeout is during a scrape.")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each of three ways")
    sys.exit(asyncio.run(main(parser.parse_args().seconds)))

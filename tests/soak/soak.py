"""One soak: workers that are replaced in turn, the load, a scraper; then what was counted beside what was sent."""

from __future__ import annotations

import asyncio
import json
import math
import os
import socket
import statistics
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.parser import text_string_to_metric_families

from .load import Counts, Load, scrape

ROOT = Path(__file__).parents[2]
SERVICE = "tests.soak.service"
QUIET = 4
"""Pulses that a worker is left alone for, before the load and after it."""


@dataclass
class Worker:
    """A process of the service, and its pulse."""

    process: asyncio.subprocess.Process
    folder: Path
    pulse: list[dict[str, Any]] = field(default_factory=list)
    listens: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, service: str, listening: socket.socket, folder: Path) -> Worker:
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": str(ROOT)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", service, str(listening.fileno())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(listening.fileno(),),
            env=environment,
            limit=2**24,
        )
        worker = cls(process, folder)
        worker.listens = asyncio.create_task(worker._listen())
        await worker.beats(1)
        return worker

    async def beats(self, more: int) -> None:
        """Wait for so many more pulses."""
        until = len(self.pulse) + more
        while len(self.pulse) < until and self.process.returncode is None:
            await asyncio.sleep(0.05)

    def probe(self) -> None:
        """Have it begin its probes, or end them."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    async def end(self) -> int:
        """Its exit status, once it has answered all that it took."""
        assert self.process.stdin is not None
        with suppress(ConnectionError):
            self.process.stdin.close()
        status = await self.process.wait()
        assert self.listens is not None
        await self.listens
        mark_process_dead(self.process.pid, self.folder)  # type: ignore[no-untyped-call]  # prometheus_client's
        return status

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.pulse.append(json.loads(line))


@dataclass(frozen=True)
class Slope:
    """The growth of something looked at once a second, by the method of least squares."""

    per_minute: float
    error: float
    """The standard error of that."""

    @classmethod
    def of(cls, values: list[float]) -> Slope:
        times = [second / 60 for second in range(len(values))]
        line = statistics.linear_regression(times, values)
        left = [value - line.slope * time - line.intercept for time, value in zip(times, values, strict=True)]
        spread = sum((time - statistics.fmean(times)) ** 2 for time in times)
        return cls(line.slope, math.sqrt(sum(each**2 for each in left) / max(1, len(values) - 2) / spread))


@dataclass(frozen=True)
class Report:
    """What a soak showed."""

    seconds: float
    requests: int
    again: int
    """Requests sent twice, for a worker that ended had closed their connection."""
    restarts: int
    scrapes: int
    sent: Counts
    """What the load made the service count."""
    counted: Counts
    moves: tuple[float, float]
    """Deadlines moved, by the ledger and as counted."""
    active: float
    """Timeouts open at the end, as counted."""
    faults: list[str]
    turns: tuple[float, float]
    """Turns a second of an idle worker's loop, before the load and after it."""
    memory: Slope
    """KiB by which the worker that stays grew in the second half."""
    lags: dict[str, tuple[float, float]]
    """Milliseconds that 20 ms timeouts came late under the load, median and 99 of 100: ours and asyncio's."""

    def differences(self) -> dict[tuple[str, str], tuple[int, int]]:
        """What was counted otherwise than sent: sent, counted."""
        keys = self.sent.keys() | self.counted.keys()
        return {key: (self.sent[key], self.counted[key]) for key in keys if self.sent[key] != self.counted[key]}


async def soak(seconds: float, folder: Path, *, clients: int = 20, restarts: int = 3, service: str = SERVICE) -> Report:
    """Soak two workers, one of which is replaced `restarts` times and the other never, for so long."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        listening.setblocking(False)
        stays = await Worker.start(service, listening, folder)
        before = await _turns(stays)
        load = Load(listening.getsockname()[1], clients)
        stays.probe()
        begun = time.monotonic()
        scrapes = await _under_load(load, service, listening, folder, seconds=seconds, restarts=restarts)
        took = time.monotonic() - begun
        stays.probe()
        busy = list(stays.pulse)
        await stays.beats(2)  # so that all that was hung up is noticed, and handed over
        after = await _turns(stays)
        page = await scrape(load.port)
        load.ended(await stays.end())
    counted, moves, active = figures(page)
    return Report(
        seconds=took,
        requests=load.sent.total(),
        again=load.again,
        restarts=restarts,
        scrapes=scrapes,
        sent=load.expected(),
        counted=counted,
        moves=(load.sent["moved"], moves),
        active=active,
        faults=load.faults,
        turns=(before, after),
        memory=Slope.of([beat["bytes"] / 1024 for beat in busy[len(busy) // 2 :]]),
        lags={who: _lag([lag for beat in busy for lag in beat["lags"][who]]) for who in ("ours", "asyncio")},
    )


async def _under_load(
    load: Load, service: str, listening: socket.socket, folder: Path, *, seconds: float, restarts: int
) -> int:
    """The load, a scraper, and a worker that is replaced in turn; returns the number of scrapes."""
    goes = await Worker.start(service, listening, folder)
    loading = asyncio.create_task(load.run())
    scrapes: list[int] = []
    scraping = asyncio.create_task(_scrape(load.port, scrapes))
    for _ in range(restarts):
        await asyncio.sleep(seconds / (restarts + 1))
        following = await Worker.start(service, listening, folder)
        load.ended(await goes.end())
        goes = following
    await asyncio.sleep(seconds / (restarts + 1))
    load.stopped = True
    await loading
    scraping.cancel()
    await asyncio.wait([scraping])
    load.ended(await goes.end())
    return len(scrapes)


async def _scrape(port: int, scrapes: list[int]) -> None:
    while True:
        with suppress(ConnectionError):
            scrapes.append(len(await scrape(port)))
        await asyncio.sleep(1.0)


async def _turns(worker: Worker) -> float:
    """Turns of the loop in a second, of a worker that has nothing to do."""
    await worker.beats(1)
    before = worker.pulse[-1]["turns"]
    await worker.beats(QUIET)
    turns: float = (worker.pulse[-1]["turns"] - before) / QUIET
    return turns


def figures(page: str) -> tuple[Counts, float, float]:
    """Of a page of metrics: the ends of timeouts by name and outcome, without the probes'; moves; those still open."""
    counts: Counts = Counter()
    moves = active = 0.0
    for family in text_string_to_metric_families(page):
        for name, labels, value, *_ in family.samples:
            if labels.get("timeout") == "probe":
                continue
            if name == "tracedtimeout_duration_seconds_count":
                counts[labels["timeout"], labels["outcome"]] += int(value)
            moves += value if name == "tracedtimeout_reschedules_total" else 0
            active += value if name == "tracedtimeout_active" else 0
    return +counts, moves, active


def _lag(seconds: list[float]) -> tuple[float, float]:
    """Median and 99 of 100, in milliseconds."""
    if len(seconds) < 2:
        return 0.0, 0.0
    return statistics.median(seconds) * 1e3, statistics.quantiles(seconds, n=100)[-1] * 1e3

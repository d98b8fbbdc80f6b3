"""What the tests of Prometheus share: applications served on loopback, and what a scrape shows."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support import missing
from tracedtimeout.prometheus import Collector


def registry_of_ours() -> CollectorRegistry:
    """A registry of its own with nothing but our collector."""
    registry = CollectorRegistry()
    registry.register(Collector())
    return registry


def parsed(registry: CollectorRegistry) -> list[Metric]:
    """The families of a registry, encoded as OpenMetrics and read again by the strict parser."""
    text = openmetrics(registry).decode()  # type: ignore[no-untyped-call]  # prometheus_client's
    return list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]  # as above


def shown(family: str, text: str | None = None) -> list[str]:
    """The sample lines of a family in `text`, by default of the core's figures now.

    Of a histogram's buckets only those that hold more than the one before. Expiries that stand at 0, as they do from
    the first entry of each name on, are left out.
    """
    text = generate_latest(registry_of_ours()).decode() if text is None else text
    names = (family, f"{family}_bucket", f"{family}_sum", f"{family}_count")
    lines = [line for line in text.splitlines() if line.partition(" ")[0].partition("{")[0] in names]
    return _steps(lines)


def _steps(lines: Iterable[str]) -> list[str]:
    steps: list[str] = []
    before = "0.0"
    for line in lines:
        value = line.split(" # ")[0].rpartition(" ")[2]
        if value == "0.0" and 'outcome="expired"' in line:
            continue
        if "_bucket{" in line and value == before:
            continue
        before = value if "_bucket{" in line else "0.0"
        steps.append(line)
    return steps


def program(name: str, install: str) -> str:
    """The path of a program that a test needs."""
    return shutil.which(name) or missing(name, install)


def lint(text: bytes) -> str:
    """What ``promtool check metrics`` complains of."""
    promtool = program("promtool", "apt-get install prometheus")
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    return (done.stdout + done.stderr).decode() + ("" if done.returncode == 0 else f"exit status {done.returncode}")


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """The address of `app`, served by uvicorn on this loop, with lifespan."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="on", log_level="warning", timeout_graceful_shutdown=1))
        serve = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serve.done():
            await asyncio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serve

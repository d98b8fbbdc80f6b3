"""The budget crosses what OpenTelemetry's own packages instrument, with no code of ours at either end."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from importlib.metadata import entry_points
from importlib.util import find_spec

import pytest

from tests.support import missing

pytestmark = pytest.mark.slow  # each way a process of its own: instrumentation and propagators are for a whole process

PACKAGES = ("aiohttp_client", "aiohttp_server", "asgi", "celery", "grpc", "httpx", "requests")
BUDGET_MS = 1500


def printed(*command: str) -> str:
    """What a module of ours prints that runs with the propagator, and every instrumentation at hand."""
    if not entry_points(group="opentelemetry_propagator", name="deadline"):
        missing("the installed package", "pip install -e .")
    for package in PACKAGES:
        if find_spec(f"opentelemetry.instrumentation.{package}") is None:
            name = package.replace("_", "-")
            missing(f"OpenTelemetry's {name} instrumentation", f"pip install opentelemetry-instrumentation-{name}")
    environment = os.environ | {"OTEL_PROPAGATORS": "tracecontext,baggage,deadline"}
    run = [sys.executable, "-m", *command]
    ran = subprocess.run(run, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def crossed(way: str) -> dict[str, object]:
    """What the server's handler saw of a budget of `BUDGET_MS`."""
    seen: dict[str, object] = json.loads(printed("tests.programs.crossing", way))
    return seen


@pytest.mark.parametrize("way", ["httpx", "requests", "aiohttp", "grpc"])
def test_a_client_s_budget_ends_the_server_s_timeout(way: str) -> None:
    """The client sends what is left, the handler has no more than that, and a timeout opened there ends by it."""
    seen = crossed(way)
    for _ in range(5):
        if seen["ended"] != ["cancelled", "_remote"]:  # on a busy machine grpc's own timer, a little later, was first
            break
        seen = crossed(way)
    header, left = int(str(seen["header"])), float(str(seen["left"]))
    assert header / 1e3 >= left > 0.0
    assert header < BUDGET_MS
    assert seen["ended"] == ["inherited", "_remote"]


def test_aiohttp_server_attaches_nothing() -> None:
    """OpenTelemetry's aiohttp server does not attach what it extracts: hence our own door, which reads headers."""
    seen = crossed("aiohttp-server")
    assert int(str(seen["header"])) < BUDGET_MS
    assert seen["left"] == float("inf")


def test_a_task_of_celery_is_bounded() -> None:
    """By the budget that it was sent under; the next one of the same worker is not."""
    bounded, free = map(float, printed("tests.examples.queue_celery").split())
    assert 0.0 < bounded < 60.0
    assert free == math.inf

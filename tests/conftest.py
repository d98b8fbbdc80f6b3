"""What all tests share: loops of every flavour, figures that start from zero, skips that CI does not accept."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support import FLAVOURS, LoopFactory, available, missing
from tracedtimeout import testing
from tracedtimeout._core import _observers, _warn
from tracedtimeout._core.figures import _process

if os.environ.get("CI") and find_spec("hypothesis"):  # not there where only the doors are tried
    from hypothesis import settings

    settings.register_profile("ci", derandomize=True)  # a run that passed by hand passes there: by hand they are random
    settings.load_profile("ci")

T = TypeVar("T")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that starts a command in the background has it ignored, by its children too. Tests interrupt
        # themselves, and one of CPython's would fill the memory as it waits for that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line(
        "markers", f"loops(*flavours): run on these event loops, once on each: {', '.join(FLAVOURS)}. Default: plain"
    )


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    """The loops a test asks for with ``pytest.mark.loops``; what this Python cannot have is not run at all."""
    marker = item.get_closest_marker("loops")
    asked = marker.args if marker is not None else ("plain",)
    return {flavour: FLAVOURS[flavour] for flavour in asked if available(flavour)}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test fails in CI, where nothing that a test needs is missing."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """So does a module that skips all its tests as it is imported."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome, report.longrepr = "failed", f"CI skips no test. {reason}"


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, T]], T]:
    """Runs a coroutine in virtual time."""
    return testing.run


@pytest.fixture(autouse=True)
def _from_zero() -> Iterator[None]:
    """Each test starts with no figures, no observers and no warnings given, and leaves none."""
    observers = _observers.installed
    _process.reset()
    _warn._warned.clear()
    yield
    _observers.remove(*(left for left in _observers.installed if left not in observers))
    _process.reset()


@pytest.fixture
def loop_time() -> Callable[[], float]:
    """The time on the running loop's clock."""
    return lambda: asyncio.get_running_loop().time()


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis of the test's own, on a socket in its directory."""
    program = shutil.which("redis-server")
    if program is None:
        missing("redis-server", "apt-get install redis-server")
    path = tmp_path / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert any("ready to accept connections" in line.lower() for line in running.stdout)
        yield f"unix://{path}"
        running.terminate()
        running.stdout.read()

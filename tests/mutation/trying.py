"""Tries the tests on a mutant, each in a fork of a process that has imported all but the package."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from .rewritten import rewrite

PRELOADED = ("asyncio", "hypothesis", "prometheus_client", "opentelemetry.sdk.trace", "httpx", "uvloop")
ENVIRONMENT = {"TRACEDTIMEOUT_PROGRAMS": "300", "TRACEDTIMEOUT_SEEDS": "1000", "CI": "1", "PYTHONHASHSEED": "0"}
"""The size of the random tests, and no choice of their own."""
OPTIONS = (
    "-x",
    "-q",
    "-p",
    "no:cacheprovider",
    "-W",
    "ignore:Module already imported:pytest.PytestAssertRewriteWarning",
)
PACKAGE = Path(__file__).parents[2] / "tracedtimeout"


def source_of(module: str) -> str:
    """The source of a module of the core, by its name there: ``_lanes``, ``figures._series``."""
    return (PACKAGE / "_core" / Path(*module.split("."))).with_suffix(".py").read_text()


def preload() -> None:
    for name in PRELOADED:
        with suppress(ImportError):
            importlib.import_module(name)
    assert not any(name.split(".")[0] == "tracedtimeout" for name in sys.modules)


def passes(module: str, source: str, tests: Sequence[str], seconds: float) -> tuple[bool, str]:
    """Whether all tests pass with that source in the place of the module's, and which did not; they have so long."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        _try(module, source, tests, write)
    os.close(write)
    status = _wait(child, seconds)
    with os.fdopen(read) as said:
        first = said.read().strip()
    return status == 0, first or ("no end in time" if status is None else f"exit status {status}")


def _wait(child: int, seconds: float) -> int | None:
    """The child's exit status; None if it had to be killed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def _try(module: str, source: str, tests: Sequence[str], said: int) -> None:
    """In the child: never returns."""
    status = 99
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        os.environ |= ENVIRONMENT
        rewrite({f"tracedtimeout._core.{module}": lambda _: source})
        status = int(pytest.main([*OPTIONS, *tests], plugins=[_First(said)]))
    except BaseException as exc:
        os.write(said, f"{exc!r}\n".encode())
    finally:
        os._exit(status)


class _First:
    """Tells the first test that fails."""

    def __init__(self, said: int) -> None:
        self._said = said

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os.write(self._said, f"{report.nodeid}\n".encode())

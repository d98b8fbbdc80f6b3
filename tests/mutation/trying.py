"""Tries the tests on a mutant, each in a fork of a process that has imported all but the package."""

from __future__ import annotations

import importlib
import os
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from .rewritten import rewrite

PRELOADED = ("asyncio", "hypothesis", "prometheus_client", "opentelemetry.sdk.trace", "httpx", "uvloop")
ENVIRONMENT = {"TRACEDTIMEOUT_PROGRAMS": "100", "TRACEDTIMEOUT_SEEDS": "500", "CI": "1", "PYTHONHASHSEED": "0"}
"""The size of the random tests, and no choice of their own."""
OPTIONS = (
    "-x",
    "-q",
    "-p",
    "no:cacheprovider",
    "-W",
    "ignore:Module already imported:pytest.PytestAssertRewriteWarning",
)
SILENCE = 40.0
"""Seconds without a test that is over, after which a mutant is one that hangs."""
PACKAGE = Path(__file__).parents[2] / "tracedtimeout"


def source_of(module: str) -> str:
    """The source of a module of the core, by its name there: ``_lanes``, ``figures._series``."""
    return (PACKAGE / "_core" / Path(*module.split("."))).with_suffix(".py").read_text()


def preload() -> None:
    for name in PRELOADED:
        with suppress(ImportError):
            importlib.import_module(name)
    assert not any(name.split(".")[0] == "tracedtimeout" for name in sys.modules)


def passes(module: str, source: str, tests: Sequence[str]) -> tuple[bool, str]:
    """Whether all tests pass with that source in the place of the module's, and which did not."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        _try(module, source, tests, write)
    os.close(write)
    first = ""
    while select.select([read], [], [], SILENCE)[0] and (said := os.read(read, 10_000)):
        first = first or said.decode().strip()
    os.close(read)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # who hangs, and what a test has left
    _, status = os.waitpid(child, 0)
    return status == 0, first or f"status {os.waitstatus_to_exitcode(status)}"


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
        status = int(pytest.main([*OPTIONS, *tests], plugins=[_Told(said)]))
    except BaseException as exc:
        os.write(said, f"{exc!r}\n".encode())
    finally:
        os._exit(status)


class _Told:
    """Tells each test that is over, and the name of one that fails."""

    def __init__(self, said: int) -> None:
        self._said = said

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        os.write(self._said, f"{report.nodeid}\n".encode() if report.failed else b"\n")

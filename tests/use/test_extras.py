"""Optional packages: where one is missing, the error says what to install."""

from __future__ import annotations

import sys
import tomllib
from typing import NamedTuple

import pytest

from tests.support.imports import OPTIONAL, PACKAGE
from tests.support.telemetry import python
from tracedtimeout import commands

EXTRAS = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]

WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
try:
    {}
except ImportError as exc:
    print(exc.name, exc)
"""


class Need(NamedTuple):
    """A module's need: the package, its name in a registry, the extra, and the statement that needs it."""

    package: str
    distribution: str
    extra: str
    statement: str


NEEDS = {
    "integrations.aiohttp": Need("aiohttp", "aiohttp", "aiohttp", "import tracedtimeout.integrations.aiohttp"),
    "integrations.grpc": Need("grpc", "grpcio", "grpc", "import tracedtimeout.integrations.grpc"),
    "integrations.httpx": Need("httpx", "httpx", "httpx", "import tracedtimeout.integrations.httpx"),
    "integrations.httpx2": Need("httpx2", "httpx2", "httpx2", "import tracedtimeout.integrations.httpx2"),
    "integrations.requests": Need("requests", "requests", "requests", "import tracedtimeout.integrations.requests"),
    "instrument": Need(
        "opentelemetry.instrumentation",
        "opentelemetry-instrumentation",
        "instrument",
        "import tracedtimeout.instrument",
    ),
    "otlp._histograms": Need(
        "opentelemetry.sdk", "opentelemetry-sdk", "otlp", "from tracedtimeout import otlp; otlp.instrument()"
    ),
    "integrations.sqlalchemy": Need(
        "sqlalchemy", "sqlalchemy", "sqlalchemy", "import tracedtimeout.integrations.sqlalchemy"
    ),
    "integrations.tenacity": Need("tenacity", "tenacity", "tenacity", "import tracedtimeout.integrations.tenacity"),
    "commands.top": Need("rich", "rich", "top", "import tracedtimeout.commands.top"),
}


def test_every_module_that_needs_an_extra_is_tried() -> None:
    """The table has all of them, and the extra of each has its package."""
    assert {need.package: module for module, need in NEEDS.items()} == OPTIONAL
    assert all(EXTRAS[need.extra][0].startswith(f"{need.distribution}>=") for need in NEEDS.values())


@pytest.mark.slow
@pytest.mark.parametrize("module", NEEDS)
def test_the_extra_to_install_is_named(module: str) -> None:
    """A module whose package is missing says which command installs it. (An interpreter of its own.)"""
    need = NEEDS[module]
    name, _, told = python(WITHOUT.format(need.statement), need.package).partition(" ")
    public = module.removesuffix("._histograms")
    assert f"{name}.".startswith(f"{need.package}.")
    assert told.startswith(f"tracedtimeout.{public} needs an extra: pip install 'tracedtimeout[{need.extra}]' (")


def test_the_demo_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with one line, and the command in it."""
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.delitem(sys.modules, "tracedtimeout.commands.demo", raising=False)
    assert commands.main(["demo"]) == "The demo needs rich: pip install 'tracedtimeout[demo]'"

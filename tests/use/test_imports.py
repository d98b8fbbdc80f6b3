"""What an import costs: nobody pays for what they do not use."""

from __future__ import annotations

import json

import pytest

from tests.support.telemetry import python

OPTIONAL = (
    "opentelemetry.sdk",
    "opentelemetry.exporter",
    "opentelemetry.instrumentation",
    "opentelemetry.proto",
    "aiohttp",
    "aiosqlite",
    "fastapi",
    "grpc",
    "httpx",
    "httpx2",
    "prometheus_client.aiohttp",
    "redis",
    "requests",
    "rich",
    "starlette",
    "uvicorn",
    "uvloop",
)

EXPORTERS = (
    "http.server",
    "opentelemetry.metrics",
    "prometheus_client",
    "tracedtimeout.otlp",
    "tracedtimeout.prometheus",
    "tracedtimeout.spans",
    "wsgiref",
)

MOST = 58
"""Modules that `import tracedtimeout` loads besides asyncio and opentelemetry.trace: 49 of them are
ours, and two more with the compiled hot path."""

IMPORTED = "import json, sys; before = set(sys.modules); {}; print(json.dumps(sorted(set(sys.modules) - before)))"


def imported(statement: str) -> list[str]:
    """What a fresh interpreter has loaded after `statement`."""
    names: list[str] = json.loads(python(IMPORTED.format(statement)))
    return names


def _is(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.slow
@pytest.mark.parametrize(
    "statement", ["import tracedtimeout", "import tracedtimeout; tracedtimeout.install()", "import tracedtimeout.spans"]
)
def test_a_plain_import_loads_nothing_optional(statement: str) -> None:
    """`import tracedtimeout`, and `install()`, load no SDK, server or client. (An interpreter of its own.)"""
    loaded = imported(statement)
    assert "tracedtimeout" in loaded
    assert [module for module in loaded if any(_is(module, package) for package in OPTIONAL)] == []


@pytest.mark.slow
def test_a_plain_import_is_quick() -> None:
    """`import tracedtimeout` loads no exporter: neither prometheus_client nor a server. (An interpreter of its own.)

    Beside asyncio and opentelemetry.trace it may load `MOST` modules, most of them ours: 25 ms of processor time.
    """
    loaded = imported("import tracedtimeout")
    assert [module for module in loaded if any(_is(module, package) for package in EXPORTERS)] == []
    beside = sorted(set(loaded) - set(imported("import asyncio, opentelemetry.trace")))
    assert len(beside) <= MOST, beside


@pytest.mark.slow
def test_the_core_loads_the_standard_library_alone() -> None:
    """The core needs no third party, and none of our own exporters. (An interpreter of its own.)"""
    statement = (
        "import types; package = types.ModuleType('tracedtimeout'); package.__path__ = ['tracedtimeout']; "
        "sys.modules['tracedtimeout'] = package; import tracedtimeout._core._wait_for, tracedtimeout._core._decorator"
    )
    loaded = imported(statement)
    assert [module for module in loaded if _is(module, "opentelemetry") or _is(module, "prometheus_client")] == []
    ours = {module.split(".")[1] for module in loaded if module.startswith("tracedtimeout.")}
    assert ours == {"_core"}

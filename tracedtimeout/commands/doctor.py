"""``python -m tracedtimeout doctor``: what is installed, which settings are in force, who holds asyncio's timeouts."""

from __future__ import annotations

import argparse
import difflib
import os
import platform
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version

import prometheus_client

from tracedtimeout import __version__
from tracedtimeout._core import _hot
from tracedtimeout._disabled import DISABLED
from tracedtimeout._install._settings import SETTINGS

from . import _originals

__all__ = ["main"]

OTHERS = (
    "TRACEDTIMEOUT_DISABLED",
    "TRACEDTIMEOUT_LOG",
    "TRACEDTIMEOUT_INSTRUMENT_INCLUDE",
    "TRACEDTIMEOUT_INSTRUMENT_EXCLUDE",
    "TRACEDTIMEOUT_INSTRUMENT_NAMES",
    "TRACEDTIMEOUT_DEMO_FAULTS",
    "TRACEDTIMEOUT_NO_EXTENSIONS",
    "TRACEDTIMEOUT_REQUIRE_EXTENSIONS",
    "PROMETHEUS_MULTIPROC_DIR",
    "OTEL_PROPAGATORS",
)
"""Variables that are read besides those of `install()`."""

DEVELOPMENT = {"bench", "comparison", "dashboards", "databases", "docs", "frameworks", "sdks", "servers", "test"}
"""Extras for who works on this package."""

_REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(?:\[[^]]*])?(?P<bounds>[^;]*)(?:;.*extra == ['\"](?P<extra>[\w-]+)['\"])?"
)


def main(arguments: list[str]) -> int:
    """Print a report; returns 1 if something in it is wrong, and marked so."""
    asked = _parser().parse_args(arguments)
    sys.path.insert(0, "")  # as `python -m` has it
    wrong = 0
    for heading, lines in (
        ("", _itself()),
        ("Packages", _packages()),
        ("Settings", _settings()),
        ("asyncio's own timeouts", _holders(asked.modules)),
    ):
        if heading:
            print(f"\n{heading}")
        for line in lines:
            wrong += line.startswith(WRONG)
            print(f"  {line}" if heading else line)
    return 1 if wrong else 0


WRONG = "! "


def _itself() -> Iterator[str]:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield f"tracedtimeout {__version__}, hot path in {_hot.IMPLEMENTATION}, on {python}"
    if DISABLED:
        yield f"{WRONG}Switched off by TRACEDTIMEOUT_DISABLED: asyncio's timeouts end work, nothing is counted"


def _packages() -> Iterator[str]:
    """Each package that is needed, or that an extra is for: its release, and what to install where it is missing."""
    seen = set()
    for requirement in requires("tracedtimeout") or ():
        found = _REQUIREMENT.match(requirement)
        assert found is not None
        name, extra = found["name"].lower(), found["extra"]
        if name == "tracedtimeout" or extra in DEVELOPMENT or name in seen:
            continue
        seen.add(name)
        try:
            yield f"{name:<42}{version(name):<14}{found['bounds'].strip()}"
        except PackageNotFoundError:
            missing = f"{name:<42}{'missing':<14}"
            yield f"{missing}pip install 'tracedtimeout[{extra}]'" if extra else f"{WRONG}{missing}it is needed"


def _settings() -> Iterator[str]:
    """Each setting of `install()` as its variable has it, or its default; then the other variables that are set."""
    for setting in SETTINGS:
        given = os.environ.get(setting.variable)
        try:
            value = setting.value(setting)
        except (TypeError, ValueError) as error:
            yield f"{WRONG}{error}"
        else:
            yield f"{setting.parameter:<20}{_shown(value)}" + (f"  from {setting.variable}" if given else "")
    known = {*OTHERS, *(setting.variable for setting in SETTINGS)}
    for name in OTHERS:
        if name in os.environ:
            yield f"{name}={os.environ[name]}"
    if "deadline" not in os.environ.get("OTEL_PROPAGATORS", "deadline").split(","):
        yield "OTEL_PROPAGATORS leaves out `deadline`: what OpenTelemetry instruments carries no budget"
    for name in sorted(name for name in os.environ if name.startswith("TRACEDTIMEOUT_") and name not in known):
        near = difflib.get_close_matches(name, known, 1, 0.9)
        yield f"{WRONG}{name} is no setting" + (f": {near[0]} is" if near else "")


def _shown(value: object) -> str:
    if value is None or value == ():
        return "none"
    if value is prometheus_client.REGISTRY:
        return "prometheus_client.REGISTRY"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _holders(modules: list[str]) -> Iterator[str]:
    """The packages that took asyncio's timeouts at import, and are not reached by who replaces them later."""
    for name in modules:
        try:
            import_module(name)
        except Exception as error:
            yield f"{WRONG}{name} cannot be imported: {type(error).__name__}: {error}"
    found = _originals.holding() if modules else _originals.taking()
    for package, holders in sorted(found.items()):
        more = f" and {len(holders) - 3} more" if len(holders) > 3 else ""
        yield f"{package:<20}{'; '.join(holders[:3])}{more}"
    if found:
        yield "To have TracedTimeoutInstrumentor watch these, instrument before they are imported."
    else:
        yield "are held by no package."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tracedtimeout doctor", description=_DOES)
    parser.add_argument(
        "modules",
        nargs="*",
        help="of an application, to import: what they loaded is looked at, and not all that is installed",
    )
    return parser


_DOES = (
    "Tells what is installed, which settings are in force and which packages hold asyncio's own timeouts. "
    "Run it in the environment of a service, with its variables."
)

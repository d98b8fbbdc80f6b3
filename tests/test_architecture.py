"""Imports point one way: the table of floors is the diagram of the house, and nobody imports from a floor above."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tracedtimeout

PACKAGE = Path(tracedtimeout.__file__).parent

FLOORS = [
    # What a user starts; everything below is open to it, by its public names.
    {"demo"},
    # Where a deadline enters or leaves the process.
    {"integrations.asgi", "integrations.httpx", "integrations.aiohttp", "integrations.grpc"},
    {"integrations.asgi._disconnect", "integrations.asgi._overdue"},
    {"integrations.asgi._answers", "integrations.asgi._namer"},
    {"integrations.asgi._routes"},
    {"integrations._admission", "integrations._outgoing"},
    {"integrations._naming", "integrations._problem", "integrations._threads"},
    # What a user imports.
    {"__init__", "instrument", "propagation", "testing", "live"},
    {"instrument._standins"},
    {"instrument._watched"},
    {"propagation._attached", "propagation._received"},
    {"propagation._wire"},
    {"live._page", "live._view"},
    {"live._figures", "live._tree"},
    # What wires telemetry, and is the only one that knows it all.
    {"_install"},
    # Exporters, which never import each other.
    {"prometheus", "spans", "otlp", "logs"},
    {"prometheus._multiprocess", "otlp._histograms"},
    {"prometheus._families", "otlp._meters"},
    {"_install._settings", "_disabled"},
    {"_exemplars", "_version", "_asgi"},
    # The core.
    {"_core._decorator"},
    {"_core._wait_for"},
    {"_core._direct"},
    {"_core._timeout"},
    {"_core._facts"},
    {"_core._expiry"},
    {"_core._relatives", "_core._where", "_core._warn", "_core._raised"},
    {"_core._reserves"},
    {"_core._budget", "_core._inside"},
    {"_core._loop"},
    {"_core._series", "_core._observers"},
    {"_core._tally", "_core._lanes", "_core._names", "_core._arguments"},
    {"_core._metrics", "_core._outcome"},
]
"""From the top of the house to its foundations: a module imports from the floors below its own only."""

OPTIONAL = {
    "aiohttp": "integrations.aiohttp",
    "grpc": "integrations.grpc",
    "httpx": "integrations.httpx",
    "opentelemetry.instrumentation": "instrument",
    "opentelemetry.sdk": "otlp._histograms",
}
"""An optional package is imported in the one module that is for it (and in the demo)."""


def test_every_module_has_a_floor() -> None:
    """The table is complete, and names nothing that is not there."""
    named = set().union(*FLOORS)
    assert {_room(module) for module in _modules()} - {"integrations", "_core"} == named


def test_imports_point_down() -> None:
    """No module imports from its own floor or from one above."""
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    upwards = [
        f"{_room(module)} imports {imported}"
        for module in _modules()
        for imported in _imports(module)
        if _room(module) in floor
        and imported in floor
        and imported != _room(module)
        and floor[imported] <= floor[_room(module)]
    ]
    assert upwards == []


def test_the_core_stands_on_the_standard_library_alone() -> None:
    """It knows no exporter and no third party."""
    foreign = {
        imported
        for module in _modules()
        if _room(module).startswith("_core.")
        for imported in _absolute(module)
        if imported.split(".")[0] in {"opentelemetry", "prometheus_client", "tracedtimeout"}
    }
    assert foreign == set()


def test_optional_packages_are_imported_where_they_are_for() -> None:
    """Nobody needs a package of which he does not use the module."""
    strays = [
        f"{_room(module)} imports {imported}"
        for module in _modules()
        for imported in _absolute(module)
        for package, room in OPTIONAL.items()
        if (imported + ".").startswith(package + ".") and _room(module) not in {room, "demo"}
    ]
    assert strays == []


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_can_be_read_in_one_sitting(module: Path) -> None:
    """About 250 lines at most; `_timeout`, which is one page of hot path with its factories, may have 385."""
    most = {"_timeout.py": 385}
    assert len(module.read_text().splitlines()) <= most.get(module.name, 270)


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _room(module: Path) -> str:
    """The dotted name within the package; the demo is one room."""
    parts = module.relative_to(PACKAGE).with_suffix("").parts
    return "demo" if parts[0] == "demo" else ".".join(parts).removesuffix(".__init__")


def _imports(module: Path) -> Iterator[str]:
    """The rooms that `module` imports from, for typing only apart."""
    package = module.relative_to(PACKAGE).parent.parts
    for node in _nodes(ast.parse(module.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = ".".join([*package[: len(package) - node.level + 1], *(node.module or "").split(".")]).strip(".")
        elif (node.module or "").split(".")[0] == "tracedtimeout":
            base = ".".join((node.module or "").split(".")[1:])
        else:
            continue
        for alias in node.names:
            inner = f"{base}.{alias.name}".strip(".")
            yield inner if _is_module(inner) else base or "__init__"


def _is_module(room: str) -> bool:
    path = PACKAGE.joinpath(*room.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def _absolute(module: Path) -> Iterator[str]:
    for node in _nodes(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """All of a module's nodes but what is imported for typing only."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            continue
        yield child
        yield from _nodes(child)

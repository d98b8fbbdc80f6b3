"""Imports point one way: the table of floors is the diagram of the house, and nobody imports from a floor above."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.support.imports import OPTIONAL, PACKAGE, absolute, modules, private_attributes, private_names, room, taken

FLOORS = [
    # What a user starts; everything below is open to it, by its public names.
    {"commands.demo"},
    {"demo"},
    {"__main__", "commands.dashboards", "commands.doctor", "commands.suggest", "commands.top"},
    {"commands", "commands._http", "commands._originals"},
    # Where a deadline enters or leaves the process.
    {"integrations.asgi", "integrations.httpx", "integrations.httpx2", "integrations.aiohttp", "integrations.grpc"},
    {"integrations.requests"},
    {"integrations.aiosqlite", "integrations.sqlalchemy", "integrations.tenacity"},
    {"integrations.asgi._disconnect", "integrations.asgi._overdue"},
    {"integrations.asgi._answers", "integrations.asgi._namer"},
    {"integrations.asgi._routes"},
    {"integrations.asgi._frameworks", "integrations.asgi._starlette"},
    {"integrations.asgi._resolver"},
    {"integrations._grpc_client", "integrations._httpx"},
    {"integrations._outgoing", "integrations._telling"},
    # The door of all doors, and what it stands on.
    {"integrations.door"},
    {"integrations._switched_off"},
    {"integrations._opened"},
    {"integrations._admission", "integrations._answered", "integrations._endpoints", "integrations._logged"},
    {"integrations._extra", "integrations._hosts", "integrations._interrupt", "integrations._naming"},
    {"integrations._patience", "integrations._problem", "integrations._threads"},
    # What a user imports.
    {"testing"},
    {"testing._telemetry"},
    {"testing._expire", "testing._headers", "testing._timeouts"},
    {"testing._clock"},
    {"testing._threads"},
    {"__init__", "instrument", "propagation", "live"},
    {"instrument._standins"},
    {"instrument._watched"},
    {"instrument._calls"},
    {"propagation._attached", "propagation._received"},
    {"propagation._wire"},
    {"live._page", "live._view"},
    {"live._figures", "live._tree"},
    # What wires telemetry, and is the only one that knows it all.
    {"_install"},
    {"_install._installation"},
    # Exporters, which never import each other.
    {"prometheus", "spans", "otlp", "logs"},
    {"prometheus._processes"},
    {"prometheus._multiprocess", "otlp._histograms"},
    {"otlp._points", "otlp._views"},
    {"prometheus._families", "otlp._meters", "spans._inside"},
    {"spans._told"},
    {"_install._settings", "_disabled"},
    {"_install._limits"},
    {"_exemplars", "_shared.asgi", "_shared.build", "_shared.histograms", "_shared.off_loop", "_shared.once"},
    {"_shared.signals"},
    {"_shared.trust"},
    {"_version"},
    # The core.
    {"_core._decorator"},
    {"_core._open", "_core._wait_for"},
    {"_core._timeout"},
    {"_core._hot", "_core._fork"},
    {"_core._for_c"},
    {"_core._hot_py", "_core._granting"},
    {"_core._entering"},
    {"_core._budget", "_core._ending"},
    {"_core._deciding", "_core._raising", "_core._closers"},
    {"_core._firing"},
    {"_core._facts", "_core._family"},
    {"_core._reserves"},
    {"_core._ended"},
    {"_core._context"},
    {"_core._link"},
    {"_core._loop", "_core._more", "_core._warn"},
    {"_core._delays"},
    {"_core._unwinding", "_core.figures._process"},
    {"_core.figures._series", "_core._spent", "_core._where"},
    {"_core.figures._table"},
    {"_core._observers", "_core.figures._metrics"},
    {"_core._limits", "_core._view"},
    {"_core._exceeded", "_core._lanes", "_core._names", "_core._outcome", "_core._words"},
    {"_core._arguments", "_core._lane", "_core._tuples"},
]
"""From the top of the house to its foundations: a module imports from the floors below its own only."""

NO_ROOMS = {"_core", "_core.figures", "_shared", "integrations"}
"""Packages whose `__init__` holds nothing."""

BESIDE = {"otlp._points": "otlp._histograms", "otlp._views": "otlp._histograms"}
"""Modules that are part of another one's job, and loaded by that alone."""

EXPORTERS = {"logs", "otlp", "prometheus", "spans"}

PRIVATE_NAMES_OF_DEMO: set[str] = set()
"""What the demo takes that its readers could not. It may only shrink."""

DOOR = {
    f"integrations.{module}"
    for module in (
        "door",
        "_opened",
        "_switched_off",
        "_admission",
        "_answered",
        "_endpoints",
        "_logged",
        "_threads",
    )
}
"""`Door` and what it stands on: of all the doors these alone know the core."""

PRIVATE_NAMES_OF_DOOR = {
    "_core._arguments.seconds_of",
    "_core._budget.Budget",
    "_core._deciding.answers_are",
    "_core._firing.listeners",
    "_core._granting.enter_granted",
    "_core._hot.enter",
    "_core._hot.leave",
    "_core._hot.left_by",
    "_core._link.BUDGET",
    "_core._link.NO_LOOP",
    "_core._link.REMOTE",
    "_core._context.current",
    "_core._context.inherit_own",
    "_core._context.inherited",
    "_core._link.reader_here",
    "_core._observers.installed",
    "_core._timeout.Timeout",
    "_core._where.Place",
    "_core._where._frames",
    "_core._where._place",
    "_core._where.places",
    "_core._words.words",
    "_core.figures._metrics.REJECTIONS",
    "_core.figures._metrics.THREADS_ABANDONED",
    "_core.figures._process.announce",
    "_core.figures._process.count",
    "_core.figures._process.label",
    "_disabled.DISABLED",
    "propagation._attached.overrule",
    "propagation._received.lines_of",
    "propagation._received.seconds",
}
PRIVATE_NAMES_OF_OTHER_DOORS = {
    "_disabled.DISABLED",  # a client's door leaves the headers alone
    "_shared.asgi.Message",
    "_shared.asgi.Receive",
    "_shared.asgi.Scope",
    "_shared.asgi.Send",
    "_shared.once.Once",
}
"""What they take of the rest of the package that a door of somebody else's could not. These lists may only shrink."""

ENTRIES = 20
"""Files and folders at the root of the package: a listing of it fits one screen."""


def test_every_module_has_a_floor() -> None:
    """The table is complete, and names nothing that is not there, and nothing twice."""
    named = [name for rooms in FLOORS for name in rooms]
    assert sorted(named) == sorted({room(module) for module in modules()} - NO_ROOMS)


def test_imports_point_down() -> None:
    """No module imports from its own floor or from one above, for typing neither: there is no circle."""
    floor = {name: number for number, rooms in enumerate(FLOORS) for name in rooms}
    upwards = {
        f"{room(module)} imports {each.room}"
        for module in modules()
        if room(module) in floor
        for each in taken(module)
        if each.room in floor and each.room != room(module) and floor[each.room] <= floor[room(module)]
    }
    assert upwards == set()


def test_exporters_never_import_each_other() -> None:
    """Each of them could be taken out, and the others would not notice."""
    across = {
        f"{room(module)} imports {each.room}"
        for module in modules()
        for each in taken(module)
        if {(mine := room(module).split(".")[0]), (other := each.room.split(".")[0])} <= EXPORTERS and mine != other
    }
    assert across == set()


def test_the_core_stands_on_the_standard_library_alone() -> None:
    """It knows no exporter and no third party."""
    foreign = {
        imported
        for module in modules()
        if room(module).startswith("_core.")
        for imported in absolute(module)
        if imported.split(".")[0] in {"opentelemetry", "prometheus_client", "tracedtimeout"}
    }
    assert foreign == set()


def test_optional_packages_are_imported_where_they_are_for() -> None:
    """Nobody needs a package of which he does not use the module, or the half of it for clients (``_grpc_client``)."""
    strays = [
        f"{room(module)} imports {imported}"
        for module in modules()
        for imported in absolute(module)
        for package, place in OPTIONAL.items()
        if (imported + ".").startswith(package + ".")
        if BESIDE.get(room(module), room(module)) not in {place, "demo", f"{'._'.join(place.rsplit('.', 1))}_client"}
    ]
    assert strays == []


def test_the_demo_takes_public_names_only() -> None:
    """A reader who copies it has all that it has, but for what is listed."""
    assert private_names("demo") == PRIVATE_NAMES_OF_DEMO
    assert private_attributes("demo") == set()


def test_doors_take_public_names_only() -> None:
    """Ours could be somebody else's, but for what is listed: they stand on `Door`, and none knows the core."""
    assert private_names("integrations", but=DOOR) == PRIVATE_NAMES_OF_OTHER_DOORS
    assert private_attributes("integrations", but=DOOR) == set()


def test_the_door_takes_no_more_private_names() -> None:
    """What `Door` and what it stands on know of the core is listed."""
    assert private_names("integrations") == PRIVATE_NAMES_OF_DOOR | PRIVATE_NAMES_OF_OTHER_DOORS


def test_ruff_lets_pass_what_is_there_only() -> None:
    """A module that takes no private attribute of another's any more is struck from the list of those that may."""
    lint = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    listed = {path for path, rules in lint["per-file-ignores"].items() if "SLF001" in rules} - {"tests/**"}
    taking = {
        folder for folder in listed if private_attributes(folder.removeprefix("tracedtimeout/").removesuffix("**"))
    }
    assert listed == taking


def test_the_root_of_the_package_fits_one_screen() -> None:
    """It keeps what a user imports and little else; private modules stand with what they serve."""
    entries = [entry.name for entry in PACKAGE.iterdir() if entry.name != "__pycache__"]
    assert len(entries) <= ENTRIES, sorted(entries)


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_can_be_read_in_one_sitting(module: Path) -> None:
    """About 250 lines at most; `_hot_py`, whose page of hot path stands there twice for speed, may have 360."""
    most = {
        "_hot_py.py": 360,
        # To be cut, and only ever shorter:
        "_link.py": 303,
        "_family.py": 272,
    }
    lines = len(module.read_text().splitlines())
    assert lines <= most.get(module.name, 270)

"""The public surface: every public module says what it exports, and the reference lists just that."""

from __future__ import annotations

import inspect
import re
import tomllib
from importlib import import_module
from importlib.metadata import version

import pytest

import tracedtimeout
from tests.support.imports import PACKAGE, modules
from tracedtimeout._shared import build
from tracedtimeout.commands import COMMANDS, doctor

REFERENCE = PACKAGE.parent / "docs" / "reference.md"

PROGRAMS = {"tracedtimeout.__main__", "tracedtimeout.commands", "tracedtimeout.demo"}
"""Started by ``python -m``, and imported by nobody: the reference leaves them out."""


def public_modules() -> list[str]:
    """The modules of the package whose paths have no private part; its programs are left out."""
    paths = (module.relative_to(PACKAGE).with_suffix("").parts for module in modules())
    names = (".".join(("tracedtimeout", *parts)).removesuffix(".__init__") for parts in paths)
    programs = tuple(f"{program}." for program in PROGRAMS)
    return [name for name in names if "._" not in name and not f"{name}.".startswith(programs)]


def documented() -> dict[str, list[str]]:
    """The names in the first column of each module's table in the reference."""
    sections = (section.partition("\n") for section in REFERENCE.read_text().split("\n## "))
    return {
        heading.strip("`"): re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
        for heading, _, table in sections
        if heading.startswith("`")
    }


def test_the_reference_has_every_public_name_and_no_other() -> None:
    """A name that is exported is documented, one that is documented can be imported."""
    exported = {name: sorted(import_module(name).__all__) for name in public_modules()}
    told = {module: sorted(names) for module, names in documented().items()}
    assert told == {module: names for module, names in exported.items() if names}


def test_the_reference_has_every_metric() -> None:
    """Each metric stands there with its names, type, unit, labels and description."""
    rows = re.findall(r"^\| `tracedtimeout_.*$", REFERENCE.read_text(), re.MULTILINE)
    assert [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in rows] == [
        (
            f"`{metric.prometheus_name}`",
            f"`{metric.name}`",
            "gauge" if metric.kind == "updowncounter" else metric.kind,
            f"`{metric.unit}`",
            ", ".join(f"`{label}`" for label in metric.labels),
            metric.description,
        )
        for metric in build.METRICS
    ]


@pytest.mark.parametrize("module", public_modules())
def test_a_star_import_gives_ours_alone(module: str) -> None:
    """`from module import *` gives the names of `__all__`, all of them made by this package."""
    given: dict[str, object] = {}
    exec(f"from {module} import *", given)  # noqa: S102  # the statement is the subject
    del given["__builtins__"]
    assert sorted(given) == sorted(set(import_module(module).__all__))
    foreign = {name for name, each in given.items() if not _ours(each)}
    assert foreign == set()


def _ours(exported: object) -> bool:
    """Whether an object says that our package made it; plain constants say nothing."""
    return str(getattr(exported, "__module__", "tracedtimeout")).split(".")[0] == "tracedtimeout"


def test_the_version_is_the_distributions() -> None:
    """`__version__` is what is installed."""
    assert tracedtimeout.__version__ == version("tracedtimeout")


def test_the_reference_has_every_extra() -> None:
    """Each stands in a row of its table; those for work on the package itself are those that `doctor` leaves out."""
    rows = REFERENCE.read_text().partition("## Extras")[2].splitlines()
    told = {row: re.findall(r"`([\w]+)`", row.split("|")[1]) for row in rows if row.startswith("| `")}
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    assert sorted(name for names in told.values() for name in names) == sorted(project["optional-dependencies"])
    (ours,) = (names for row, names in told.items() if "work on tracedtimeout itself" in row)
    assert set(ours) == doctor.DEVELOPMENT


def test_the_reference_names_settings_that_are_read() -> None:
    """Each variable of its table stands in the package's source, and so does each command in the list of commands."""
    source = "".join(module.read_text() for module in modules())
    settings = re.findall(r"^\| `TRACEDTIMEOUT_(\w+)`", REFERENCE.read_text(), re.MULTILINE)
    parameters = set(inspect.signature(tracedtimeout.install).parameters)
    assert len(settings) >= len(parameters)
    assert [name for name in settings if name.lower() not in parameters and f"TRACEDTIMEOUT_{name}" not in source] == []
    assert set(re.findall(r"^\| `python -m tracedtimeout (\w+)", REFERENCE.read_text(), re.MULTILINE)) <= set(COMMANDS)

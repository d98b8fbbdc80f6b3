"""What the package's modules take of each other, and of other packages, read off their source."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import tracedtimeout

PACKAGE = Path(tracedtimeout.__file__).parent

OPTIONAL = {
    "aiohttp": "integrations.aiohttp",
    "grpc": "integrations.grpc",
    "httpx": "integrations.httpx",
    "httpx2": "integrations.httpx2",
    "opentelemetry.instrumentation": "instrument",
    "opentelemetry.sdk": "otlp._histograms",
    "requests": "integrations.requests",
    "rich": "commands.top",
    "sqlalchemy": "integrations.sqlalchemy",
    "tenacity": "integrations.tenacity",
}
"""An optional package is imported in the one module that is for it (and in the demo)."""


PUBLIC = {"_asdict", "_getframe", "_replace"}
"""Names of the standard library that are documented, for all their underscore."""


class Taken(NamedTuple):
    """What an import takes of the package: a name, and the room that has it; the name is empty for a room itself."""

    room: str
    name: str
    alias: str
    """What it is called where it is taken."""

    @property
    def path(self) -> str:
        return f"{self.room}.{self.name}".rstrip(".")

    @property
    def public(self) -> bool:
        """Whether it is spelled so, and among what its module exports, where that says what it exports."""
        if any(part.startswith("_") for part in self.path.removeprefix("__init__").split(".")):
            return False
        module = importlib.import_module(f"tracedtimeout.{self.room}".removesuffix(".__init__"))
        return not self.name or self.name in getattr(module, "__all__", [self.name])


def private_names(folder: str, but: Collection[str] = ()) -> set[str]:
    """What the modules of a folder, but for those rooms, take of the rest of the package, and no user should."""
    return {
        name
        for module in modules(folder)
        if room(module) not in but
        for each in taken(module)
        if not f"{each.room}.".startswith(f"{folder}.") and not each.public
        for name in ([each.path] if each.name else _attributes(module, each))
    }


def private_attributes(place: str, but: Collection[str] = ()) -> set[str]:
    """The private attributes of others that a file or a folder reads or writes, as ``integrations.asgi: _task``."""
    return {
        f"{room(module)}: {node.attr}"
        for module in modules(place)
        if room(module) not in but
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Attribute)
        if node.attr.startswith("_") and not node.attr.startswith("__")
        if not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
    }


def foreign_attributes(place: str) -> int:
    """How often a file or a folder reads or writes a private attribute of another object."""
    return sum(
        isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and node.attr not in PUBLIC
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"})
        for module in modules(place)
        for node in ast.walk(ast.parse(module.read_text()))
    )


def _attributes(module: Path, whole: Taken) -> list[str]:
    """What is used of a module that was taken whole."""
    return [
        f"{whole.path}.{node.attr}"
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == whole.alias
    ]


def modules(place: str = "") -> list[Path]:
    """The modules of the package, or of a folder in it; a module by itself."""
    path = PACKAGE / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def room(module: Path) -> str:
    """The dotted name within the package, that of a folder for its `__init__`; the demo is one room."""
    parts = module.relative_to(PACKAGE).with_suffix("").parts
    return "demo" if parts[0] == "demo" else ".".join(parts).removesuffix(".__init__")


def taken(module: Path) -> Iterator[Taken]:
    """All that `module` takes of the package, for typing too."""
    package = ["tracedtimeout", *module.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "tracedtimeout":
                    yield Taken(_within(alias.name), "", alias.asname or alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            if base.split(".")[0] != "tracedtimeout":
                continue
            for alias in node.names:
                inner = _within(f"{base}.{alias.name}")
                known_as = alias.asname or alias.name
                yield Taken(inner, "", known_as) if _is_module(inner) else Taken(_within(base), alias.name, known_as)


def _within(name: str) -> str:
    inner = name.partition(".")[2] or "__init__"
    return "demo" if inner.split(".")[0] == "demo" else inner


def _is_module(inner: str) -> bool:
    path = PACKAGE.joinpath(*inner.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def absolute(module: Path) -> Iterator[str]:
    """What `module` imports when it runs, by absolute names."""
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

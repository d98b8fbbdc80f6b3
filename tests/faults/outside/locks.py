"""The locks of a process: where its sources make them, and the ones that are there now."""

from __future__ import annotations

import ast
import gc
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

OURS = "tracedtimeout"
THEIRS = [
    "prometheus_client",
    "opentelemetry.sdk.metrics",
    "opentelemetry.sdk.trace",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.metrics",
    "opentelemetry.trace",
    "opentelemetry.util._once",
]
"""Packages that ours calls."""

KINDS = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "allocate_lock"}


@dataclass(frozen=True)
class Made:
    """A place in a source where a lock is made, and the name it gets there."""

    module: str
    around: str
    """The class, or the function; "" for a module's own."""
    name: str

    def __str__(self) -> str:
        return ".".join(filter(None, (self.module, self.around, self.name)))


def made(package: str) -> list[Made]:
    """The places in a package, from its sources."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin)
    files = sorted(root.parent.rglob("*.py")) if root.name == "__init__.py" else [root]
    found = []
    for file in files:
        parts = file.relative_to(root.parent).with_suffix("").parts if root.name == "__init__.py" else ()
        module = ".".join((package, *parts)).removesuffix(".__init__")
        found += [Made(module, *place) for place in _places(ast.parse(file.read_text()), "")]
    return list(dict.fromkeys(found))


def _places(node: ast.AST, around: str) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Assign | ast.AnnAssign) and _makes_a_lock(child.value):
            targets = child.targets if isinstance(child, ast.Assign) else [child.target]
            for target in targets:
                if isinstance(target, ast.Name | ast.Attribute):
                    yield around, target.id if isinstance(target, ast.Name) else target.attr
        inner = around
        if isinstance(child, ast.ClassDef) or (isinstance(child, ast.FunctionDef) and not around):
            inner = child.name
        yield from _places(child, inner)


def _makes_a_lock(value: ast.expr | None) -> bool:
    if not isinstance(value, ast.Call):
        return False
    return ast.unparse(value.func).rpartition(".")[2] in KINDS


def living(places: list[Made]) -> list[tuple[Made, Any]]:
    """The locks that were made there and are there now: in modules, classes, instances and closures."""
    found: list[tuple[Made, Any]] = []
    known = gc.get_objects()
    for place in places:
        module = sys.modules.get(place.module)
        if module is None:
            continue
        for holder in _holders(place, module, known):
            lock = holder.get(place.name)
            if hasattr(lock, "acquire") and all(lock is not each for _, each in found):
                found.append((place, lock))
    return found


def _holders(place: Made, module: Any, known: list[Any]) -> Iterator[dict[str, Any]]:
    """The namespaces in which a lock may stand by its name."""
    if not place.around:
        yield vars(module)
        return
    around = getattr(module, place.around, None)
    if isinstance(around, type):
        yield dict(vars(around))
        yield from ({place.name: getattr(each, place.name, None)} for each in known if issubclass(type(each), around))
        return
    for each in known:  # functions that hold it as a variable of the one around
        if isinstance(each, FunctionType) and each.__module__ == place.module and each.__closure__:
            cells = dict(zip(each.__code__.co_freevars, each.__closure__, strict=True))
            if place.name in cells:
                yield {place.name: cells[place.name].cell_contents}
    yield vars(module)  # where a function replaces the module's own

"""The modules that hold asyncio's own timeouts: they took them by ``from asyncio import timeout``, once and for all."""

from __future__ import annotations

import asyncio
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

__all__ = ["NAMES", "holding", "taking"]

NAMES = ("Timeout", "timeout", "timeout_at", "wait_for")

_NEVER = ("asyncio", "tracedtimeout")

_IMPORT = re.compile(rb"^[ \t]*from asyncio(?:\.\w+)? import[ \t]+(\([^)]*\)|[^\n#]*)", re.MULTILINE)


def holding() -> dict[str, list[str]]:
    """The modules that are loaded and hold originals, by their package: ``{"redis": ["redis.asyncio: timeout"]}``."""
    originals = {id(getattr(asyncio, name)): name for name in NAMES}
    found: dict[str, list[str]] = {}
    for called, module in sorted(sys.modules.items()):
        package = called.partition(".")[0]
        if package in _NEVER or not isinstance(module, ModuleType):
            continue
        held = sorted(originals[id(value)] for value in list(vars(module).values()) if id(value) in originals)
        if held:
            found.setdefault(package, []).append(f"{called}: {', '.join(held)}")
    return found


def taking() -> dict[str, list[str]]:
    """The modules of installed packages that take originals when they are imported, as `holding` tells them."""
    found: dict[str, list[str]] = {}
    for root in dict.fromkeys(Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")):
        for path in sorted(root.glob("**/*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if parts[0] in _NEVER or "tests" in parts:
                continue
            taken = sorted(set(_taken(path)))
            if taken:
                module = ".".join(parts).removesuffix(".__init__")
                found.setdefault(parts[0], []).append(f"{module}: {', '.join(taken)}")
    return found


def _taken(path: Path) -> Iterator[str]:
    try:
        source = path.read_bytes()
    except OSError:
        return
    for statement in _IMPORT.findall(source):
        for part in statement.decode(errors="replace").strip("()\n\t ").split(","):
            name = part.partition(" as ")[0].strip()
            if name in NAMES:
                yield name

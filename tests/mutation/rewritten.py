"""Modules imported with another source than their files have: for planted faults, and for mutants."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

Rewrite = Callable[[str], str]


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, rewrite: Rewrite) -> None:
        super().__init__(name, path)
        self._rewrite = rewrite

    def get_code(self, fullname: str) -> Any:
        """Never from a cache, and none is written."""
        path = self.get_filename(fullname)
        return self.source_to_code(self._rewrite(self.get_data(path).decode()).encode(), path)


class Rewritten(importlib.abc.MetaPathFinder):
    """Finds modules by name, and rewrites their sources as they are imported."""

    def __init__(self, rewrites: Mapping[str, Rewrite]) -> None:
        self._rewrites = rewrites

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> Any:
        rewrite = self._rewrites.get(name)
        found = None if rewrite is None else importlib.machinery.PathFinder.find_spec(name, path, target)
        if rewrite is None or found is None or found.origin is None:
            return None
        found.loader = _Loader(name, found.origin, rewrite)
        return found


def rewrite(rewrites: Mapping[str, Rewrite]) -> None:
    """Have the named modules imported so in this process, from now on.

    Raises:
        RuntimeError: one of them has been imported already.
    """
    early = sorted(name for name in rewrites if name in sys.modules)
    if early:
        raise RuntimeError(f"imported before it could be rewritten: {', '.join(early)}")
    sys.meta_path.insert(0, Rewritten(rewrites))

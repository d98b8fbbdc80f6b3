"""Every named tuple of the package can be made where the garbage collector closes what nobody awaited."""

from __future__ import annotations

import gc
import importlib
import sys
import warnings
from typing import Any

import pytest

from tests.support.imports import modules, room


def _named_tuples() -> list[type[Any]]:
    """Those of all modules that make one; a module whose package is not installed has none here."""
    found: dict[str, type[Any]] = {}
    for path in modules():
        if "namedtuple" not in path.read_text().lower():
            continue
        module = importlib.import_module(f"tracedtimeout.{room(path)}")
        for made in vars(module).values():
            if isinstance(made, type) and issubclass(made, tuple) and hasattr(made, "_fields"):
                found[f"{made.__module__}.{made.__qualname__}"] = made
    return [found[name] for name in sorted(found)]


@pytest.mark.parametrize("made", _named_tuples(), ids=lambda made: made.__qualname__)
def test_a_coroutine_that_is_dropped_meanwhile_is_warned_of(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning that it was never awaited is given; nothing goes to stderr as an error that nobody could handle."""
    ignored: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told: ignored.append(repr(told.exc_value)))
    thresholds = gc.get_threshold()
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        gc.collect()
        ring: list[object] = [_never_awaited()]
        ring.append(ring)
        gc.disable()
        del ring
        values = [None] * len(made._fields)
        try:
            gc.set_threshold(1)
            gc.enable()
            for _ in range(10):
                made(*values)
        finally:
            gc.set_threshold(*thresholds)
            gc.enable()
    assert ignored == []
    assert [str(each.message) for each in given] == ["coroutine '_never_awaited' was never awaited"]


async def _never_awaited() -> None:
    """Stands in a ring that only the collector frees."""

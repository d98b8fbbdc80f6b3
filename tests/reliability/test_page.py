"""The report is the one that its command writes, and each of its rows has a command that there is."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from .__main__ import PAGE
from .page import page
from .results import ROOT, load, parsed
from .rows import ROWS


def test_the_page_is_what_its_command_writes() -> None:
    """Nobody has written into it: numbers come from results that are kept, which a run replaces."""
    assert PAGE.read_text() == page(load())


@pytest.mark.parametrize("key", ROWS)
def test_a_row_has_a_command_that_there_is(key: str) -> None:
    """A script, or a module of Python that can be run, and the files that it is given."""
    _, command = parsed(ROWS[key].command)
    if command[0].startswith(".ci/"):
        assert os.access(ROOT / command[0], os.X_OK)
        return
    assert command[1] == "-m"
    name = command[2]
    found = find_spec(f"{name}.__main__") if (spec := find_spec(name)) and spec.submodule_search_locations else spec
    assert found is not None
    assert [path for path in command if path.startswith("tests/") and not (ROOT / path).exists()] == []


def test_each_row_is_on_the_page() -> None:
    """With its command, whether it was run or not."""
    text = Path(PAGE).read_text()
    assert [key for key, row in ROWS.items() if f"| {key} |" not in text or f"`{row.command}`" not in text] == []

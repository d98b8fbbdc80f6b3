"""Writes every generated file: ``python -m dashboards``."""

from __future__ import annotations

from pathlib import Path

from . import across_services, one_timeout, overview, rules
from ._frame import render

HERE = Path(__file__).parent


def files() -> dict[str, str]:
    """Every generated file: its path beneath dashboards/, and its text."""
    boards = {
        f"grafana/dashboards/{module.__name__.rpartition('.')[2].replace('_', '-')}.json": render(module.board())
        for module in (overview, one_timeout, across_services)
    }
    return boards | {f"prometheus/{name}": text for name, text in rules.files().items()}


if __name__ == "__main__":
    for path, text in files().items():
        (HERE / path).write_text(text, encoding="utf-8")
        print(path)

"""Writes every generated file into the package: ``python -m dashboards``."""

from __future__ import annotations

from pathlib import Path

from . import across_services, kubernetes, mixin, objectives, one_timeout, overview, rules
from ._frame import render

ROOT = Path(__file__).parent.parent
GENERATED = ROOT / "tracedtimeout/commands/_dashboards"
RUNBOOKS = ROOT / "docs/runbooks"


def files() -> dict[str, str]:
    """Every generated file: its path beneath `GENERATED`, and its text."""
    boards = {
        f"grafana/{module.__name__.rpartition('.')[2].replace('_', '-')}.json": render(module.board())
        for module in (overview, one_timeout, across_services)
    }
    table = {"objectives.yml": objectives.TEXT}
    return (
        boards
        | {f"prometheus/{name}": text for name, text in (rules.files() | table).items()}
        | {f"kubernetes/{name}": text for name, text in kubernetes.files().items()}
        | {f"mixin/{name}": text for name, text in mixin.files(boards).items()}
        | {f"runbooks/{path.name}": path.read_text(encoding="utf-8") for path in sorted(RUNBOOKS.glob("*.md"))}
    )


if __name__ == "__main__":
    for name, written in files().items():
        (GENERATED / name).parent.mkdir(parents=True, exist_ok=True)
        (GENERATED / name).write_text(written, encoding="utf-8")
        print(name)

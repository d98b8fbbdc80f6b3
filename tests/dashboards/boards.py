"""The dashboards as they are committed: their panels, and the expressions in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.dashboards.stack import GENERATED

PATHS = sorted((GENERATED / "grafana").glob("*.json"))
BOARDS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in PATHS}


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel of a dashboard."""

    board: str
    json: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.board}: {self.json['title']}"

    @property
    def targets(self) -> list[dict[str, Any]]:
        targets: list[dict[str, Any]] = self.json["targets"]
        return targets

    @property
    def links(self) -> list[str]:
        """Where the panel and its series lead."""
        return [link["url"] for link in [*self.json["links"], *self.defaults["links"]]]

    @property
    def defaults(self) -> dict[str, Any]:
        defaults: dict[str, Any] = self.json["fieldConfig"]["defaults"]
        return defaults


def panels() -> Iterator[Panel]:
    """All panels that show something, of all dashboards."""
    for name, board in BOARDS.items():
        for panel in board["panels"]:
            if panel["type"] != "row":
                yield Panel(name, panel)

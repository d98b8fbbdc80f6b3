"""The rule files that Prometheus loads, written from the tables of records and alerts.

Every window is written as Prometheus reads it. `files(scale)` shrinks windows and waits alike, so that a test sees in
seconds what operators see in hours; the thresholds, which are shares and seconds, stay.
"""

from __future__ import annotations

from typing import Any

import yaml

from ._windows import duration, scaled
from .alerts import ALERTS
from .records import EVERY, GROUPS

HEADER = "# Written by `python -m dashboards` from dashboards/*.py: edit there.\n"


def groups(scale: float = 1) -> dict[str, list[dict[str, Any]]]:
    """The groups of each rule file, by the file's name."""
    return {
        "recording.yml": [
            {"name": name}
            | ({"interval": duration(EVERY[name], scale)} if name in EVERY else {})
            | {"rules": [record.as_dict() | {"expr": scaled(record.expr, scale)} for record in records]}
            for name, records in GROUPS.items()
        ],
        "alerts.yml": [
            {
                "name": "tracedtimeout-alerts",
                "rules": [
                    alert.as_dict() | {"expr": scaled(alert.expr, scale), "for": duration(alert.wait, scale)}
                    for alert in ALERTS
                ],
            }
        ],
    }


def files(scale: float = 1) -> dict[str, str]:
    """The text of each rule file."""
    return {name: HEADER + dump({"groups": content}) for name, content in groups(scale).items()}


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def dump(content: dict[str, Any]) -> str:
    """YAML with expressions of several lines as blocks."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)

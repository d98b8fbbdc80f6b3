"""The operator's table of objectives as it is handed out: the default row, and an example that is commented out."""

from __future__ import annotations

from typing import Any

import yaml

from .records import OBJECTIVE

HEADER = """\
# Yours to edit: a row for each timeout whose objective is not the default. Nothing overwrites this file.
#   expr      vector(the share of uses that should end before their deadline)
#   severity  critical: expiries page. warning: they make a ticket
#   owner     whom alerts name, for Alertmanager to route by
# The row without a timeout is for every name that has no row.
"""
TEXT = f"""\
{HEADER}groups:
- name: tracedtimeout-objectives
  rules:
  - {{record: tracedtimeout_objective, expr: vector({OBJECTIVE}), labels: {{severity: warning, owner: unassigned}}}}
# - {{record: tracedtimeout_objective, expr: vector(0.9995), labels: {{timeout: pay, severity: critical, owner: bank}}}}
"""


def groups() -> list[dict[str, Any]]:
    """The group of rules that is the table."""
    read: list[dict[str, Any]] = yaml.safe_load(TEXT)["groups"]
    return read

"""The mixin: dashboards and rules under the names that jsonnet's users expect."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import PurePath

from . import rules

TEXT = """\
// Written by `python -m dashboards`. Dashboards and the table of objectives are read from the folders beside this one;
// the rules stand here as JSON, for jsonnet's parseYaml does not take all of YAML.
{{
  grafanaDashboards+:: {{
{boards}
  }},
  prometheusRules+:: {{
    groups+: std.parseYaml(importstr '../prometheus/objectives.yml').groups + (import 'recording.json').groups,
  }},
  prometheusAlerts+:: {{
    groups+: (import 'alerts.json').groups,
  }},
}}
"""


def files(boards: Iterable[str]) -> dict[str, str]:
    """The library for `boards`, paths of dashboards beneath the folder that the mixin's is in, and the rules."""
    lines = (f"    'tracedtimeout-{PurePath(board).name}': import '../{board}'," for board in boards)
    written = {
        f"{PurePath(name).stem}.json": json.dumps({"groups": groups}, indent=2, ensure_ascii=False) + "\n"
        for name, groups in rules.groups().items()
    }
    return {"mixin.libsonnet": TEXT.format(boards="\n".join(lines)), **written}

"""The compose stack's own configuration, and the programs it is for."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support import missing

ROOT = Path(__file__).parent.parent
DASHBOARDS = ROOT / "dashboards"
PACKAGES = {"prometheus": "prometheus", "promtool": "prometheus", "amtool": "prometheus-alertmanager"}


def program(name: str) -> str:
    """The path of a program that a test needs."""
    return shutil.which(name) or missing(name, f"apt-get install {PACKAGES[name]}")

"""The garbage collector may close dropped work at any allocation, in any thread: the loop works on."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from .batch import ROOT
from .collector import PATIENCE

ROUNDS = 2000 if "TRACEDTIMEOUT_FAULTS" in os.environ else 150


@pytest.mark.slow
@pytest.mark.parametrize("where", ["here", "elsewhere"])
def test_work_closed_by_the_collector_disturbs_nobody(where: str) -> None:
    """Nothing hangs, nothing raises, nothing stays active. On the real clock, for threads have no other."""
    command = [sys.executable, "-m", "tests.faults.collector", where, str(ROUNDS)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=2 * PATIENCE, check=False
    )
    assert (found.returncode, found.stdout) == (0, ""), found.stderr

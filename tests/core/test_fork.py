"""A forked child begins anew: no budget, no figures, no lock that is held; and it works."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.imports import PACKAGE


@pytest.mark.slow
def test_a_forked_child_begins_anew() -> None:
    """It inherits no deadline, has counted nothing, waits for no lock of the parent's, leaves in silence what was
    entered before the fork, and has timeouts of its own. Real processes."""
    command = [sys.executable, "-m", "tests.programs.forking"]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

"""The hot path that runs, C or Python, keeps nothing: a small size of what `python -m tests.memory` does in large."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.long


def test_the_hot_path_keeps_nothing() -> None:
    """Timeouts of all kinds leave no memory behind, where every allocation collects too; nor do loops; and other
    interpreters of the process run the Python.

    In a process of its own: in one as large as this each collection takes 20 ms, and there are hundreds.
    """
    done = subprocess.run([sys.executable, "-m", "tests.memory", "small"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

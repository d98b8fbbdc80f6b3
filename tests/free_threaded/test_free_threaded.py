"""The program that free-threaded builds are tried by, on the Python at hand."""

from __future__ import annotations

import pytest

from tests.free_threaded.__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.long]  # eight threads, on the real clock


def test_every_count_is_the_ledgers(capsys: pytest.CaptureFixture[str]) -> None:
    """Eight loops in eight threads count what they did, and a reader beside them changes nothing."""
    assert main(["--seconds", "2"]) == 0, capsys.readouterr().out

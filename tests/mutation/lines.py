"""An exception at any line of a scene, in the process that runs the tests: for mutants of what clears up afterwards."""

from __future__ import annotations

import logging
import warnings
from collections import Counter

import pytest

from tests.faults.batch import report_on
from tests.faults.scenes import SCENES
from tests.faults.strikes import Line

struck: Counter[Line] = Counter()
"""Lines that were struck in one scene are not struck in the next."""


@pytest.mark.parametrize("scene", SCENES)
def test_an_exception_at_any_line_leaves_nothing(scene: str) -> None:
    """But at the instant of a call, where asyncio leaves something too."""
    logging.disable()
    with warnings.catch_warnings(action="ignore"):  # of coroutines that nobody could start
        report = report_on(scene, "ours", "interrupt", "virtual", "few", struck=struck)
    logging.disable(logging.NOTSET)
    assert report.within == Counter()

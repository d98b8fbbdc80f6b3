"""Faults from outside the program cost what they take, and no more; and each part finds a fault that is planted."""

from __future__ import annotations

import pytest

from .parts import PLANTED, RUNS, Run, find

pytestmark = pytest.mark.slow  # real processes


@pytest.mark.parametrize(
    "run", [pytest.param(run, id=run.name, marks=[pytest.mark.long] if run.long else []) for run in RUNS]
)
def test_a_part_finds_no_fault(run: Run) -> None:
    """Its process ends well; it says what it has found."""
    status, said = run()
    assert status == 0, said


@pytest.mark.long
@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    """By the part that is for its kind."""
    assert find(fault) != ""

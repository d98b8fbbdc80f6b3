"""Mutants are what they say, and those that no test needs to notice are mutants that there are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from . import __main__
from .mutants import mutants
from .survivors import SURVIVORS
from .targets import MODULES
from .trying import source_of

ROOT = Path(__file__).parents[2]

SOURCE = """
def least(a, b=1):
    if a < b and not b:
        a.seen = True
        return a
    log(b - 1)
"""


def test_each_mutant_is_the_source_with_one_thing_changed() -> None:
    """Comparisons, operators, constants, conditions, results, and statements that are there for their effect."""
    assert [str(mutant).removeprefix("least: ") for mutant in mutants(SOURCE)] == [
        "if a < b and (not b): -> if not (a < b and (not b)):",
        "if a < b and (not b): -> if a < b or not b:",
        "if a < b and (not b): -> if a <= b and (not b):",
        "if a < b and (not b): -> if a < b and b:",
        "a.seen = True -> pass",
        "a.seen = True -> a.seen = False",
        "return a -> return None",
        "log(b - 1) -> pass",
        "log(b - 1) -> log(b + 1)",
        "log(b - 1) -> log(b - 2)",
    ]


@pytest.mark.parametrize("module", SURVIVORS)
def test_what_is_explained_is_there(module: str) -> None:
    """A reason goes when the line that it is about does."""
    assert module in MODULES
    assert set(SURVIVORS[module]) - {str(mutant) for mutant in mutants(source_of(module))} == set()


def test_a_run_of_all_mutants_is_judged_again_without_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its figures are those of that run, and nothing is tried."""
    made = [f"_outcome.{mutant}" for mutant in mutants(source_of("_outcome"))]
    log = tmp_path / "log"
    log.write_text("".join(f"killed    {each} (a test)\n" for each in made))
    monkeypatch.setattr(sys, "argv", ["tests.mutation", "_outcome", "--after", str(log)])
    assert __main__.main() == 0
    assert capsys.readouterr().out == f"_outcome: {len(made)} mutants, {len(made)} killed, 0 explained, 0 neither\n"


if sys.version_info >= (3, 12):  # which lines a test comes to is asked of `sys.monitoring`

    def test_a_mutant_that_matters_is_killed() -> None:
        """With nothing changed the tests pass; with a result changed one of them does not."""
        command = "-m tests.mutation _words --only described --tests tests/core/test_words.py"
        said = subprocess.run(
            [sys.executable, *command.split()], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout
        assert "_words: 2 mutants, 2 killed, 0 explained, 0 neither" in said, said

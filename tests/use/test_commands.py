"""`python -m tracedtimeout`: its commands are listed, started, and say what they need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tracedtimeout.commands import COMMANDS

LIST = "python -m tracedtimeout COMMAND, or COMMAND --help:\n"


def ended(*arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a Python program."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow  # interpreters of their own: that this is what a user types is the claim
def test_without_a_command_all_are_listed() -> None:
    """Each command has a line; a name that is none is said so, above the list."""
    status, out, err = ended("-m", "tracedtimeout")
    assert (status, err) == (0, "")
    assert out.startswith(LIST)
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(COMMANDS)
    assert ended("-m", "tracedtimeout", "topp") == (1, "", f"There is no command 'topp'.\n{out}")


@pytest.mark.slow  # as above
@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str) -> None:
    """`--help` says how a command is called."""
    status, out, err = ended("-m", "tracedtimeout", command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: python -m tracedtimeout {command} ")

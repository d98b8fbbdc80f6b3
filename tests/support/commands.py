"""Checks of code blocks that are not Python: shell commands name what there is, configuration can be parsed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec

import yaml

from tests.support.pages import ROOT, Block, blocks
from tracedtimeout.commands import COMMANDS

__all__ = ["CHECKS"]

ELSEWHERE = {
    "cd": "a folder of the reader's",
    "curl": "asks a server; the tests of the demo and of the tutorial ask the same",
    "docker": "tests/dashboards/test_compose.py holds the stack",
    "git": "a clone of the reader's",
    "opentelemetry-instrument": "tests/use/test_instrument.py starts it",
    "promtool": "asks the stack's Prometheus",
    "xdg-open": "opens a browser",
} | dict.fromkeys(("cut", "echo", "grep", "kill", "sleep", "tail", "wait"), "everybody's shell has it")
"""Programs that are not looked into, and why."""

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def shell(block: Block) -> None:
    """Each command of a shell block can be parsed, and what it starts of ours exists."""
    where = f"{block.page}:{block.line}"
    source = _commands_of(block)
    checked = subprocess.run(["bash", "-n"], input=source, text=True, capture_output=True, check=False)
    assert checked.returncode == 0, f"{where}: {checked.stderr}"
    for command in _simple_commands(source):
        program, words = command[0].rpartition("/")[2], [word for word in command if word != "-u"]
        if program == "pip" and words[1] == "install":
            _pip(words[2:], where)
        elif re.fullmatch(r"python3?(\.\d+)?", program) and words[1] == "-m":
            _module(words[2], words[3:], where)
        elif re.fullmatch(r"python3?", program):
            assert words[1] in {each.title for each in blocks(block.page)}, f"{where}: where is {words[1]}?"
        else:
            assert program in ELSEWHERE or (ROOT / words[0]).is_file(), f"{where}: who tests {program!r}?"


def _commands_of(block: Block) -> str:
    """The commands alone: of a `console` block the lines behind a prompt."""
    if block.language != "console":
        return block.code
    return "".join(re.findall(r"^\$ (.*\n)", block.code, re.MULTILINE))


def _simple_commands(source: str) -> Iterator[list[str]]:
    """The words of each command, without the variables that are set for it."""
    lexer = shlex.shlex(source.replace("\\\n", " ").replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word in (";", "&&", "||", "|", "&"):
            if words:
                yield words
            words = []
        elif words or not re.match(r"[A-Z_]+=", word):
            words.append(word)


def _pip(words: list[str], where: str) -> None:
    """The extras that are asked of this project exist."""
    for asked in re.findall(r"(?:tracedtimeout|^\.)\[([\w,]+)\]", "\n".join(words), re.MULTILINE):
        assert set(asked.split(",")) <= EXTRAS.keys(), f"{where}: {asked}"


def _module(module: str, arguments: list[str], where: str) -> None:
    """A module that is run with ``python -m`` exists, and a command of ours has the options that it is given."""
    assert find_spec(module) is not None, f"{where}: {module}"
    if module == "tracedtimeout" and arguments:
        assert arguments[0] in COMMANDS, f"{where}: {arguments[0]}"
        for option in (word.partition("=")[0] for word in arguments if word.startswith("--")):
            assert option in _help(arguments[0]), f"{where}: {option}"


@cache
def _help(command: str) -> str:
    """The help that a command of ours prints."""
    asked = [sys.executable, "-m", "tracedtimeout", command, "--help"]
    return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=60).stdout


def _each_yaml(block: Block) -> None:
    list(yaml.safe_load_all(block.code))


CHECKS: dict[str, Callable[[Block], object]] = {
    "sh": shell,
    "console": shell,
    "yaml": _each_yaml,
    "toml": lambda block: tomllib.loads(block.code),
    "json": lambda block: json.loads(block.code),
}
"""The check of each language."""

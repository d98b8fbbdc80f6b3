"""docs/tutorial.md, step by step as a reader does it: files as they stand there, commands in one shell."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import missing
from tests.support.pages import Block, blocks
from tests.support.processes import free_port

PAGE = "docs/tutorial.md"

STEP = "== step {} =="

STRETCHED = {"default=1.0": "default=3.0", 'timeout(2.0, name="charge")': 'timeout(9.0, name="charge")'}
"""Limits of the services, for a machine that has other things to do; what the page prints has no seconds of theirs."""

pytestmark = [
    pytest.mark.long,
    pytest.mark.slow,  # real servers, and deadlines of a second between them
    pytest.mark.server,
]


@pytest.fixture
def _curl() -> None:
    if shutil.which("curl") is None:
        missing("curl", "apt-get install curl")


@pytest.mark.usefixtures("_curl")
def test_each_step_shows_what_stands_beneath_it(tmp_path: Path) -> None:
    """All files saved and all commands run in order: what is printed is what the page shows."""
    page = list(blocks(PAGE))
    script = "\n".join(_script(page))
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    printed = re.split(r"== step \d+ ==\n", done.stdout)[1:]
    shown = {n: after.code for n, after in enumerate(page[1:]) if _is_shown(after)}
    assert {n: _told(printed[n]) for n in shown} == {n: _told(code) for n, code in shown.items()}, done.stderr


def _is_shown(block: Block) -> bool:
    return block.language == "text" and block.follows and not block.skip


def _script(page: list[Block]) -> Iterator[str]:
    """The page as one program of bash, with ports that are free here; it leaves no server behind."""
    ports = {port: str(free_port()) for port in ("8000", "8001", "8002")}
    yield "trap 'kill $(jobs -p) 2>/dev/null' EXIT"
    for number, block in enumerate(page):
        yield f"echo '{STEP.format(number)}'"
        code = re.sub("800[0-2]", lambda found: ports[found[0]], block.code)
        for limit, longer in STRETCHED.items():
            code = code.replace(limit, longer)
        if block.title:
            yield f"cat >{block.title} <<'END_OF_FILE'\n{code}END_OF_FILE"
        elif block.language == "sh" and not block.skip:
            yield _patient(code)


def _patient(commands: str) -> str:
    """The commands, for this Python, and for a machine on which a server takes its time to start."""
    started = " ".join(re.findall(r"--port (\d+)", commands))
    answers = "curl -s -o metrics http://127.0.0.1:$port/metrics"
    until = f"for port in {started}; do until {answers}; do sleep 0.1; done; done"
    commands = re.sub(r"^sleep \d$", until, commands, flags=re.MULTILINE)
    commands = re.sub(r" &$", " >>servers.log 2>&1 &", commands, flags=re.MULTILINE)
    return re.sub(r"\.venv/bin/python", sys.executable, commands)


def _told(text: str) -> list[str]:
    """The lines of a text, without its numbers of seconds."""
    return re.sub(r"\d+\.\d{3} s", "s", text).split("\n")

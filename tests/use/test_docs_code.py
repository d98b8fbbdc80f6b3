"""Every block of code of the README and of docs runs, in virtual time where it sleeps, or says why it does not."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import contextvars
import io
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator
from inspect import CO_COROUTINE
from itertools import zip_longest
from types import CodeType
from typing import Any

import pytest

from tests.support.commands import CHECKS
from tests.support.pages import ROOT, Block, blocks, pages
from tracedtimeout import install, testing

SHOWN = {"text", "mermaid", "promql", "http"}
"""Languages of blocks that show something: nothing in them can be run by itself."""

AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

WITH_CODE = [page for page in pages() if any(True for _ in blocks(page))]


@pytest.fixture(autouse=True)
def _virtual(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`asyncio.run` keeps virtual time, and what a page installed is undone."""
    monkeypatch.setattr(asyncio, "run", testing.run)
    yield
    install(registry=None)()


def test_every_block_has_a_language() -> None:
    """None goes unchecked for want of a word behind its fence."""
    known = SHOWN | CHECKS.keys() | {"python"}
    unknown = [(b.page, b.line, b.language) for page in WITH_CODE for b in blocks(page) if b.language not in known]
    assert unknown == []


def test_a_block_that_does_not_run_says_why() -> None:
    """The reason is a sentence, not a word."""
    reasons = [b.skip for page in WITH_CODE for b in blocks(page) if b.skip]
    assert [reason for reason in reasons if len(reason.split()) < 4] == []


def test_a_block_that_is_a_file_is_saved_by_a_test() -> None:
    """The pages whose blocks are files have tests of their own, which save and run them."""
    with_files = {b.page for page in WITH_CODE for b in blocks(page) if b.title}
    tests = "".join(test.read_text() for test in (ROOT / "tests").rglob("test_*.py"))
    assert {page for page in with_files if f'"{page}"' not in tests} == set()


@pytest.mark.parametrize("page", WITH_CODE)
def test_python_of_a_page_runs(page: str) -> None:
    """Its blocks run one after another, as in one session, and a block of text right below one is what that prints."""
    here = list(blocks(page))
    with asyncio.Runner(loop_factory=testing.VirtualClockLoop) as runner:
        session = Session(runner)
        for block, after in zip_longest(here, here[1:]):
            if block.language != "python" or block.skip or block.title:
                continue
            printed, error = _run_alone(block) if block.program else session.run(block)
            if after is not None and after.language == "text" and after.follows:
                assert after.skip or _unmeasured(printed) == _unmeasured(after.code), f"{page}:{after.line}"
            elif error is not None:
                error.add_note(f"in the block at {page}:{block.line}")
                raise error


@pytest.mark.parametrize("page", WITH_CODE)
def test_what_is_not_python_is_well_formed(page: str) -> None:
    """Commands, modules, options and extras of shell blocks exist; configuration can be parsed."""
    for block in blocks(page):
        if block.language in CHECKS and not block.skip:
            CHECKS[block.language](block)


def _run_alone(block: Block) -> tuple[str, Exception | None]:
    """What a program prints; gives an exception where it fails."""
    done = subprocess.run([sys.executable, "-c", block.code], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout, None if done.returncode == 0 else RuntimeError(done.stderr)


class Session:
    """The names, the context and the loop that the blocks of a page have in common."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._context = contextvars.copy_context()
        self._runner = runner

    def run(self, block: Block) -> tuple[str, Exception | None]:
        """Run a block with its setup; gives what it printed, its exception's last lines included, and the exception."""
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            try:
                for source in (block.setup, block.code):
                    self._execute(compile(source, f"{block.page}:{block.line}", "exec", AWAIT, dont_inherit=True))
            except Exception as error:
                output.write("".join(traceback.format_exception_only(error)))
                return output.getvalue(), error
        return output.getvalue(), None

    def _execute(self, code: CodeType) -> None:
        """Run some lines; those that await at the top, as in a notebook, run on the page's loop."""
        started = self._context.run(eval, code, self._names)
        if code.co_flags & CO_COROUTINE:
            self._runner.run(started, context=self._context)


def _unmeasured(text: str) -> str:
    """A text without its numbers of seconds, and without the space at its end."""
    return re.sub(r"\d+\.\d{3} s", "s", text).rstrip()

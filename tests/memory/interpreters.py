"""Other interpreters of one process: each runs timeouts, and the compiled hot path is the first one's alone."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.memory.kinds import KINDS
from tracedtimeout._core._hot import IMPLEMENTATION
from tracedtimeout.testing import run

ROOT = Path(__file__).parents[2]
HEAD = f"import os, sys; sys.path[:] = {sys.path!r}; sys.path.insert(0, {str(ROOT)!r})\n"
PROGRAM = """
import asyncio
import tracedtimeout
from tracedtimeout._core import _hot

async def main():
    for _ in range(3):
        async with tracedtimeout.timeout(5, name="elsewhere"):
            pass
    try:
        async with tracedtimeout.timeout(0.001, name="elsewhere"):
            if sys.version_info >= (3, 12):  # asyncio of 3.11 expires in the first interpreter only
                await asyncio.sleep(60)
    except TimeoutError:
        pass
    return _hot.IMPLEMENTATION

said = asyncio.run(main())
"""


def told(isolated: bool) -> str:
    """Which hot path another interpreter has, once timeouts were entered, left and fired there."""
    reading, writing = os.pipe()
    try:
        _run(isolated, f"{HEAD}{PROGRAM}\nos.write({writing}, said.encode())")
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        return pipe.read().decode()


def _run(isolated: bool, program: str) -> None:
    """Run it in an interpreter of its own, to the end of both.

    Raises:
        RuntimeError: it raised something.
    """
    module: Any
    if sys.version_info >= (3, 13):
        module = importlib.import_module("_interpreters")
        created = module.create("isolated" if isolated else "legacy")
    else:
        module = importlib.import_module("_xxsubinterpreters")
        created = module.create(isolated=isolated)
    try:
        failed = module.run_string(created, program)
    finally:
        module.destroy(created)
    if failed is not None:
        raise RuntimeError(failed.formatted)


def lines(times: int) -> Iterator[str]:
    """A line of text for each interpreter, so many of each sort."""
    for sort, isolated in {"shares its state": False, "isolated": True}.items():
        for number in range(times):
            said = told(isolated)
            for kind in KINDS.values():  # it goes on here
                run(kind())
            fault = "" if said == "python" else " FAULT"
            yield f"interpreter {number + 1} that {sort}: {said}, beside {IMPLEMENTATION} in the first{fault}"

"""Forks in the midst of timeouts, and prints what is wrong in the children: python -m tests.programs.forking"""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections.abc import Callable

import tracedtimeout
from tests.support import figures
from tracedtimeout._core.figures import _process


def in_child(check: Callable[[], object]) -> None:
    """Fork, and wait for a child that does `check`; what it returns is printed there if it is not true."""
    child = os.fork()
    if child == 0:
        try:
            wrong = check()
        except BaseException as exc:
            wrong = repr(exc)
        if wrong:
            sys.stdout.write(f"{check.__name__}: {wrong}\n")
            sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)


def has_no_budget() -> object:
    """Nothing of the parent's binds it."""
    return tracedtimeout.remaining() != math.inf


def counts_from_zero() -> object:
    """It has entered nothing yet."""
    return figures("parent") or figures("before")


def takes_no_lock_that_is_held() -> object:
    """A reader in the parent held one as it forked."""
    return _process.snapshot()


def works() -> object:
    """A loop of its own fires, and counts."""

    async def main() -> None:
        async with tracedtimeout.timeout(0.01, name="child"):
            await asyncio.sleep(9)

    try:
        asyncio.run(main())
    except tracedtimeout.DeadlineExceeded:
        counted = figures("child")
        return None if counted["duration"] == {"expired": 1} else counted
    return "it does not fire"


async def leaves() -> None:
    """A child that leaves what was entered before the fork does nothing by that, in silence."""
    async with tracedtimeout.timeout(9, name="parent"):
        with tracedtimeout.budget(5):
            in_child(has_no_budget)
            in_child(counts_from_zero)
            child = os.fork()
    if child == 0:
        sys.stdout.write("leaving counts\n" if figures("parent") else "")
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)  # noqa: ASYNC222  # nobody else is here


async def main() -> None:
    async with tracedtimeout.timeout(9, name="before"):
        pass
    await leaves()


if __name__ == "__main__":
    asyncio.run(main())
    with _process._folding:
        in_child(takes_no_lock_that_is_held)
    in_child(works)

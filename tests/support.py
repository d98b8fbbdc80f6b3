"""Helpers of the tests: event loops by name, and skips that say what to install."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import NoReturn

import pytest

from tracedtimeout.testing import VirtualClockLoop

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def missing(what: str, install: str) -> NoReturn:
    """Skip the running test for want of `what`; in CI, where it must be there, fail."""
    reason = f"{what} is missing: {install}"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def available(flavour: str) -> bool:
    """Whether this Python can have that loop at all, whatever is installed."""
    return sys.version_info >= (3, 12) or "eager" not in flavour


def eager(make: LoopFactory) -> asyncio.AbstractEventLoop:
    loop = make()
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
    return loop


def debug(make: LoopFactory) -> asyncio.AbstractEventLoop:
    loop = make()
    loop.set_debug(True)
    return loop


def uvloop() -> asyncio.AbstractEventLoop:
    try:
        from uvloop import new_event_loop  # noqa: PLC0415  # an optional program of the tests
    except ImportError:
        missing("uvloop", "pip install uvloop")
    return new_event_loop()


FLAVOURS: dict[str, LoopFactory] = {
    "plain": asyncio.SelectorEventLoop,
    "debug": lambda: debug(asyncio.SelectorEventLoop),
    "eager": lambda: eager(asyncio.SelectorEventLoop),
    "uvloop": uvloop,
    "virtual": VirtualClockLoop,
    "virtual-debug": lambda: debug(VirtualClockLoop),
    "virtual-eager": lambda: eager(VirtualClockLoop),
}
"""Event loops by name; those called virtual keep virtual time."""

VIRTUAL = ("virtual", "virtual-debug", "virtual-eager")

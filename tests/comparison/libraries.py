"""What is compared: each library's block that ends its body after so many seconds, in the release that is pinned."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import tracedtimeout
from tests.support.pages import ROOT

EXTRA = "comparison"

Guard = Callable[[float], AbstractAsyncContextManager[Any]]
"""Ends its body after so many seconds, with an exception."""


def pinned() -> dict[str, str]:
    """The release of each distribution that the extra names."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return dict(asked.split("==") for asked in extras[EXTRA] if "==" in asked)


def installed(distribution: str) -> bool:
    """Whether a distribution is here in the release that is compared; the standard library and ours always are."""
    if distribution not in pinned():
        return True
    try:
        return version(distribution) == pinned()[distribution]
    except PackageNotFoundError:
        return False


@dataclass(frozen=True, slots=True)
class Library:
    """A library that has blocks with a timeout."""

    name: str
    distribution: str
    load: Callable[[], Guard]
    seconds_left: Callable[[Any], float | None] = lambda block: None
    """The seconds that a block knows it has; None if there is nothing to ask."""


def _asyncio() -> Guard:
    return asyncio.timeout


def _ours() -> Guard:
    return lambda seconds: tracedtimeout.timeout(seconds, name="case")


def _async_timeout() -> Guard:
    guard: Guard = import_module("async_timeout").timeout
    return guard


def _quattro() -> Guard:
    return _asynchronous(import_module("quattro").fail_after)


def _anyio() -> Guard:
    return _asynchronous(import_module("anyio").fail_after)


def _hyx() -> Guard:
    guard: Guard = import_module("hyx.timeout").timeout
    return guard


def _asynchronous(block: Callable[[float], AbstractContextManager[Any]]) -> Guard:
    """A block entered by `with`, for `async with`."""

    @asynccontextmanager
    async def entered(seconds: float) -> AsyncIterator[Any]:
        with block(seconds) as scope:
            yield scope

    return entered


def _now() -> float:
    return asyncio.get_running_loop().time()


LIBRARIES = [
    Library("tracedtimeout", "tracedtimeout", _ours, lambda _: tracedtimeout.remaining()),
    Library("asyncio", "asyncio", _asyncio, lambda block: block.when() - _now()),
    Library("async-timeout", "async-timeout", _async_timeout, lambda block: block.deadline - _now()),
    Library(
        "quattro", "quattro", _quattro, lambda _: import_module("quattro").get_current_effective_deadline() - _now()
    ),
    Library("anyio", "anyio", _anyio, lambda _: import_module("anyio").current_effective_deadline() - _now()),
    Library("hyx", "hyx", _hyx),
]

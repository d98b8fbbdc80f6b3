"""A service to retry, and how long whoever retries it took to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest


class BusyError(Exception):
    """What an attempt fails with."""


class Flaky:
    """A service that takes 0.1 s to fail, and tells when it was asked."""

    def __init__(self, answers_at: int = 1000) -> None:
        self.asked: list[float] = []
        self._answers_at = answers_at
        self._began: float | None = None

    async def __call__(self) -> str:
        self._began = now() if self._began is None else self._began
        self.asked.append(round(now() - self._began, 6))
        await asyncio.sleep(0.1)
        if len(self.asked) < self._answers_at:
            raise BusyError
        return "at last"


def now() -> float:
    return asyncio.get_running_loop().time()


async def ended(work: Callable[[], Awaitable[Any]], error: type[BaseException]) -> float:
    """Seconds until it failed so."""
    began = now()
    with pytest.raises(error) as caught:
        await work()
    assert type(caught.value) is error
    return round(now() - began, 6)

"""Faults that can be switched on, so that what alerts say of them can be seen.

    TRACEDTIMEOUT_DEMO_FAULTS=slow-payments,blocked-loop python -m tracedtimeout.demo

The shop and payments read the variable when they start.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from contextlib import suppress
from enum import StrEnum
from functools import cache

from starlette.types import ASGIApp, Receive, Scope, Send

from tracedtimeout import timeout, wait_for

VARIABLE = "TRACEDTIMEOUT_DEMO_FAULTS"
LINES = 10
"""Audit lines that each request writes."""

STUCK = 200
"""One audit line in so many gets stuck: too few to matter to anybody's share of expiries."""


class Fault(StrEnum):
    """The faults there are; the environment variable names them by their values, between commas."""

    BLOCKED_LOOP = "blocked-loop"
    """One request in four keeps the event loop to itself for 0.2 s."""

    SLOW_PAYMENTS = "slow-payments"
    """The bank's line takes 0.9 s for an answer, and 1 % longer each second."""

    SWALLOWED_CANCELLATION = "swallowed-cancellation"
    """The audit catches CancelledError and goes on."""

    SLOW_CLEAN_UP = "slow-clean-up"
    """The audit takes a second to put its file away when it is cut off."""


@cache
def switched_on() -> frozenset[Fault]:
    """The faults that the environment names.

    Raises:
        ValueError: one of them is none.
    """
    names = os.environ.get(VARIABLE, "").split(",")
    return frozenset(Fault(name.strip()) for name in names if name.strip())


def pace(quick: float) -> float:
    """Bytes a second of the bank's line, where `quick` is its good pace."""
    return 26.0 / 1.01 ** _age() if Fault.SLOW_PAYMENTS in switched_on() else quick


def _age() -> float:
    """Seconds since the bank was first asked."""
    return asyncio.get_running_loop().time() - _first_asked()


@cache
def _first_asked() -> float:
    return asyncio.get_running_loop().time()


def suffering(app: ASGIApp) -> ASGIApp:
    """`app`, with the faults that are on in front of it; itself when none is."""
    faults = switched_on()
    return _Suffering(app, faults) if faults - {Fault.SLOW_PAYMENTS} else app


class _Suffering:
    def __init__(self, app: ASGIApp, faults: frozenset[Fault]) -> None:
        self.app, self._faults = app, faults
        self._requests, self._lines = itertools.count(), itertools.count(1)
        self._polling: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if Fault.BLOCKED_LOOP in self._faults:
                self._block()
            for _ in range(LINES):
                await self._audit(stuck=next(self._lines) % STUCK == 0)
        await self.app(scope, receive, send)

    def _block(self) -> None:
        """Sleep where every timer of this process has to wait for it; among them one that always runs."""
        if self._polling is None:
            self._polling = asyncio.create_task(_poll())
        if next(self._requests) % 4 == 0:
            loop = asyncio.get_running_loop()
            end = loop.time() + 0.2  # asyncio's clock goes on meanwhile; uvloop's would not
            while loop.time() < end:
                time.sleep(0.001)

    async def _audit(self, *, stuck: bool) -> None:
        with suppress(TimeoutError):
            async with timeout(0.1, name="audit"):
                await self._write(stuck=stuck)

    async def _write(self, *, stuck: bool) -> None:
        """Write a line; a stuck one never ends by itself."""
        try:
            if stuck and self._faults & {Fault.SWALLOWED_CANCELLATION, Fault.SLOW_CLEAN_UP}:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            if Fault.SLOW_CLEAN_UP in self._faults:
                await asyncio.sleep(1.0)
            if Fault.SWALLOWED_CANCELLATION not in self._faults:
                raise


async def _poll() -> None:
    """Look into an outbox that stays empty. The timeout's expiry is its normal end, hence its name."""
    outbox: asyncio.Queue[object] = asyncio.Queue()
    while True:
        with suppress(TimeoutError):
            await wait_for(outbox.get(), 0.1, name="poll-outbox")

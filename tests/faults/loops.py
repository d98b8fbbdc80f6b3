"""Event loops that count their turns, in virtual time or on the real clock."""

from __future__ import annotations

import asyncio

from tracedtimeout.testing import VirtualClockLoop

MOST = 2000
"""Turns of a loop in one virtual instant; one that spins never gets out of it."""


class SpinsError(BaseException):
    """The loop turns and turns, and no time passes."""


class VirtualLoop(VirtualClockLoop):
    """Virtual time in which a unit is a second. It raises `SpinsError` where a real one would keep the processor busy
    for ever, and RuntimeError where it would hang."""

    unit = 1.0

    def __init__(self) -> None:
        super().__init__(patience=5.0)
        self.turns = 0
        self._since = (0.0, 0)

    def _run_once(self) -> None:
        self.turns += 1
        instant, turn = self._since
        if instant != self.time():
            self._since = self.time(), self.turns
        elif self.turns - turn > MOST:
            raise SpinsError
        super()._run_once()  # type: ignore[misc]  # asyncio's, for its subclasses


class RealLoop(asyncio.SelectorEventLoop):
    """The real clock, on which a unit is 10 ms."""

    unit = 0.01

    def __init__(self) -> None:
        super().__init__()
        self.turns = 0

    def _run_once(self) -> None:
        self.turns += 1
        super()._run_once()  # type: ignore[misc]  # asyncio's, for its subclasses


CountedLoop = VirtualLoop | RealLoop


def running() -> CountedLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop | RealLoop)
    return loop


async def pause(units: float) -> None:
    await asyncio.sleep(units * running().unit)

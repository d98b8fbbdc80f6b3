"""The bank: a TCP server at the end of a slow line, which carries so many bytes a second and no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import cast

QUICK = 2_000.0
SLOW = 12.0
"""Bytes a second."""

DECLINED_CARD = "4002"
SLOW_CARD = "4009"


@asynccontextmanager
async def bank(pace: Callable[[float], float]) -> AsyncIterator[int]:
    """Run the bank, its line at the pace that `pace` makes of its good one; yields its port."""
    server = await asyncio.get_running_loop().create_server(lambda: Line(pace), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class Line(asyncio.Protocol):
    """One connection: takes ``<verb> <card>`` and answers at the pace of that card's line."""

    def __init__(self, pace: Callable[[float], float]) -> None:
        self._pace = pace

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._asked = b""

    def data_received(self, data: bytes) -> None:
        self._asked += data
        if self._asked.endswith(b"\n"):
            verb, card = self._asked.decode().split()
            self._asked = b""
            pace = SLOW if card == SLOW_CARD else self._pace(QUICK)
            self._carry(_answer(verb, card), 1.0 / pace, asyncio.get_running_loop().time())

    def _carry(self, answer: Iterator[bytes], every: float, due: float) -> None:
        """Send the next byte, and the others each in its time, however late this one is."""
        byte = next(answer, b"")
        if byte and not self._transport.is_closing():
            self._transport.write(byte)
            asyncio.get_running_loop().call_at(due + every, self._carry, answer, every, due + every)


def _answer(verb: str, card: str) -> Iterator[bytes]:
    if verb == "statement":
        text = "".join(f"{day:02d} Nov  {day * 37 % 90 + 10:3d}.00\n" for day in range(1, 29))
    elif card == DECLINED_CARD:
        text = f"{verb} of {card} declined\n"
    else:
        text = f"{verb} of {card} approved\n"
    return (bytes([byte]) for byte in text.encode())

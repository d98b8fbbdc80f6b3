"""Outgoing calls: every client door asks here before it sends one, and when the budget cut one short."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

from tracedtimeout import DeadlineExceeded, checkpoint, remaining

ROUNDING = 0.002
"""Seconds: uvloop rounds timers to the millisecond, so that one may be early or late by one."""
_EARLY = 0.005
"""Seconds before a caller's deadline at which a callee's has passed: budgets are rounded down on their way."""
_GRACE = 0.1
"""Seconds in which a task that was cut ends what works for it in other tasks. (mcp's client has a task for each POST:
an error of httpx's in there is the end of the session.)"""
_EXPIRED = "deadline-expired"
"""The header of a 504 that comes of a deadline (a server's door sends it)."""


def seconds_to_send() -> float:
    """Seconds left for a call that is about to be sent; ``inf`` with no budget.

    Raises:
        DeadlineExceeded: none is left, so nothing is to be sent.
    """
    while (left := remaining()) <= 0.0:
        checkpoint()
    return left


def least(own: float | None, left: float) -> float | None:
    """The smaller of a library's own timeout and the budget; None, as libraries say it, for no limit."""
    if own is None:
        return None if left == math.inf else left
    return min(own, left)


async def time_to_send() -> float:
    """`seconds_to_send`, in a loop: a timeout whose deadline has passed fires first, if there is one."""
    await ended_by_budget(within=0.0)
    return seconds_to_send()


async def ended_by_budget(within: float = ROUNDING) -> None:
    """Raise `DeadlineExceeded` if the budget is spent: asked when a call timed out, and when more of an answer came.

    A timer of the timeout around it is due just then too. It has its turn first, so that this timeout fires.
    """
    if (left := remaining()) <= within:
        await asyncio.sleep(left + ROUNDING)
        checkpoint()


async def cut_short(left: float) -> None:
    """Raise `DeadlineExceeded` if the budget, of which `left` seconds were left as a call was sent, made that time out.

    If that budget has been left meanwhile by another task, which is about to end what it left: let it come first.
    """
    await ended_by_budget()
    if left < math.inf and remaining() == math.inf:
        await asyncio.sleep(_GRACE)


def ended_by_budget_here(within: float = ROUNDING) -> None:
    """`ended_by_budget`, of a call that blocks its thread."""
    if (left := remaining()) <= within:
        time.sleep(left)
        checkpoint()


async def ended_there(status: int, headers: Mapping[str, str], hop: str) -> None:
    """Raise `DeadlineExceeded`, with a note that names `hop`, if that answered that the deadline has passed.

    Not so where more of the budget is left than rounding explains: then the answer is the callee's own affair.
    """
    if status == HTTPStatus.GATEWAY_TIMEOUT and _EXPIRED in headers:
        with noting(f"{hop} answered 504 with {_EXPIRED}"):
            await ended_by_budget(_EARLY)


def ended_there_here(status: int, headers: Mapping[str, str], hop: str) -> None:
    """`ended_there`, of a call that blocks its thread."""
    if status == HTTPStatus.GATEWAY_TIMEOUT and _EXPIRED in headers:
        with noting(f"{hop} answered 504 with {_EXPIRED}"):
            ended_by_budget_here(_EARLY)


@contextmanager
def noting(note: str) -> Iterator[None]:
    """Add `note` to the `DeadlineExceeded` that leaves, or to the cancellation that becomes its cause."""
    try:
        yield
    except (DeadlineExceeded, asyncio.CancelledError) as exc:
        exc.add_note(note)
        raise

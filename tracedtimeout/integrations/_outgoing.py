"""What every client door does before a call is sent, and when one was cut short by the budget."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from tracedtimeout import checkpoint, remaining

ROUNDING = 0.002
"""Seconds: uvloop rounds timers to the millisecond, so that one may be early or late by one."""


def seconds_to_send() -> float:
    """Seconds left for a call that is about to be sent; ``inf`` with no budget.

    Raises:
        DeadlineExceeded: none is left, so nothing is to be sent.
    """
    while (left := remaining()) <= 0.0:
        checkpoint()
    return left


def least(own: float | None, left: float) -> float | None:
    """The smaller of a library's own timeout and what is left; None, as libraries say it, for no limit."""
    if own is None:
        return None if left == float("inf") else left
    return min(own, left)


async def time_to_send() -> float:
    """`seconds_to_send` for what runs in a loop: there the timeout whose deadline has passed fires, if there is one."""
    await ended_by_budget(within=0.0)
    return seconds_to_send()


async def ended_by_budget(within: float = ROUNDING) -> None:
    """Raise `DeadlineExceeded` if the budget is spent: asked when a call timed out, and when more of an answer came.

    A timer of the timeout around it is due just then too. It has its turn first, so that this timeout fires.
    """
    if (left := remaining()) <= within:
        await asyncio.sleep(left + ROUNDING)
        checkpoint()


class Hosts:
    """The hosts that are told of a budget: all of them, or those named; ``*.example.org`` for all beneath one."""

    def __init__(self, hosts: Collection[str] | None) -> None:
        if isinstance(hosts, str):
            raise TypeError(f"hosts must be a collection of host names, not the string {hosts!r}")
        self._everywhere = hosts is None
        names = [host.lower() for host in hosts or ()]
        for name in names:
            if not name or any(mark in name for mark in "/@[] ") or name.count(":") == 1:
                raise ValueError(f"hosts must be names or addresses alone, without scheme, user or port: not {name!r}")
        self._names = frozenset(name for name in names if not name.startswith("*."))
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))

    def __contains__(self, host: object) -> bool:
        if self._everywhere:
            return True
        name = str(host).lower()
        return name in self._names or name.endswith(self._suffixes)

"""Closers: the observers who know that a timeout is open, each to be told once that it is over."""

from __future__ import annotations

from typing import Any

from . import _observers
from ._facts import Facts
from ._more import More


def keep_told(self: Any, closers: _observers.Closers) -> None:
    """Keep `closers`: the observers that were told that `self` is open, and are to be told of its end."""
    self._extend().closers = closers


def tell_end(self: Facts, error: BaseException | None) -> None:
    """Tell the observers that were told that `self` is open, and have not been told of its end."""
    more: Any = self._more
    closers = more.closers if more.__class__ is More else more
    if closers is None:
        return
    more = self._extend()
    more.error = error
    try:
        # fmt: off
        _observers.closed(self, closers); more.closers = None  # one step: broken off, it has those who are left
    # fmt: on
    finally:
        more.error = None

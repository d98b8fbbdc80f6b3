"""Who is told of every timeout: the observers installed, asked in turn and kept from doing harm."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ._timeout import Timeout

_log = logging.getLogger("tracedtimeout")

Closer = Callable[["Timeout"], object]


class Observer(Protocol):
    """Called with a `Timeout` when it opens; returns what to call with it when it closes, or None.

    Both calls happen in the task that entered the timeout (a rejection opens and closes at once). What either
    raises is logged, once for each observer, and goes no further.
    """

    def __call__(self, timeout: Timeout, /) -> Closer | None: ...


installed: tuple[Observer, ...] = ()
"""Swapped whole, never changed in place: the hot path reads it once, with no lock."""

_complained: set[int] = set()


def add(*observers: Observer) -> None:
    """Let `observers` be told of every timeout opened from now on."""
    global installed
    installed = (*installed, *observers)


def remove(*observers: Observer) -> None:
    """Stop telling `observers`; timeouts that are open still close with them."""
    global installed
    installed = tuple(kept for kept in installed if all(kept is not gone for gone in observers))
    _complained.difference_update(id(gone) for gone in observers)


def opened(timeout: Timeout, observers: Iterable[Observer] | None = None) -> list[tuple[Observer, Closer]] | None:
    """Tell every observer (or those given) that `timeout` opened; returns who is to be told of its end, in order."""
    closers = []
    for observer in installed if observers is None else observers:
        try:
            closer = observer(timeout)
        except BaseException as exc:
            _complain(observer, exc)
        else:
            if closer is not None:
                closers.append((observer, closer))
    return closers or None


def closed(timeout: Timeout, closers: list[tuple[Observer, Closer]]) -> None:
    """Tell those that `opened` returned that `timeout` closed, the last one first."""
    for observer, closer in reversed(closers):
        try:
            closer(timeout)
        except BaseException as exc:
            _complain(observer, exc)


def _complain(observer: Observer, exc: BaseException) -> None:
    if isinstance(exc, KeyboardInterrupt | SystemExit):
        raise exc  # the user's Ctrl-C, not the observer's fault
    if id(observer) not in _complained:
        _complained.add(id(observer))
        _log.error("observer %r raised and was skipped; not logged again", observer, exc_info=exc)

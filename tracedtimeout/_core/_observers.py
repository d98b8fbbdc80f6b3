"""Observers: told of every timeout, in turn, and kept from doing harm."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ._view import View

_log = logging.getLogger("tracedtimeout")

Closer = Callable[["View"], object]


class Unhurried(partial[object]):
    """A closer that is not called where a timeout is left in time without ceremony, as nearly all are.

    For observers of what goes wrong, which what goes well is to cost next to nothing. Some that completed do call it.
    """

    __slots__ = ()


Closers = list[tuple["Observer", Closer]] | Unhurried
"""The observers to be told of an end, with their closers: a list, or the only closer if it is unhurried."""


class Observer(Protocol):
    """Called with a `View` when a timeout opens; returns what to call with it when it closes, or None.

    Both calls happen in the task that entered the timeout (a rejection opens and closes at once). What either
    raises is logged, once for each observer, and goes no further.
    """

    def __call__(self, timeout: View, /) -> Closer | None: ...


installed: tuple[Observer, ...] = ()
"""Swapped whole, never changed in place: the hot path reads it once, with no lock."""

_swapping = threading.RLock()  # reentrant: a signal's handler may undo what its thread is about to install

_complained: set[int] = set()


def add(*observers: Observer) -> None:
    """Let `observers` be told of every timeout opened from now on."""
    global installed
    with _swapping:
        installed = (*installed, *observers)


def remove(*observers: Observer) -> None:
    """Stop telling `observers`; timeouts that are open still close with them."""
    global installed
    with _swapping:
        installed = tuple(kept for kept in installed if all(kept is not gone for gone in observers))
    _complained.difference_update(id(gone) for gone in observers)


def forget_after_fork() -> None:
    """In the child of a fork: whoever held the lock is not there to let it go."""
    global _swapping
    _swapping = threading.RLock()


def opened(timeout: View) -> Closers | None:
    """Tell every observer that `timeout` opened; returns who is to be told of its end, in order."""
    observers = installed
    if len(observers) != 1:
        return told(timeout, observers)
    try:
        closer = observers[0](timeout)
    except BaseException as exc:
        _complain(observers[0], exc)
        return None
    if closer is None or closer.__class__ is Unhurried:
        return closer  # a list would cost as much as all the rest
    return [(observers[0], closer)]


def told(timeout: View, observers: Iterable[Observer]) -> Closers | None:
    """`opened`, of those given."""
    closers = []
    for observer in observers:
        try:
            closer = observer(timeout)
        except BaseException as exc:
            _complain(observer, exc)
        else:
            if closer is not None:
                closers.append((observer, closer))
    return closers or None


def closed(timeout: View, closers: Closers, *, in_time: bool = False) -> None:
    """Tell those that `opened` returned that `timeout` closed, the last one first."""
    pairs: Sequence[tuple[object, Closer]]
    pairs = [(getattr(closers.func, "__self__", None), closers)] if isinstance(closers, Unhurried) else closers
    for observer, closer in reversed(pairs):
        if in_time and closer.__class__ is Unhurried:
            continue
        try:
            closer(timeout)
        except BaseException as exc:
            _complain(observer, exc)


def _complain(observer: object, exc: BaseException) -> None:
    if isinstance(exc, KeyboardInterrupt | SystemExit):
        raise exc  # the user's Ctrl-C, not the observer's fault
    if id(observer) not in _complained:
        _complained.add(id(observer))
        _log.error("observer %r raised and was skipped; not logged again", observer, exc_info=exc)

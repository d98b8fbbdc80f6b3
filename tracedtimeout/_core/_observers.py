"""Observers: told of every timeout, in turn, and kept from doing harm."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
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


Closers = list[tuple[object, Closer]] | Unhurried
"""The observers to be told of an end, with their closers: a list, or the only closer if it is unhurried."""


class Observer(Protocol):
    """Called with a `View` when a timeout opens; returns what to call with it when it closes, or None.

    Both calls happen in the task that entered the timeout (a rejection opens and closes at once). What either
    raises is logged, once for each observer, and goes no further.
    """

    def __call__(self, timeout: View, /) -> Closer | None: ...


class Noting:
    """An observer that wants one value as a timeout opens, and its end where that is not in time.

    Alone, such an observer is not called as a timeout opens: its `note` is, a function in C, at a fifth of the cost.
    The value that `note` gives is the first argument of `closer`, before the `View`. The observer itself is called
    where there are others, and where `note` is None, raises, or gives an object of another class than `plain`.
    """

    __slots__ = ("closer", "note", "plain")

    def __init__(
        self, closer: Callable[..., object], note: Callable[[], object] | None = None, plain: type[object] = object
    ) -> None:
        self.closer: Callable[..., object] = closer
        self.note: Callable[[], object] | None = note
        self.plain: type[object] = plain


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


Keep = Callable[["View", Closers], None]
"""Called with the observers that were told of an entry that was broken off: they are to be told of the end."""


def opened(timeout: View, keep: Keep) -> Closers | None:
    """Tell every observer that `timeout` opened; returns who is to be told of its end, in order.

    Where an exception that is no observer's breaks this off, `keep` is given those that know of it by then.
    """
    observers = installed
    if len(observers) != 1:
        return told(timeout, observers, keep)
    closer: Closer | None = None
    try:
        closer = observers[0](timeout)
        if closer is None or closer.__class__ is Unhurried:
            return closer  # a list would cost as much as all the rest
        return [(observers[0], closer)]
    except BaseException as exc:
        if closer is not None:
            keep(timeout, [(observers[0], closer)])
            raise
        _complain(observers[0], exc)
        return None


def told(timeout: View, observers: Iterable[Observer], keep: Keep) -> Closers | None:
    """`opened`, of the observers given."""
    closers: list[tuple[object, Closer]] = []
    closer: Closer | None = None
    try:
        for observer in observers:
            closer = _closer_of(observer, timeout)
            if closer is not None:
                # fmt: off
                closers.append((observer, closer)); closer = None  # one step
                # fmt: on
        return closers or None  # noqa: TRY300  # kept, too, where it is this that is broken off
    except BaseException:
        if closer is not None:
            closers.append((observer, closer))
        keep(timeout, closers)
        raise


def _closer_of(observer: Observer, timeout: View) -> Closer | None:
    try:
        return observer(timeout)
    except BaseException as exc:
        _complain(observer, exc)
        return None


def closed(timeout: View, closers: Closers, *, in_time: bool = False) -> None:
    """Tell the observers in `closers` that `timeout` closed, the last one first: each is taken out and told once.

    Ctrl-C in one of them keeps the others from nothing: it is raised when all are told.
    """
    if isinstance(closers, Unhurried):
        if in_time:
            return
        closers = [(getattr(closers.func, "__self__", None), closers)]
    try:
        while closers:
            observer, closer = closers[-1]
            if in_time and closer.__class__ is Unhurried:
                del closers[-1]
                continue
            try:
                closers.pop()[1](timeout)  # one step: whoever was told is not told again
            except BaseException as exc:
                _complain(observer, exc)
    finally:
        if closers:  # it was broken off
            closed(timeout, closers, in_time=in_time)


def _complain(observer: object, exc: BaseException) -> None:
    if isinstance(exc, KeyboardInterrupt | SystemExit):
        raise exc  # the user's Ctrl-C, not the observer's fault
    if id(observer) not in _complained:
        _complained.add(id(observer))
        _log.error("observer %r raised and was skipped; not logged again", observer, exc_info=exc)

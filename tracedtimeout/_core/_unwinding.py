"""The timeouts that have fired and are yet to be left: no lane holds them any more."""

from __future__ import annotations

import contextlib
import weakref
from functools import partial
from itertools import islice
from threading import get_ident
from typing import Any

from ._outcome import Outcome
from .figures._series import Figures

_A_FEW = 8
"""Timeouts at which `count_dropped` looks; else a crowd would be looked at anew each time."""


class UntilLeft(weakref.ref[Any]):
    """A weak reference to a timeout that has fired."""

    __slots__ = ("figures", "key")

    key: int
    """The place of the timeout in memory."""
    figures: Figures | None
    """The figures that count the timeout; None once they have, because it was dropped."""


class Unwinding(dict[int, UntilLeft]):
    """Weak references to the timeouts of one loop that have fired and are yet to be left, by their places in memory.

    A timeout that is dropped in the place of being left is counted by its reference: nobody else can.
    """

    __slots__ = ("here",)

    def __init__(self, here: Any) -> None:
        super().__init__()
        self.here = here
        """The loop's state."""

    def reference(self, timeout: Any) -> UntilLeft:
        """A reference to `timeout`, which is about to fire, yet to be put here."""
        until_left, key = UntilLeft(timeout, self.count), id(timeout)
        until_left.key, until_left.figures = key, timeout._series.figures
        if (broken_off := self.get(key)) is not None:
            self.count(broken_off)  # of another that stood at the same place in memory
        return until_left

    def count(self, reference: UntilLeft) -> None:
        """Count the timeout of `reference`, which was dropped, once, in the thread of its loop while that is open: the
        collector may tell of it in any. What breaks this off leaves it to `count_dropped`."""
        if get_ident() != self.here.thread and self.here.is_open():
            again = partial(self.count, reference)
            self.here.hand_over(again, again)
            return
        if self.get(reference.key) is reference:
            if reference.figures is not None:
                # fmt: off
                reference.figures.record_exit(Outcome.CANCELLED, 0.0, 0.0); reference.figures = None  # one step
                # fmt: on
            del self[reference.key]

    def count_dropped(self) -> None:
        """Count the timeouts that were dropped, and whose count was broken off."""
        with contextlib.suppress(RuntimeError):  # the garbage collector took one out as we looked
            for each in list(islice(self.values(), _A_FEW)):
                if each() is None:
                    self.count(each)

    def has_counted(self, timeout: object) -> bool:
        """True if `timeout`, which fired and is being left, has been counted: the collector tells references first."""
        reference = self.get(id(timeout))
        return reference is None or reference.figures is None

"""The child of a fork: no budget, no open timeout, figures at zero, no lock of ours that is held."""

from __future__ import annotations

import os

from . import _context, _hot_py, _loop, _observers


def _in_child() -> None:
    _context.forget_after_fork()
    _hot_py.forget_after_fork()
    _observers.forget_after_fork()
    _loop.forget_after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_in_child)

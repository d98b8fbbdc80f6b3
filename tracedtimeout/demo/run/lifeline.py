"""The pipe by which a child process knows that it is to end: closed by its parent, or with it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable


def on_parent_gone(callback: Callable[[], object]) -> None:
    """Call `callback`, in a thread, when standard input ends. No signal is needed, and a killed parent ends us too."""
    threading.Thread(target=_watch, args=(sys.stdin.fileno(), callback), daemon=True).start()


def _watch(descriptor: int, callback: Callable[[], object]) -> None:
    while os.read(descriptor, 1024):
        pass
    callback()

"""The page of what the compiled hot path takes of the Python: each by its name here, once, as it is loaded.

What others swap at run time (`current_task`, `inherited`, `installed`) it looks up in the namespace that has it.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio import get_running_loop
from typing import Any

from . import _context, _observers
from ._closers import tell_end
from ._ending import broken_off
from ._entering import announce, beside, completed, counted, place, tell
from ._entering import broken_off as undone
from ._facts import Facts
from ._family import let_go
from ._hot_py import aenter as py_aenter
from ._hot_py import aexit as py_aexit
from ._hot_py import enter as py_enter
from ._hot_py import leave as py_leave
from ._hot_py import left_by as py_left_by
from ._hot_py import timeout as py_timeout
from ._lane import Lane
from ._link import ACTIVE, CREATED, FINISHED, Link
from ._loop import LoopState, tasks
from ._more import More
from ._observers import Noting, Unhurried
from ._spent import added
from .figures._series import NEVER, Series, Varied

context, observers, task_names = vars(_context), vars(_observers), vars(tasks)

usual_asked: Any = tasks.current_task
"""The function asked for the current task, where it looks that up in `current_tasks` and does nothing else."""
owner = getattr(usual_asked, "__self__", None)
current_tasks: Any = owner if type(owner) is dict else getattr(owner, "_current_tasks", None)
"""The dict of tasks by loop: whose `get` 3.11 asks, or that of asyncio's module in C up to 3.13; else None."""

cancelling: Any = asyncio.Task.cancelling
"""Of asyncio's class of tasks: where that is written in C, nobody can replace it."""

monotonic = time.monotonic if "_time_machine" not in sys.modules else None  # that swaps what is inside the function
"""The clock of nearly every loop, where it is what it was built as: it is read without making a float."""

__all__ = [
    "ACTIVE",
    "CREATED",
    "FINISHED",
    "NEVER",
    "Facts",
    "Lane",
    "Link",
    "LoopState",
    "More",
    "Noting",
    "Series",
    "Unhurried",
    "Varied",
    "added",
    "announce",
    "beside",
    "broken_off",
    "cancelling",
    "completed",
    "context",
    "counted",
    "current_tasks",
    "get_running_loop",
    "let_go",
    "monotonic",
    "observers",
    "place",
    "py_aenter",
    "py_aexit",
    "py_enter",
    "py_leave",
    "py_left_by",
    "py_timeout",
    "task_names",
    "tell",
    "tell_end",
    "undone",
    "usual_asked",
]

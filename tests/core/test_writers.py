"""Who writes which field of a link, and that nobody waits for a lock: read off the core's source."""

from __future__ import annotations

import ast
from collections import defaultdict

from tests.support.imports import foreign_attributes, modules
from tracedtimeout._core._facts import Facts
from tracedtimeout._core._link import Link

WRITERS = {
    "_deadline": {"_budget", "_deciding", "_ending", "_entering", "_firing", "_granting", "_hot_py", "_link"},
    "_ended": {"_ending", "_entering", "_granting", "_hot_py"},
    "_fired": {"_entering", "_firing", "_granting", "_hot_py", "_wait_for"},
    "_inner": {"_budget", "_ending", "_entering", "_family", "_granting", "_hot_py"},
    "_lane": {"_entering", "_granting", "_hot_py", "_lane", "_lanes", "_wait_for"},
    "_more": {"_budget", "_entering", "_granting", "_hot_py", "_link"},
    "_owner": {"_budget", "_deciding", "_ending", "_entering", "_firing", "_granting", "_hot_py", "_link"},
    "_parent": {"_budget", "_entering", "_granting", "_hot_py", "_link"},
    "_series": {"_entering", "_granting", "_hot_py"},
    "_spent": {"_budget", "_entering", "_family", "_granting", "_hot_py"},
    "_stamp": {"_budget", "_ending", "_entering", "_firing", "_granting", "_hot_py", "_link", "_timeout", "_wait_for"},
    "_started": {"_budget", "_ending", "_entering", "_granting", "_hot_py", "_reserves", "_timeout"},
    "_state": {"_budget", "_ending", "_entering", "_firing", "_granting", "_hot_py", "_wait_for"},
    "_task": {"_budget", "_ending", "_entering", "_granting", "_hot_py"},
    "_when": {"_budget", "_entering", "_granting", "_hot_py", "_reserves", "_timeout"},
}
"""The modules that write a field. They are listed, so that a new one is a decision; the lists may only shrink.

`_hot_py`, `_entering` and `_granting` enter, `_hot_py` and `_ending` leave, `_firing` fires: each edge of a life has
one writer. A field that an entry fills in, and an exit empties, has both.
"""

TAKING = ("Lock", "Semaphore", "Condition", ".acquire")

LOCKS = {
    "_observers: threading.RLock()": "held by those who add and remove observers",
    "_observers: with _swapping": "as above",
    "_process: threading.RLock()": "held by those who read the figures",
    "_process: with _folding": "as above",
    "_process: _folding.acquire(blocking=False)": "taken by who counts for the process only if nobody has it",
}
"""The locks of the core, and why no timeout waits for one."""

FOREIGN = 3.0
"""Private attributes of other objects that are read or written in a hundred lines. It may only fall."""


def test_a_field_is_written_where_the_table_says() -> None:
    """A link's state has few writers, by name."""
    fields = {*Link.__slots__, *Facts.__slots__}
    writers: dict[str, set[str]] = defaultdict(set)
    for module in modules("_core"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load) and node.attr in fields:
                writers[node.attr].add(module.stem)
    assert writers == WRITERS


def test_nobody_waits_for_a_lock() -> None:
    """The garbage collector may close a coroutine at any line of the core: under a lock, the loop would hang."""
    found = set()
    for module in modules("_core"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                ("Lock", "Semaphore", "Condition", ".acquire")
            ):
                found.add(f"{module.stem}: {ast.unparse(node)}")
            if isinstance(node, ast.withitem) and not isinstance(node.context_expr, ast.Call):
                found.add(f"{module.stem}: with {ast.unparse(node)}")
    assert found == set(LOCKS)


def test_the_modules_of_the_core_keep_their_hands_off_each_other() -> None:
    """Private attributes of other objects are few: a class that was cut up is no module."""
    lines = sum(len(module.read_text().splitlines()) for module in modules("_core"))
    assert foreign_attributes("_core") / lines * 100 < FOREIGN

"""The tree of the timeouts that are open now, gathered from what the core holds for its timers."""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tracedtimeout._core import _where
from tracedtimeout._core._budget import Budget
from tracedtimeout._core._link import Link, earliest
from tracedtimeout._core._open import OPEN, open_timeouts
from tracedtimeout._core._timeout import Timeout

MOST = 200
"""Rows that are gathered: where each one waits takes some 10 us to find, in the loop that serves everybody else."""

INDENT = "  "

BUDGET = "budget"
"""The kind of a bare budget: it is shown around what is open, and is no timeout itself."""


def _started(link: Any) -> float:
    return link._started_at()  # type: ignore[no-any-return]  # a float


@dataclass(frozen=True, slots=True)
class Node:
    """One open timeout or budget; its children follow, a level deeper."""

    key: str
    """Identifies the row for as long as the timeout is open."""
    name: str
    kind: str
    depth: int
    owner: str
    elapsed: float
    limit: float
    """Seconds from entry to the deadline in force now; ``inf`` with none."""
    requested: float | None
    """The seconds in the code, where configuration has another limit; else None."""
    where: str
    unwinding: float | None = None
    """Seconds since the timeout fired, if its body has not ended yet; else None."""

    @property
    def used(self) -> float:
        """The share of the limit that has passed, 1.0 at most; 0.0 with no limit."""
        return min(1.0, self.elapsed / self.limit) if self.limit > 0.0 else 1.0


@dataclass(frozen=True, slots=True)
class Tree:
    """The open deadlines: `nodes` in the order of the tree, the oldest first, and how many more there are."""

    nodes: tuple[Node, ...]
    hidden: int


def gather(most: int = MOST) -> Tree:
    """The timeouts open now, on every loop of the process. Safe in any thread; those that end meanwhile are not in it.

    Of more than `most` the oldest are chosen before anything else is asked of them: 100,000 open ones cost 30 ms.
    """
    found = open_timeouts()
    below: dict[Link | None, list[Link]] = {}
    parents: dict[Link, Link | None] = {}
    for oldest in heapq.nsmallest(most, found, key=_started):
        _climb(oldest, parents)
    for link, parent in sorted(parents.items(), key=lambda pair: pair[0]._started_at()):
        below.setdefault(parent, []).append(link)
    nodes: list[Node] = []
    waiting = [(link, 0) for link in reversed(below.get(None, []))]
    while waiting and len(nodes) < most:
        link, depth = waiting.pop()
        waiting += [(inner, depth + 1) for inner in reversed(below.get(link, []))]
        if (node := _node(link, depth)) is not None:
            nodes.append(node)
    hidden = len(found) - sum(node.kind != BUDGET for node in nodes)
    return Tree(tuple(nodes), max(0, hidden) if waiting or len(found) > most else 0)


def text(tree: Tree) -> str:
    """The tree in lines, for a terminal or a log."""
    count = len(tree.nodes) + tree.hidden
    lines = [f"{count} timeout{'' if count == 1 else 's'} in flight in process {os.getpid()}"]
    lines += [printable(INDENT * (node.depth + 1) + _line(node)) for node in tree.nodes]
    if tree.hidden:
        lines.append(f"{INDENT}and {tree.hidden} more")
    return "\n".join(lines) + "\n"


def printable(words: str) -> str:
    """`words` with no character that would steer a terminal."""
    return "".join(character if character.isprintable() else "?" for character in words)


def _line(node: Node) -> str:
    code = f" ({node.requested:.3f} s in the code)" if node.requested is not None else ""
    limit = f" of {node.limit:.3f} s{code}, {node.used:.0%}" if node.limit < math.inf else " s of no limit"
    owner = f", deadline of {node.owner}" if node.owner not in ("", node.name) else ""
    expired = f", expired, not yet left for {node.unwinding:.3f} s" if node.unwinding is not None else ""
    where = f", waiting at {node.where}" if node.where else ""
    return f"{node.name}: {node.elapsed:.3f}{limit}{owner}{expired}{where}"


def _climb(link: Link | None, parents: dict[Link, Link | None]) -> None:
    """Note `link` and all that enclose it, each with the one that it is shown beneath."""
    while link is not None and link not in parents:
        outer = link._parent
        while outer is not None and not _is_shown(outer):
            outer = outer._parent
        parents[link] = outer
        link = outer


def _is_shown(link: Link) -> bool:
    """True if `link` is open, and does not merely stand for a deadline of OpenTelemetry's context."""
    return link._state in OPEN and not (isinstance(link, Budget) and link._when == math.inf)


def _node(link: Link, depth: int) -> Node | None:
    here = link._here
    stopwatch: Callable[[], float] = getattr(here, "stopwatch", here.clock)
    now = stopwatch()
    started = link._started_at()
    elapsed = max(0.0, now - started)
    limit, owner, fired_at = _granted(link, elapsed)
    where = _waiting(getattr(link, "_task", None))
    if link._state not in OPEN:  # it was left meanwhile, in another thread
        return None
    return Node(
        key=f"{hash((id(link), started)) & 0xFFFFFFFFFF:x}",
        name=link.name,
        kind=getattr(link, "kind", BUDGET),
        depth=depth,
        owner=owner,
        elapsed=elapsed,
        limit=limit,
        requested=getattr(link._more, "said", None),  # closers have none
        where=where,
        unwinding=None if fired_at is None else max(0.0, now - fired_at),
    )


def _granted(link: Link, elapsed: float) -> tuple[float, str, float | None]:
    """Seconds from entry to the deadline in force, or the one that fired; whose it is; when that was."""
    if isinstance(link, Timeout) and (fired := link._fired) is not None:
        return link.limit, fired.owner, fired.at
    when, owner = earliest(link, link._here)
    return max(0.0, elapsed + when - link._here.clock()), "" if owner is None else owner.name, None


def _waiting(task: Any) -> str:
    """The place where `task` waits, in code that is not an installed package's if there is any."""
    found = [] if task is None else _where.places(task)
    own = [place for place in found if not place.code.co_filename.startswith(_where._SITE)]
    return str(_where.innermost(own, "") or _where.innermost(found, "") or "")

"""The time that the timeouts inside another took: seconds and counts by name, and those that are unfinished."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ._exceeded import Spent
from .figures._metrics import OTHER

MOST = 64
"""Names that are told apart; the rest are ``_OTHER``, so that a long-lived timeout learns no more than that."""

_ROUNDING = 1e-6

Raw = tuple[str, float] | dict[str, Any] | None
"""The record that a link keeps of those inside it: the only one that was left, or `_Cell` by name."""


class _Cell:
    """The timeouts of one name. `seconds` counts time once in which several of them ran side by side."""

    __slots__ = ("at_once", "beside", "count", "seconds", "since", "until")

    def __init__(self) -> None:
        self.seconds, self.count, self.at_once, self.beside = 0.0, 0, 1, 1
        self.since = self.until = -math.inf
        """The last stretch of time in which one or more of another task's ran."""

    def copy(self) -> _Cell:
        copy = _Cell()
        copy.seconds, copy.count, copy.at_once = self.seconds, self.count, self.at_once
        return copy


def added(spent: Raw, name: str, seconds: float) -> Raw:
    """`spent` with the `seconds` of one more, in the task's own."""
    if spent is None:
        return name, seconds
    cell = _cell(spent := _by_name(spent), name)
    cell.seconds += seconds
    cell.count += 1
    return spent


def added_beside(spent: Raw, name: str, seconds: float, until: float) -> Raw:
    """`spent` with the `seconds` of one in another task, which was left at `until`."""
    if spent.__class__ is not dict or (cell := spent.get(name)) is None:
        cell = _cell(spent := _by_name(spent), name)
    since = until - seconds
    cell.count += 1
    if since >= cell.until:
        cell.seconds += seconds
        cell.since, cell.beside = since, 1
    else:
        begin = min(since, cell.since)
        cell.seconds += (until - begin) - (cell.until - cell.since)
        cell.since = begin
        cell.beside += 1
        cell.at_once = max(cell.at_once, cell.beside)
    cell.until = until
    return spent


def merged(spent: Raw, more: Raw, until: float | None) -> Raw:
    """Both together. `more` was in another task, which was left `until` then; None if in the task's own."""
    if more is None or (spent is None and until is None):
        return spent or more
    for name, its in _by_name(more).items():
        spent = added(spent, name, its.seconds) if until is None else added_beside(spent, name, its.seconds, until)
        cell = _cell(spent := _by_name(spent), name)
        cell.count += its.count - 1
        cell.at_once = max(cell.at_once, its.at_once)
    return spent


def frozen(spent: Raw) -> Raw:
    """A copy that does not change any more."""
    if spent.__class__ is not dict:
        return spent
    return {name: cell.copy() for name, cell in list(spent.items())}


def told(spent: Raw, unfinished: Iterable[tuple[str, float]] = (), *, within: float = math.inf) -> tuple[Spent, ...]:
    """`spent` as users read it, longest first, and then the `unfinished`, by name and the seconds so far.

    Those of a name took no longer than all of it, which is `within`: nobody notes when what is the task's own ran, and
    what ran beside it is added.
    """
    finished = [
        Spent(name, _in(cell.seconds, within), cell.count, at_once=cell.at_once)
        for name, cell in list(_by_name(spent).items())
    ]
    finished.sort(key=_seconds, reverse=True)
    by_name: dict[str, Spent] = {}
    for name, seconds in unfinished:
        key = name if name in by_name or len(by_name) < MOST else OTHER
        before = by_name.get(key, Spent(key, 0.0, 0, unfinished=True, at_once=0))
        longest = max(before.seconds, seconds)
        by_name[key] = before._replace(seconds=longest, count=before.count + 1, at_once=before.at_once + 1)
    return (*finished, *sorted(by_name.values(), key=_seconds, reverse=True))


def _by_name(spent: Raw) -> dict[str, Any]:
    if isinstance(spent, dict):
        return spent
    cells: dict[str, Any] = {}
    if spent is not None:
        name, seconds = spent
        cell = cells[name] = _Cell()
        cell.seconds, cell.count = seconds, 1
    return cells


def _cell(cells: dict[str, Any], name: str) -> _Cell:
    cell: _Cell | None = cells.get(name)
    if cell is None:
        if len(cells) >= MOST:
            name = OTHER
            cell = cells.get(name)
        if cell is None:
            cell = cells[name] = _Cell()
    return cell


def _in(seconds: float, within: float) -> float:
    """`seconds` from 0 to `within`, but for rounding errors."""
    return max(0.0, seconds) if seconds <= within + _ROUNDING else within


def _seconds(spent: Spent) -> float:
    return spent.seconds

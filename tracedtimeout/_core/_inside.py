"""What is and was open inside a timeout: those nested in it, in its own task or others, and what the finished took.

In its own task there is one at a time (`_inner`), in others any number (`adopted`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._outcome import Spent

if TYPE_CHECKING:
    from ._timeout import Timeout

NOTHING = (0.0, 0)


def extend_inside(moved: Timeout) -> None:
    """Have what is open beneath `moved` look at its deadline again, each on its loop: it may be another."""
    inside = [moved]
    for each in inside:
        details = each._extend()
        for child in list(details.adopted or ()):
            if child._here is moved._here:
                inside.append(child)
            else:
                child._here.soon(extend_inside, child)
        if (inner := each._inner) is not None:
            inside.append(inner)


def spent_of(self: Timeout) -> tuple[Spent, ...]:
    """What nested timeouts took: as it stood when the deadline fired, else as it stands."""
    if self._expiry is not None and self._expiry.spent:
        return self._expiry.spent
    finished = [Spent(name, seconds, int(count)) for name, (seconds, count) in list(spent_by_name(self).items())]
    return tuple(sorted(finished, key=_seconds, reverse=True))


def unfinished_of(self: Timeout) -> tuple[Spent, ...]:
    """What the timeouts now open directly inside `self` have taken so far."""
    open_ones = [] if self._details is None else list(self._details.adopted or ())
    if (inner := self._inner) is not None:
        open_ones.append(inner)
    by_name: dict[str, Spent] = {}
    for each in open_ones:
        before = by_name.get(each.name, Spent(each.name, 0.0, 0))
        by_name[each.name] = Spent(each.name, before.seconds + each.elapsed, before.count + 1, True)
    return tuple(sorted(by_name.values(), key=_seconds, reverse=True))


def add_spent(outer: Timeout, name: str, seconds: float) -> None:
    """Add what one nested in `outer` took."""
    spent = outer._spent
    if not isinstance(spent, dict):
        outer._spent = spent = spent_by_name(outer)
    before, count = spent.get(name, NOTHING)
    spent[name] = (before + seconds, count + 1)


def spent_by_name(outer: Timeout) -> dict[str, tuple[float, int]]:
    """Seconds and count of what finished in `outer`; not to be changed by the caller, but by `add_spent`."""
    spent = outer._spent
    if isinstance(spent, dict):
        return spent
    return {} if spent is None else {spent[0]: (spent[1], 1)}


def _seconds(spent: Spent) -> float:
    return spent.seconds

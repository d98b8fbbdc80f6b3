"""The time that nested timeouts took: added up by name, once where several ran side by side."""

from __future__ import annotations

from tracedtimeout import Spent
from tracedtimeout._core._spent import MOST, Raw, added, added_beside, frozen, merged, told


def beside(*spans: tuple[float, float]) -> Raw:
    """Timeouts of other tasks, from one instant to another each, in the order in which they are left."""
    spent: Raw = None
    for since, until in spans:
        spent = added_beside(spent, "q", until - since, until)
    return spent


def named(count: int, seconds: float = 1.0) -> Raw:
    spent: Raw = None
    for number in range(count):
        spent = added(spent, f"name {number}", seconds)
    return spent


def test_one_after_another_adds_up() -> None:
    """Seconds and counts of a name are sums; the longest comes first."""
    spent = added(added(added(None, "a", 1.0), "b", 4.0), "a", 2.0)
    assert told(spent) == (Spent("b", 4.0, 1), Spent("a", 3.0, 2))


def test_the_only_one_is_kept_as_it_is() -> None:
    """One that is alone, in its own task, is a name and its seconds."""
    assert told(added(None, "a", 1.0)) == (Spent("a", 1.0, 1),)


def test_time_side_by_side_is_counted_once() -> None:
    """Of those that overlap, the time from the first's beginning to the last's end; what comes later is added."""
    assert told(beside((1.0, 2.0), (1.5, 2.5), (3.0, 4.0))) == (Spent("q", 2.5, 3, at_once=2),)
    assert told(beside((1.0, 2.0), (0.5, 2.5), (0.75, 3.0))) == (Spent("q", 2.5, 3, at_once=3),)
    assert told(beside((1.0, 2.0), (2.0, 3.0))) == (Spent("q", 2.0, 2, at_once=1),)


def test_those_of_a_task_and_beside_it_are_one_name() -> None:
    """Its own task's are added to those of others, and the other way round."""
    assert told(added_beside(added(None, "q", 1.0), "q", 2.0, 9.0)) == (Spent("q", 3.0, 2, at_once=1),)
    assert told(added(beside((1.0, 2.0), (1.0, 3.0)), "q", 1.0)) == (Spent("q", 3.0, 3, at_once=2),)


def test_what_is_merged_is_the_sum() -> None:
    """What a budget's children took is its parent's: nothing and something is something."""
    one, other = added(None, "q", 1.0), beside((1.0, 2.0), (1.0, 3.0))
    assert (merged(None, one, None), merged(one, None, None), merged(None, None, 3.0)) == (one, one, None)
    assert merged(one, None, 3.0) is one
    assert told(merged(one, other, None)) == (Spent("q", 3.0, 3, at_once=2),)


def test_what_is_merged_from_beside_is_counted_once() -> None:
    """Budgets of other tasks, which were left at the same time, or one before the other began."""
    first, other = added(added(None, "q", 1.0), "q", 1.5), added(None, "q", 2.0)
    spent = merged(merged(None, first, 5.0), other, 5.0)
    assert told(spent) == (Spent("q", 2.5, 3, at_once=2),)
    assert told(merged(spent, beside((6.0, 7.0), (6.0, 7.0), (6.0, 7.0)), 7.0)) == (Spent("q", 3.5, 6, at_once=3),)


def test_what_is_frozen_does_not_change() -> None:
    """A copy says what was so then, of one and of many."""
    spent = beside((1.0, 2.0), (1.0, 3.0))
    then = frozen(spent)
    added(spent, "q", 5.0)
    assert told(then) == (Spent("q", 2.0, 2, at_once=2),)
    assert frozen(added(None, "a", 1.0)) == added(None, "a", 1.0)


def test_few_names_are_told_apart() -> None:
    """As many as may be; those after them are one, finished and unfinished alike."""
    assert [each.name for each in told(named(MOST))] == [f"name {number}" for number in range(MOST)]
    assert told(named(MOST + 2))[0] == Spent("_OTHER", 2.0, 2)
    unfinished = told(None, ((f"name {number}", 1.0) for number in range(MOST + 2)))
    assert len(unfinished) == MOST + 1
    assert unfinished[-1] == Spent("_OTHER", 1.0, 2, unfinished=True, at_once=2)


def test_the_unfinished_come_last() -> None:
    """Each name with how many there are, and the seconds of that which has run for longest."""
    assert told(added(None, "a", 1.0), [("b", 2.0), ("c", 3.0), ("b", 1.0)]) == (
        Spent("a", 1.0, 1),
        Spent("c", 3.0, 1, unfinished=True),
        Spent("b", 2.0, 2, unfinished=True, at_once=2),
    )

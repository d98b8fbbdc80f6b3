"""A timeout as an object: copied, pickled, left twice, moved with a reserve."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from tests.support import running_loop
from tracedtimeout import Timeout, remaining, timeout, timeout_at

pytestmark = pytest.mark.loops("virtual")

COPIES: list[Callable[[Timeout], Timeout]] = [copy.copy, lambda each: pickle.loads(pickle.dumps(each))]  # noqa: S301  # ours


@pytest.mark.parametrize("copied", COPIES, ids=["copy", "pickle"])
async def test_a_copy_is_another_timeout_of_the_same_deadline(copied: Callable[[Timeout], Timeout]) -> None:
    """Name, deadline and options are the same; each is entered by itself."""
    first = timeout_at(4.0, name="first", reserve=1.0)
    second = copied(first)
    async with timeout(3.0), first:
        assert (first.when(), second.when(), second.name) == (2.0, 4.0, "first")
        async with second:
            assert second.when() == 1.0
    assert repr(second) == "<Timeout [finished]>"


@pytest.mark.parametrize("copied", COPIES, ids=["copy", "pickle"])
async def test_what_was_entered_is_not_copied(copied: Callable[[Timeout], Timeout]) -> None:
    """There is one task that it guards."""
    async with timeout(1.0) as entered:
        with pytest.raises(TypeError, match="cannot copy or pickle a Timeout that is active"):
            copied(entered)
    with pytest.raises(TypeError, match="cannot copy or pickle a Timeout that is finished"):
        copied(entered)


async def test_a_second_exit_is_an_assertion_error() -> None:
    """As asyncio's, whatever the first was."""
    left = timeout(1.0)
    async with left:
        pass
    for error in (None, ValueError("again")):
        with pytest.raises(AssertionError, match="finished cannot be left"):
            await left.__aexit__(None if error is None else type(error), error, None)


async def test_who_is_moved_has_no_reserve_any_more() -> None:
    """Its deadline is then what it was moved to, whatever becomes of that around it."""
    async with timeout(9.0) as outer, timeout(None, reserve=2.0) as inner:
        assert remaining() == 7.0
        inner.reschedule(running_loop().time() + 8.0)
        outer.reschedule(running_loop().time() + 20.0)
        assert (inner.when(), remaining()) == (8.0, 8.0)

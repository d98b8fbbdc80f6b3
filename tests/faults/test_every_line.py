"""Any line may raise, and the collector may run at any line: nothing is left but what asyncio leaves too."""

from __future__ import annotations

import os
from collections import Counter
from typing import cast

import pytest

from .batch import Often, Report, run
from .scenes import SCENES
from .trial import How

OFTEN = cast(Often, os.environ.get("TRACEDTIMEOUT_FAULTS", "few"))
"""``twice`` and ``always`` strike more often, and take minutes: see `batch`."""

GONE_ON = "the exception is lost"
"""A MemoryError is, while facts are taken: an expiry goes on without them, for the task must be cancelled all the same.
(30 of 1110 strikes: few, on 3.13, all of them of `waiting_in_vain`.)"""


@pytest.mark.parametrize("how", ["interrupt", "memory", "collect", "elsewhere"])
def test_what_strikes_at_any_line_leaves_nothing(how: How) -> None:
    """After an exception or a collection at a line, no timeout is kept, nobody is cancelled from nowhere, later
    timeouts fire on time, the loop sleeps, `active` is as it was, and the exception raised is the one that struck.

    The instant of a call is open to exceptions, as it is in asyncio: what asyncio leaves there may be left there.
    """
    found = left(run("ours", how, tuple(SCENES), often=OFTEN), open_at_calls(how))
    if how == "memory":
        found.pop(GONE_ON, None)
    assert found == {}


def open_at_calls(how: How) -> set[str]:
    """What an exception at the first line of a call leaves with asyncio; and a timeout whose exit never ran is open."""
    if how not in ("interrupt", "memory"):
        return set()
    theirs = run("asyncio", "interrupt", ("completing", "expiring", "inherited"), often="twice")
    return {"active is off"}.union(*(report.at_calls for report in theirs))


def left(reports: list[Report], open_to_all: set[str]) -> dict[str, str]:
    """What was left that should not be, with how often and an example."""
    found: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for report in reports:
        found.update(report.within)
        found.update({what: times for what, times in report.at_calls.items() if what not in open_to_all})
        examples = {what: f"{report.scene}, {line}" for what, line in report.examples.items()} | examples
    return {what: f"{times} x, as in {examples[what]}" for what, times in found.items()}

"""Whatever strikes at a line around the core, the program sees its own result or what struck, and nothing is left."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.batch import Report

from .batch import run
from .rooms import ROOMS
from .trial import How

AT_CALLS = {
    "active is off",
    "a deadline is in force",
    "a stray cancellation",
    "a timeout is kept after its deadline",
    "another span is current",
    "cancelling() is not 0",
    "spans are open",
    "the interrupt is lost",
    "the program sees something else",
}
"""What may be left at the first line of an exit, of which nothing has run then: what asyncio leaves there, and what
stands for it in telemetry."""


def left(reports: list[Report]) -> dict[str, str]:
    """What was left that should not be, with how often and an example."""
    found: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for report in reports:
        found.update(report.within)
        found.update({what: times for what, times in report.at_calls.items() if what.split(":")[0] not in AT_CALLS})
        examples = {what: f"{report.scene}, {line}" for what, line in report.examples.items()} | examples
    return {what: f"{times} x, as in {examples.get(what)}" for what, times in found.items()}


def test_an_interrupt_while_observers_are_told_leaves_no_span() -> None:
    """Ctrl-C comes out, and every span is ended, every context put back, every count right."""
    reports = run("interrupt", ["observers"])
    assert sum(report.events for report in reports) > 100
    assert left(reports) == {}


def test_a_half_install_is_undone_and_done_again() -> None:
    """Broken off at any line, `install()` and its undoing leave all in place or nothing, and work the next time."""
    reports = run("error", ["installing.replacing"])
    assert sum(report.events for report in reports) > 100
    assert left(reports) == {}


def test_what_strikes_behind_a_door_leaves_no_request() -> None:
    """Ctrl-C at any line of the ASGI middleware comes out, and the request is neither open nor binding."""
    reports = run("interrupt", ["doors.stuck_2"])
    assert sum(report.events for report in reports) > 100
    assert left(reports) == {}


def test_what_strikes_in_a_call_leaves_none() -> None:
    """The same for the doors of gRPC's server and of aiohttp's client: no call, no connection."""
    reports = run("interrupt", ["grpc.serving_streams", "aiohttp.fetching_stuck_1"])
    assert sum(report.events for report in reports) > 200
    assert left(reports) == {}


@pytest.mark.long
def test_what_strikes_as_a_504_is_sent_cancels_nobody() -> None:
    """At the last time, too, that a line is come to: as the 504 has been taken, and its patience is to be left."""
    reports = run("interrupt", ["doors.stuck_2"], often="twice")
    assert sum(report.events for report in reports) > 300
    assert left(reports) == {}


@pytest.mark.long
@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("how", ["error", "memory", "interrupt"])
def test_what_strikes_at_any_line_leaves_nothing(room: str, how: How) -> None:
    """In every room, at every line: nothing open is left, later work does what it did before, errors of telemetry are
    logged once and do not come out."""
    reports = run(how, [room])
    assert sum(report.events for report in reports) > 50
    assert left(reports) == {}

"""Half a minute of what a service goes through: nothing is lost, nothing stays, and an idle loop sleeps."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .crowd import crowd, storm
from .soak import soak

SECONDS = float(os.environ.get("TRACEDTIMEOUT_SOAK", "20"))
OPEN = int(os.environ.get("TRACEDTIMEOUT_OPEN", "100000"))

WAKES = 30.0
"""Turns a second by which idle loops may differ: a busy machine has fewer. A loop that spins has thousands."""


@pytest.mark.long
@pytest.mark.slow
async def test_what_is_counted_is_what_was_sent(tmp_path: Path) -> None:
    """Under mixed traffic, with disconnects, scrapes and workers replaced, the counts are those of the load's ledger,
    nothing stays open, and the loop of an idle worker turns as often as before. Real servers on the real clock."""
    report = await soak(SECONDS, tmp_path, clients=8, restarts=3)
    assert report.requests > 100
    assert (report.differences(), report.faults, report.active) == ({}, [], 0)
    assert report.moves[0] == report.moves[1]
    assert report.turns[1] <= report.turns[0] + WAKES


@pytest.mark.long
@pytest.mark.slow
async def test_workers_that_end_without_a_word_are_found(tmp_path: Path) -> None:
    """The ledger shows what is lost of the last second of a worker: a fault that is planted. As above."""
    report = await soak(3.0, tmp_path, clients=8, restarts=2, service="tests.soak.planted")
    assert report.differences() != {}
    assert all(counted <= sent for sent, counted in report.differences().values())


def test_a_crowd_is_counted_to_the_last_and_leaves_nothing() -> None:
    """A hundred thousand at once, of fifty limits: a third completes, a third is moved and expires, a third is
    cancelled."""
    seen = crowd(OPEN)
    ends = {"completed": len(range(0, OPEN, 3)), "expired": len(range(1, OPEN, 3)), "cancelled": len(range(2, OPEN, 3))}
    assert (seen.outcomes, seen.active, seen.left_over) == (ends, 0, 0)


def test_a_storm_leaves_a_bystander_his_turn() -> None:
    """Ten thousand that expire in one tick are served in one turn of the loop, as asyncio serves them; no bystander
    waits for more."""
    seen = storm(10_000)
    assert seen.counted == 10_000
    assert seen.between["ours"] <= seen.between["asyncio"]

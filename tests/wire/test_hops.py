"""A deadline through three processes: none outlives the first, and each knows whose it was."""

from __future__ import annotations

from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.services.chain import Chain, Told, chain
from tests.services.hop import Ended
from tests.support import missing

pytestmark = pytest.mark.slow  # three processes, and a deadline that passes on the clock they have in common

LIMIT = 1.0
MOST_TRANSIT = 0.1
"""Seconds on its way for which a hop makes up; what takes longer lengthens the deadline, since clocks may differ."""
CARRIERS = ("http", "grpc")
NAMES = {"http": "GET /work", "grpc": "chain.Hop/Work"}


def verdict(ended: Ended) -> tuple[str, str, str]:
    return ended.name, ended.outcome, ended.owner


def counted(told: Told, name: str) -> list[str]:
    """Whose deadlines ended `name`, as its metrics say."""
    return [line.partition('owner="')[2].partition('"')[0] for line in told.interruptions if f'"{name}"' in line]


def not_later(ended: Ended, first: float) -> bool:
    """Whether its deadline is not later than the first one, save for a transit that could not be made up for."""
    return ended.deadline <= first + max(0.0, ended.begun - (first - LIMIT) - MOST_TRANSIT)


async def expired(made: Chain, *hops: str) -> tuple[float, list[Told]]:
    """The first process's deadline, once it has passed, and what those hops tell.

    A hop whose processor is too busy to run its timer in time is cancelled by the one before: then all are asked again.
    """
    for _ in range(40):
        deadline = await made.expire(LIMIT)
        told = [await made.told_once_ended(hop) for hop in hops]
        if all(each.outcome != "cancelled" for hop in told for each in hop.ended):
            break
    return deadline, told


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_deadline_ends_all_three(tmp_path: Path, carrier: str) -> None:
    """When the first deadline passes every hop has ended by it, and says, in metrics too, that it was its caller's; no
    deadline is later than the one it came from."""
    async with chain(tmp_path, carrier) as made:
        first, (middle, last) = await expired(made, made.middle, made.last)
    name = NAMES[carrier]
    assert [verdict(each) for each in middle.ended + last.ended] == [(name, "inherited", "_remote")] * 2
    assert [counted(middle, name), counted(last, name)] == [["_remote"]] * 2
    assert [not_later(each, first) for each in middle.ended + last.ended] == [True, True]


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_a_hop_with_nothing_of_ours(tmp_path: Path, carrier: str) -> None:
    """A hop that only OpenTelemetry instruments passes the deadline on: the last one ends by it as before."""
    if not entry_points(group="opentelemetry_propagator", name="deadline"):
        missing("the installed package", "pip install -e .")
    for package in ("asgi", "httpx", "grpc"):
        if find_spec(f"opentelemetry.instrumentation.{package}") is None:
            missing(
                f"OpenTelemetry's {package} instrumentation", f"pip install opentelemetry-instrumentation-{package}"
            )
    async with chain(tmp_path, carrier, "tests.services.carrier") as made:
        first, (last,) = await expired(made, made.last)
    assert [verdict(each) for each in last.ended] == [(NAMES[carrier], "inherited", "_remote")]
    assert counted(last, NAMES[carrier]) == ["_remote"]
    assert not_later(last.ended[0], first)

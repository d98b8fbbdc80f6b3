"""The testing kit without pytest's plugin: what opened and closed, expiries on demand, headers, no telemetry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tracedtimeout import DeadlineExceeded, install, timeout, wait_for, with_timeout
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout.propagation import GRPC_TIMEOUT, outgoing
from tracedtimeout.testing import Timeouts, deadline_headers, expire, granted, no_telemetry, recorded, run


async def quick(name: str, seconds: float = 1.0, *, takes: float = 0.0) -> None:
    async with timeout(seconds, name=name):
        await asyncio.sleep(takes)


async def nested() -> None:
    async with timeout(1.0, name="outer"):
        await quick("inner", 0.5)
        await quick("inner", 5.0, takes=9.0)


def test_what_opened_and_closed_is_kept_in_order() -> None:
    """Outcomes, owners and budgets are lists to compare, by name or of all."""
    with recorded() as seen, pytest.raises(TimeoutError):
        run(nested())
    assert seen.outcomes() == ["completed", "inherited", "expired"]
    assert (seen.outcomes("inner"), seen.owners("inner")) == (["completed", "inherited"], ["inner", "outer"])
    assert (seen.budgets(), seen.budgets("outer")) == ([1.0, 0.5, 1.0], [1.0])
    assert (seen.expired(), seen.expired("outer"), seen.expired("inner"), seen.opened()) == (1, 1, 0, 3)
    assert [(each.name, each.elapsed) for each in seen.closed()] == [("inner", 0.0), ("inner", 1.0), ("outer", 1.0)]
    assert repr(seen) == "<Timeouts: inner completed, inner inherited, outer expired>"


def test_what_is_open_is_told() -> None:
    """A timeout that was entered and not left is open, and not closed; after the block nothing is kept."""

    async def main() -> Timeouts:
        with recorded() as seen:
            async with timeout(1.0, name="work"):
                assert (seen.open(), seen.open("other"), seen.closed()) == (["work"], [], [])
            assert (seen.open(), seen.outcomes()) == ([], ["completed"])
        await quick("later")
        return seen

    assert run(main()).opened() == 1


async def by_timeout() -> None:
    async with timeout(2.0, name="fetch"):
        await asyncio.sleep(0)
        pytest.fail("not cancelled")


async def by_wait_for() -> None:
    await wait_for(asyncio.sleep(1), timeout=2.0, name="fetch")


@with_timeout(2.0, name="fetch")
async def by_decorator() -> None:
    await asyncio.sleep(1)


@pytest.mark.parametrize("fetch", [by_timeout, by_wait_for, by_decorator], ids=lambda function: str(function.__name__))
def test_a_timeout_is_made_to_expire(fetch: Callable[[], Awaitable[None]]) -> None:
    """It fires at its next await, in no time, with its own limit in the message, and is counted as an expiry."""

    async def main() -> float:
        with pytest.raises(DeadlineExceeded, match=r"'fetch' exceeded its 2.000 s deadline after .*0.*s"):
            await fetch()
        return asyncio.get_running_loop().time()

    with expire("fetch") as expiring, recorded() as seen:
        assert run(main()) == 0.0
        run(quick("other"))
    assert (seen.expired("fetch"), seen.owners("fetch"), expiring.count) == (1, ["fetch"], 1)
    assert seen.outcomes("other") == ["completed"]
    assert _process.snapshot()[_metrics.EXPIRATIONS]["fetch", "expired"] == 1


def test_one_that_is_open_is_made_to_expire() -> None:
    """Those that were entered before `expire` fire as those after it do."""

    async def main() -> None:
        async with timeout(1.0, name="outer"):
            with pytest.raises(DeadlineExceeded):
                async with timeout(5.0, name="fetch"):
                    with expire("fetch"):
                        await asyncio.sleep(0.5)

    run(main())


def test_so_many_are_made_to_expire() -> None:
    """With `times=1` the first attempt expires and the second completes; after the block none does."""

    async def main() -> None:
        with expire("fetch", times=1):
            for _ in range(3):
                try:
                    await quick("fetch")
                except TimeoutError:
                    continue
        await quick("fetch")

    with recorded() as seen:
        run(main())
    assert seen.outcomes() == ["expired", "completed", "completed", "completed"]


def test_what_cannot_fire_completes() -> None:
    """A body that does not await, and a timeout without a deadline of its own, are not made to expire."""

    async def main() -> None:
        async with timeout(1.0, name="fetch"):
            pass
        async with timeout(None, name="fetch"):
            await asyncio.sleep(1)

    with expire("fetch"), recorded() as seen:
        run(main())
    assert seen.outcomes() == ["completed", "completed"]


def test_a_shortened_timeout_made_to_expire_is_its_own() -> None:
    """Beneath an earlier deadline, it still is the one that expired."""

    async def main() -> None:
        async with timeout(1.0, name="outer"):
            with pytest.raises(DeadlineExceeded) as raised:
                await quick("fetch", 5.0, takes=0.5)
            assert raised.value.owner == "fetch"
            await asyncio.sleep(0.5)

    with expire("fetch"), recorded() as seen:
        run(main())
    assert seen.outcomes() == ["expired", "completed"]


def test_headers_are_exact() -> None:
    """What a header was made of is read off it; several grant the least; a bare request grants nothing."""
    assert deadline_headers(1.5) == {"deadline-budget": "1500"}
    assert granted(deadline_headers(0.25, header=GRPC_TIMEOUT)) == 0.25
    assert (
        granted([(b"Deadline-Budget", b"700;sent=1763823600123"), (b"grpc-timeout", b"1S"), (b"host", b"shop")]) == 0.7
    )
    assert granted(outgoing(2.0)) == 2.0
    assert (granted({}), granted({"host": "shop"})) == (None, None)
    with pytest.raises(ValueError, match="malformed"):
        granted({"deadline-budget": "soon"})


def test_without_telemetry_an_installation_rests() -> None:
    """Its observers are told nothing meanwhile, and everything again afterwards; one made meanwhile is none."""
    told: list[str] = []
    undo = install(observers=[lambda view: told.append(view.name)], spans="off", registry=None)
    try:
        with no_telemetry(), recorded() as seen:
            install(observers=[lambda view: told.append("wrong")], spans="off", registry=None)()
            run(quick("quiet"))
        run(quick("loud"))
    finally:
        undo()
    run(quick("undone"))
    assert (told, seen.outcomes()) == (["loud"], ["completed"])

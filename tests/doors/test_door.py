"""`Door`: one public base for the doors of requests, queues and jobs."""

from __future__ import annotations

import asyncio
import math
import time
from types import SimpleNamespace
from typing import Any

import pytest

from tests.services.asgi_servers import figures
from tracedtimeout import DeadlineExceeded, View, remaining, timeout
from tracedtimeout._core.figures._metrics import REJECTIONS
from tracedtimeout.integrations.door import Door
from tracedtimeout.propagation import _received
from tracedtimeout.testing import run

CARRIERS: list[Any] = [
    {"deadline-budget": "1500"},
    {b"Deadline-Budget": b"1500"},
    [(b"deadline-budget", bytearray(b"1500"))],
    [[bytearray(b"deadline-budget"), b"1500"], ("other", None)],
]


async def served(door: Door, carrier: Any, seconds: float = 9.0, *, queued: bool = False) -> Any:
    """The view of one request that takes `seconds`, and what was raised."""
    request: Any = None
    try:
        async with door.open("orders consume", carrier, queued=queued) as request:
            await asyncio.sleep(seconds)
    except DeadlineExceeded as exc:
        return request, exc
    return request, None


@pytest.mark.parametrize("carrier", CARRIERS, ids=str)
def test_a_callers_deadline_ends_it_as_inherited(carrier: Any) -> None:
    """Carriers are read as libraries hand them over; the caller is the owner of its deadline."""
    request, raised = run(served(Door(default=5.0), carrier))
    assert (request.kind, request.outcome, request.owner) == ("request", "inherited", "_remote")
    assert raised is not None


@pytest.mark.parametrize(
    "carrier",
    [None, {}, [], {"deadline-budget": "5000"}, {"deadline-budget": "60000"}, {"deadline-budget": "x"}],
    ids=str,
)
def test_the_terms_end_it_as_expired(carrier: Any) -> None:
    """With no deadline, a malformed one, a later one or one that equals the terms, the terms are the owner."""
    request, raised = run(served(Door(default=5.0), carrier))
    assert (request.outcome, request.owner, raised is not None) == ("expired", "orders consume", True)


def test_what_is_spent_on_arrival_is_refused_on_entry() -> None:
    """A message that waited in its queue for longer than its budget is not begun."""
    sent = time.time_ns() // 10**6 - 60_000
    request, raised = run(served(Door(default=5.0), {"deadline-budget": f"1500;sent={sent}"}, queued=True))
    assert (request, raised is not None) == (None, True)
    assert figures(REJECTIONS) == {("orders consume", "expired", "enforce"): 1}


def test_in_the_dark_a_default_is_counted_and_a_header_holds() -> None:
    """A request that outlives an unenforced `default` completes, and is counted once; a header is enforced."""
    door = Door(default=5.0, dark=True)
    request, raised = run(served(door, None))
    assert (request.outcome, raised) == ("completed", None)
    assert figures(REJECTIONS) == {("orders consume", "expired", "dark"): 1}
    request, raised = run(served(door, {"deadline-budget": "1500"}))
    assert (request.outcome, raised is not None) == ("inherited", True)


def test_it_inherits_what_is_open_in_its_own_task_alone() -> None:
    """A consumer started beneath a timeout is not bound by it within a request; a timeout of its own binds."""

    async def consumer() -> tuple[float, float, float]:
        before = remaining()
        async with Door(default=5.0).open("job", None):
            within = remaining()
        return before, within, remaining()

    async def main() -> None:
        async with timeout(2.0):
            assert await asyncio.create_task(consumer()) == (2.0, 5.0, 2.0)
            assert await consumer() == (2.0, 2.0, 2.0)

    run(main())


def test_other_exceptions_pass() -> None:
    """What the body raises is the caller's own."""

    async def main() -> None:
        async with Door(default=5.0).open("job", {"deadline-budget": "1500"}):
            raise LookupError

    with pytest.raises(LookupError):
        run(main())


def test_the_parts_of_a_request() -> None:
    """A request that is opened elsewhere binds its parts while it is open; what stays open has no deadline."""
    door = Door(default=5.0)

    async def part(outer: View) -> tuple[float, float]:
        async with door.open("part", None, outer=outer):
            return outer.remaining(), remaining()

    async def main() -> None:
        async with Door(default=2.0).open("whole", None) as whole:
            await asyncio.sleep(0.5)
            assert await asyncio.create_task(part(whole)) == (1.5, 1.5)
        assert await asyncio.create_task(part(whole)) == (1.5, 5.0)
        async with door.open("socket", None, stays=True):
            assert remaining() == math.inf

    run(main())


def test_in_a_thread() -> None:
    """`with` bounds what a thread does by the same terms, for `remaining` and `checkpoint`, and refuses alike."""
    door = Door(default=5.0, at_least=0.001)
    with door.open("job", {"deadline-budget": "1500"}):
        assert 1.0 < remaining() <= 1.5
    with door.open("job", None):
        assert 4.0 < remaining() <= 5.0
    assert remaining() == math.inf
    with pytest.raises(DeadlineExceeded, match="'job' is refused"), door.open("job", {"deadline-budget": "0"}):
        pytest.fail("its body ran")
    assert figures(REJECTIONS) == {("job", "expired", "enforce"): 1}


async def test_in_a_loop_it_is_for_async_with() -> None:
    """`with` would end nothing there, and says so; entered again, a request says that too."""
    door = Door(default=5.0)
    with pytest.raises(RuntimeError, match="async with"), door.open("job", None):
        pytest.fail("its body ran")
    opened = door.open("job", None)
    async with opened:
        with pytest.raises(RuntimeError, match="already been entered"):
            opened.enter()


def test_enter_and_leave() -> None:
    """A door that answers by itself takes what its deadline makes of an exception, and raises nothing."""

    async def main() -> tuple[bool, BaseException | None, str]:
        opened = Door(default=5.0).open("job", {"deadline-budget": "1500"})
        request = opened.enter()
        granted, ended = opened.granted, None
        try:
            await asyncio.sleep(9.0)
        except BaseException as exc:
            ended = opened.leave(exc)
        return granted, ended, request.owner

    granted, ended, owner = run(main())
    assert (granted, type(ended), owner) == (True, DeadlineExceeded, "_remote")


@pytest.mark.parametrize("around", [None, 60.0])
async def test_a_busy_machine_lengthens_no_deadline(monkeypatch: pytest.MonkeyPatch, around: float | None) -> None:
    """It may be busy with others between the reading of the wall clock and that of the loop's."""
    clock = time.time_ns

    def read() -> int:
        now = clock()
        time.sleep(0.02)
        return now

    monkeypatch.setattr(_received, "time", SimpleNamespace(time_ns=read))
    door = Door(default=5.0, maximum=9.0)
    for _ in range(3):  # the first is let in at leisure
        async with timeout(around):
            sent = clock() // 10**6
            callers = asyncio.get_running_loop().time() + 1.5
            async with door.open("job", {"deadline-budget": f"1500;sent={sent}"}) as request:
                deadline = request.deadline()
                assert deadline is not None
                assert deadline <= callers

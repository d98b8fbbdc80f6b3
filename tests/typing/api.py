"""What the public names are to a type checker: read by mypy and pyright, never run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, assert_type

import tracedtimeout
from tracedtimeout import (
    DeadlineExceeded,
    Observer,
    Outcome,
    Timeout,
    View,
    Where,
    testing,
    timeout,
    wait_for,
    with_timeout,
)
from tracedtimeout._disabled import Timeout as SwitchedOff
from tracedtimeout.instrument._watched import Watched


async def fetch(key: str, *, tries: int = 1) -> bytes:
    return key.encode() * tries


async def a_timeout_is_asyncios() -> None:
    async with timeout(1.5, name="fetch") as t:
        assert_type(t, Timeout)
        assert_type(t.when(), float | None)
        assert_type(t.deadline(), float | None)
        assert_type(t.remaining(), float)
        assert_type(t.outcome, Outcome | None)
        takes_asyncios(t)


def takes_asyncios(t: asyncio.Timeout) -> None: ...


async def wait_for_keeps_the_result() -> None:
    assert_type(await wait_for(fetch("a"), 1), bytes)
    assert_type(await wait_for(asyncio.sleep(0, 3.5), timeout=None, name="nap"), float)


@with_timeout(1.5)
async def guarded(key: str, *, tries: int = 1) -> bytes:
    return await fetch(key, tries=tries)


@with_timeout(lambda: None, name="read-at-each-call")
async def read_at_each_call() -> int:
    return 1


async def the_decorator_keeps_the_signature() -> None:
    signature: Callable[[str], Coroutine[Any, Any, bytes]] = guarded
    assert_type(await signature("a"), bytes)
    assert_type(await guarded("a", tries=2), bytes)
    assert_type(await read_at_each_call(), int)


async def the_budget() -> None:
    assert_type(tracedtimeout.remaining(), float)
    block: AbstractContextManager[None] = tracedtimeout.budget(1.5)
    with block, tracedtimeout.detach():
        tracedtimeout.checkpoint()
    async with tracedtimeout.budget(None), tracedtimeout.detach():
        pass


@tracedtimeout.budget(1.5)
def bounded(key: str) -> bytes:
    return key.encode()


@tracedtimeout.detach()
async def detached(key: str) -> bytes:
    return bounded(key)


async def blocks_keep_signatures() -> None:
    assert_type(bounded("a"), bytes)
    assert_type(await detached("a"), bytes)


def the_exception(error: DeadlineExceeded) -> None:
    builtin: TimeoutError = error
    assert_type(error.limit, float)
    assert_type(error.spent[0].count, int)
    del builtin


def views(ours: Timeout, watched: Watched, switched_off: SwitchedOff) -> list[View]:
    return [ours, watched, switched_off]


def an_observer(t: View, /) -> Callable[[View], object] | None:
    return None if t.name == "quiet" else print


observer: Observer = an_observer
undo: Callable[[], None] = tracedtimeout.install(registry=None, spans="off", observers=[an_observer])


def limits_from_configuration() -> None:
    tracedtimeout.install(limits={"fetch": 0.5})
    tracedtimeout.install(limits=Path("limits.toml"))
    tracedtimeout.install(limits="limits.toml")
    assert_type(tracedtimeout.reload_limits(), bool)
    assert_type(tracedtimeout.limits_on_signal(12), Callable[[], None])


def a_test_of_ones_own(timeouts: testing.Timeouts) -> None:
    with testing.expire("fetch", times=1) as expiring, testing.no_telemetry(), testing.recorded() as seen:
        assert_type(expiring.count, int)
        assert_type(seen, testing.Timeouts)
    assert_type(timeouts.outcomes("fetch"), list[Outcome])
    assert_type(timeouts.budgets(), list[float])
    assert_type(timeouts.closed()[0].where, Where | None)
    assert_type(testing.granted(testing.deadline_headers(1.5)), float | None)

"""What leaves with a request or message, what comes in with one, and the deadlines that OpenTelemetry carries."""

from __future__ import annotations

import asyncio
import contextvars
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from importlib.metadata import entry_points

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import context as otel
from opentelemetry.context import Context

from tests.support import missing
from tracedtimeout import (
    DeadlineExceeded,
    Outcome,
    budget,
    checkpoint,
    detach,
    propagation,
    remaining,
    timeout,
)
from tracedtimeout._core import _context
from tracedtimeout._core.figures import _process
from tracedtimeout._core.figures._metrics import HEADERS_IGNORED, RECEIVED, TRANSIT, Metric
from tracedtimeout._core.figures._process import Histogram
from tracedtimeout.integrations.door import Door
from tracedtimeout.propagation import DeadlinePropagator, extract, inject, nanoseconds, outgoing
from tracedtimeout.propagation import _received as received
from tracedtimeout.propagation._wire import HEADERS, MOST_NS
from tracedtimeout.testing import run

SENT = 1_763_823_600_123
MS = 10**6
NOW = SENT * MS


@pytest.fixture
def propagator() -> Iterator[DeadlinePropagator]:
    """The propagator, loaded for one test: it changes what every timeout asks."""
    before = _context.outside
    yield DeadlinePropagator()
    _context.look_outside(before)


def counted(metric: Metric) -> dict[tuple[str, ...], object]:
    """The figures of `metric`: numbers, and of a histogram the sum of what was recorded."""
    values = _process.snapshot().get(metric, {})
    sums = {labels: value.total if isinstance(value, Histogram) else value for labels, value in values.items()}
    return {labels: count for labels, count in sums.items() if count or metric.kind == "histogram"}


def left(*lines: tuple[str, str], after_ms: float = 0.0, queued: bool = False) -> float | None:
    """What `lines` grant when they are received `after_ms` after `SENT`."""
    return received.seconds(lines, queued=queued, now_ns=NOW + int(after_ms * MS))


# Transit


@pytest.mark.parametrize(
    ("value", "after_ms", "seconds", "ignored"),
    [
        (f"1500;sent={SENT}", 0, 1.5, {}),
        (f"1500;sent={SENT}", 50, 1.45, {}),
        (f"1500;sent={SENT}", 400, 1.4, {}),
        (f"500;sent={SENT}", 400, 0.45, {}),
        (f"500;sent={SENT}", 500, 0.45, {}),
        (f"500;sent={SENT}", 501, 0.5, {("deadline-budget", "skew"): 1}),
        (f"500;sent={SENT}", -1, 0.5, {("deadline-budget", "skew"): 1}),
        (f"0;sent={SENT}", 400, 0.0, {}),
        (f"0;sent={SENT}", -1, 0.0, {("deadline-budget", "skew"): 1}),
        ("1500", 400, 1.5, {}),
        ("1500;sent=-1", 0, 1.5, {("deadline-budget", "skew"): 1}),
        ("1500;sent=999999999999999", 0, 1.5, {("deadline-budget", "skew"): 1}),
    ],
)
def test_transit_at_a_request_door(
    value: str, after_ms: float, seconds: float, ignored: dict[tuple[str, str], int]
) -> None:
    """Transit takes off at most 100 ms and a tenth, and nothing when the clocks cannot both be right."""
    assert left(("deadline-budget", value), after_ms=after_ms) == seconds
    assert counted(HEADERS_IGNORED) == ignored


@pytest.mark.parametrize(
    ("value", "after_ms", "seconds", "ignored"),
    [
        (f"1500;sent={SENT}", 400, 1.1, {}),
        (f"1500;sent={SENT}", 1500, 0.0, {}),
        (f"1500;sent={SENT}", 10**9, 0.0, {}),
        (f"1500;sent={SENT}", -1, 1.5, {("deadline-budget", "skew"): 1}),
        ("1500", 10**9, 1.5, {}),
    ],
)
def test_transit_in_a_queue(value: str, after_ms: float, seconds: float, ignored: dict[tuple[str, str], int]) -> None:
    """In a queue all of the transit is taken off, and a message older than its budget is spent."""
    assert left(("deadline-budget", value), after_ms=after_ms, queued=True) == seconds
    assert counted(HEADERS_IGNORED) == ignored


def test_transit_is_recorded() -> None:
    """The transit and the budget as it was sent are recorded, by header."""
    left(("deadline-budget", f"1500;sent={SENT}"), ("grpc-timeout", "1600m"), after_ms=400)
    assert counted(TRANSIT) == {("deadline-budget",): 0.4}
    assert counted(RECEIVED) == {("deadline-budget",): 1.5}


# Which lines hold


@pytest.mark.parametrize(
    ("lines", "seconds", "ignored"),
    [
        ([], None, {}),
        ([("deadline-budget", "1500"), ("grpc-timeout", "1S")], 1.0, {}),
        ([("grpc-timeout", "1S"), ("deadline-budget", "500")], 0.5, {}),
        ([("x-envoy-expected-rq-timeout-ms", "0")], None, {}),
        ([("x-envoy-expected-rq-timeout-ms", "0"), ("connect-timeout-ms", "20")], 0.02, {}),
        ([("x-request-timeout", "1")], None, {}),
        ([("grpc-timeout", "1s")], None, {("grpc-timeout", "malformed"): 1}),
        ([("grpc-timeout", "1s"), ("deadline-budget", "500")], 0.5, {("grpc-timeout", "malformed"): 1}),
        (
            [("deadline-budget", "500"), ("deadline-budget", "100"), ("deadline-budget", "900")],
            0.1,
            {("deadline-budget", "malformed"): 2},
        ),
        ([("deadline-budget", "-5")] * 3, None, {("deadline-budget", "malformed"): 5}),
        ([("grpc-timeout", "9" * 10**6)], None, {("grpc-timeout", "malformed"): 1}),
        ([("grpc-timeout", "99999999H")], MOST_NS / 1e9, {}),
    ],
)
def test_the_least_holds(
    lines: list[tuple[str, str]], seconds: float | None, ignored: dict[tuple[str, str], int]
) -> None:
    """Of several headers, and of several lines of one, the least holds; what is wrong is counted."""
    assert received.seconds(lines) == seconds
    assert counted(HEADERS_IGNORED) == ignored


def test_what_is_not_accepted_is_counted_as_untrusted() -> None:
    """A header that is not believed has no say, and no effect but to be counted."""
    lines = [("deadline-budget", "5"), ("grpc-timeout", "nonsense"), ("connect-timeout-ms", "900")]
    assert extract(lines, accept=["connect-timeout-ms"]) == 0.9
    assert extract(lines, accept=()) is None
    assert counted(HEADERS_IGNORED) == {
        ("deadline-budget", "untrusted"): 2,
        ("grpc-timeout", "untrusted"): 2,
        ("connect-timeout-ms", "untrusted"): 1,
    }


@pytest.mark.parametrize(
    "carrier",
    [
        {"deadline-budget": "1500"},
        {"Deadline-Budget": "1500", "Accept": "*/*"},
        {"DEADLINE-BUDGET": ["1500"]},
        {b"deadline-budget": b"1500", b"order": b"\xff", 7: None},
        [("deadline-budget", "1500"), ("other", object())],
        [(b"Deadline-Budget", b"1500")],
        (("deadline-budget", b"1500"),),
    ],
)
def test_carriers(carrier: dict[object, object]) -> None:
    """Mappings and pairs, text and bytes: HTTP headers, gRPC metadata, Kafka headers, the fields of a Redis stream."""
    assert extract(carrier) == 1.5


def test_values_that_are_no_text() -> None:
    """A value of another type is malformed."""
    assert extract({"deadline-budget": 1500, "grpc-timeout": None}) is None
    assert counted(HEADERS_IGNORED) == {("deadline-budget", "malformed"): 1, ("grpc-timeout", "malformed"): 1}


LINES = st.lists(
    st.tuples(st.sampled_from(HEADERS), st.from_regex(r"[0-9]{1,9}[mSH]?(;sent=[0-9]{1,15})?", fullmatch=True)),
    max_size=6,
)


@given(LINES, LINES)
def test_a_peer_cannot_lengthen(lines: list[tuple[str, str]], more: list[tuple[str, str]]) -> None:
    """Whatever a peer adds, the deadline is never later than without it."""
    before, after = received.seconds(lines, now_ns=NOW), received.seconds([*lines, *more], now_ns=NOW)
    assert before is None or (after is not None and after <= before)


@given(st.lists(st.tuples(st.sampled_from(HEADERS) | st.text() | st.binary(), st.text() | st.binary() | st.none())))
def test_hostile_lines_never_raise(lines: list[tuple[object, object]]) -> None:
    """Nothing that a peer sends raises."""
    for queued in (False, True):
        seconds = extract(lines, queued)
        assert seconds is None or 0.0 <= seconds <= MOST_NS / 1e9


# Outgoing


NOW_MS = 1_763_823_600_123
AS_WE_WRITE_THEM = st.builds(
    "{};sent={}".format, st.integers(0, 10**13), st.integers(-(10**5), 10**5).map(lambda ms: NOW_MS + ms)
)


@given(AS_WE_WRITE_THEM | st.from_regex("[0-9 ;=sent\u0661]{1,40}", fullmatch=True), st.booleans())
def test_what_our_doors_write_is_read_at_once_and_alike(value: str, is_text: bool) -> None:
    """The short way to read a deadline-budget gives what the long one does, and counts the same; in a loop and not."""
    line = ("deadline-budget", value) if is_text else (b"deadline-budget", value.encode("latin-1", "replace"))

    def told(lines: Iterable[tuple[object, object]]) -> tuple[object, ...]:
        _process.reset()
        seconds = received.seconds(
            [(b"deadline-budget", b"1;sent=0")], now_ns=0
        )  # the first of a loop goes the long way
        assert seconds == 0.001
        seconds = received.seconds(lines, now_ns=NOW_MS * 10**6)
        return seconds, counted(RECEIVED), counted(TRANSIT), counted(HEADERS_IGNORED)

    async def in_a_loop() -> tuple[tuple[object, ...], ...]:
        return told([line]), told(iter([line]))

    short, long = asyncio.run(in_a_loop())
    assert short == long == told(iter([line])) == told([line])


def test_nothing_is_injected_without_a_budget() -> None:
    """With no deadline in force no header is written."""
    carrier: dict[str, str] = {}
    inject(carrier)
    assert carrier == {}


def test_injected_headers() -> None:
    """The budget goes out under both default headers, rounded down, with the time at which it was so."""

    async def main() -> dict[str, str]:
        async with timeout(1.5):
            await asyncio.sleep(0.0996)
            return outgoing()

    before = time.time_ns() // MS
    headers = run(main())
    value, _, sent = headers["deadline-budget"].partition(";sent=")
    assert (value, headers["grpc-timeout"]) == ("1400", "1400400u")
    assert before <= int(sent) <= time.time_ns() // MS


def test_chosen_headers() -> None:
    """A caller may choose which headers are written."""
    assert outgoing(2.0, headers=["connect-timeout-ms"]) == {"connect-timeout-ms": "2000"}
    assert outgoing(math.inf) == {}
    with pytest.raises(ValueError, match="x-envoy"):
        outgoing(2.0, headers=["x-envoy-expected-rq-timeout-ms"])


def test_a_spent_budget_goes_out_as_spent() -> None:
    """A spent budget is 0 ms and 1 ns, and the next hop reads it as spent or all but spent."""
    carrier: dict[str, str] = {}
    with budget(-1.0):
        inject(carrier)
    assert carrier["deadline-budget"].startswith("0;sent=")
    assert carrier["grpc-timeout"] == "1n"
    assert extract(carrier) == 0.0


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_seconds_round_down(seconds: float) -> None:
    """Nanoseconds are never more than the seconds they came from."""
    numerator, denominator = seconds.as_integer_ratio()
    assert nanoseconds(seconds) * denominator <= numerator * 10**9


@given(st.floats(min_value=0.001, max_value=1e9))
def test_a_hop_never_lengthens(seconds: float) -> None:
    """What one process sends, the next reads as no more."""
    received_seconds = extract(outgoing(seconds))
    assert received_seconds is not None
    assert received_seconds <= seconds


# OpenTelemetry


def attached(propagator: DeadlinePropagator, carrier: dict[str, str]) -> contextvars.Token[Context]:
    return otel.attach(propagator.extract(carrier))


def test_entry_point() -> None:
    """``OTEL_PROPAGATORS=deadline`` finds it, and loading it is all that is needed."""
    found = entry_points(group="opentelemetry_propagator", name="deadline")
    if not found:
        missing("the installed package", "pip install -e .")
    assert [entry.load() for entry in found] == [DeadlinePropagator]


@pytest.mark.slow  # a process of its own: the variable is read when OpenTelemetry is first imported
def test_composite_from_the_environment() -> None:
    """OpenTelemetry's own global propagator carries the budget when the environment says so."""
    if not entry_points(group="opentelemetry_propagator", name="deadline"):
        missing("the installed package", "pip install -e .")
    program = (
        "from opentelemetry import propagate; from tracedtimeout import budget\n"
        "carrier = {}\n"
        "with budget(1.5): propagate.inject(carrier)\n"
        "print(sorted(carrier))"
    )
    environment = os.environ | {"OTEL_PROPAGATORS": "tracecontext,baggage,deadline"}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "['deadline-budget', 'grpc-timeout']\n"


def test_an_extracted_deadline_binds_only_once_attached(propagator: DeadlinePropagator) -> None:
    """A deadline in an OTel Context is in force while that Context is attached, and no longer."""
    readings = [remaining()]
    token = attached(propagator, {"deadline-budget": "1500"})
    readings.append(remaining())
    otel.detach(token)
    readings.append(remaining())
    assert [readings[0], readings[2]] == [math.inf, math.inf]
    assert 1.0 < readings[1] <= 1.5


def test_no_header_leaves_the_context_as_it_is(propagator: DeadlinePropagator) -> None:
    """Without a header nothing is put into the Context."""
    context = Context({"kept": 1})
    assert propagator.extract({}, context) is context
    assert propagator.extract({"grpc-timeout": "x"}, context) is context
    assert propagator.extract({}) == {}
    assert propagator.extract({"grpc-timeout": "1S"}, context)["kept"] == 1
    assert propagator.fields == {"deadline-budget", "grpc-timeout"}


def test_propagator_injects_the_budget(propagator: DeadlinePropagator) -> None:
    """What is injected is the least of the budget here and the deadline in a Context that is passed."""

    async def main() -> list[str]:
        context = propagator.extract({"deadline-budget": "1500"})
        sent = []
        async with timeout(2.0):
            for given_context in (None, context):
                carrier: dict[str, str] = {}
                propagator.inject(carrier, given_context)
                sent.append(carrier["grpc-timeout"])
        async with timeout(1.0):
            propagator.inject(carrier, context)
        return [*sent, carrier["grpc-timeout"]]

    assert run(main()) == ["2000000u", "1500000u", "1000000u"]


def test_an_attached_deadline_bounds_the_next_timeout(propagator: DeadlinePropagator) -> None:
    """A timeout opened under an attached deadline is timed at it, and ends as inherited from ``_remote``."""

    async def main() -> tuple[float | None, str, str, Outcome | None, float]:
        attached(propagator, {"deadline-budget": "1500"})
        t = timeout(5.0)
        with pytest.raises(DeadlineExceeded):
            async with t:
                found = t.deadline(), t.owner, t.source
                await asyncio.sleep(60)
        return *found, t.outcome, asyncio.get_running_loop().time()

    assert run(main()) == (1.5, "_remote", "header", Outcome.INHERITED, 1.5)


def test_nested_timeouts_hold_an_attached_deadline_once(propagator: DeadlinePropagator) -> None:
    """The attached deadline stands in the chain once, also for timeouts and budgets nested or opened in turn."""

    async def main() -> list[tuple[float | None, int]]:
        attached(propagator, {"deadline-budget": "1500"})
        seen = []
        for _ in range(2):
            async with timeout(5.0):
                with budget(3.0):
                    async with timeout(4.0) as inner:
                        links, link = 0, inner._parent
                        while link is not None:
                            links, link = links + (link.name == "_remote"), link._parent
                        seen.append((inner.deadline(), links))
        return seen

    assert run(main()) == [(1.5, 1), (1.5, 1)]


def test_messages_in_turn(propagator: DeadlinePropagator) -> None:
    """A consumer that attaches one Context after the other is bound by each in its turn."""

    async def main() -> list[float | None]:
        seen = []
        for budget_ms in ("1500", "9000", None, "2000"):
            token = attached(propagator, {} if budget_ms is None else {"deadline-budget": budget_ms})
            async with timeout(60.0) as t:
                seen.append(t.deadline())
            otel.detach(token)
        async with timeout(60.0) as t:
            seen.append(t.deadline())
        return seen

    assert run(main()) == [1.5, 9.0, 60.0, 2.0, 60.0]


def test_detach_cuts_an_attached_deadline(propagator: DeadlinePropagator) -> None:
    """`detach` cuts the attached deadline too, and not one that is attached inside it."""

    async def main() -> list[float | None]:
        attached(propagator, {"deadline-budget": "1500"})
        seen: list[float | None] = [remaining()]
        with detach():
            seen.append(remaining())
            async with timeout(60.0), timeout(50.0) as t:
                seen.append(t.deadline())
            token = attached(propagator, {"deadline-budget": "7000"})
            async with timeout(60.0) as t:
                seen.append(t.deadline())
            otel.detach(token)
            seen.append(remaining())
        seen.append(remaining())
        return seen

    assert run(main()) == [1.5, math.inf, 50.0, 7.0, math.inf, 1.5]


@pytest.mark.parametrize(
    ("how", "deadlines"), [("as it is", [1.5, 1.5]), ("detached", [60.0, 63.0]), ("behind our door", [1.5, 63.0])]
)
def test_a_worker_started_under_an_attached_deadline(
    propagator: DeadlinePropagator, how: str, deadlines: list[float]
) -> None:
    """A task keeps the Context that was attached where it was created, and so the deadline, also when the request is
    over, which OpenTelemetry tells nobody: unless it was created under `detach`, or the request went through our door.
    """
    seen: list[float | None] = []

    async def worker(jobs: asyncio.Queue[None]) -> None:
        while True:
            await jobs.get()
            async with timeout(60.0) as t:
                seen.append(t.deadline())
            jobs.task_done()

    async def request(jobs: asyncio.Queue[None]) -> asyncio.Task[None]:
        headers = {"deadline-budget": "1500"}
        attached(propagator, headers)
        if how == "behind our door":
            async with Door().open("request", headers):
                started = asyncio.create_task(worker(jobs))
                jobs.put_nowait(None)
                await jobs.join()
            return started
        with detach() if how == "detached" else nullcontext():
            return asyncio.create_task(worker(jobs))

    async def main() -> None:
        jobs: asyncio.Queue[None] = asyncio.Queue()
        started = await asyncio.create_task(request(jobs))
        if not seen:
            jobs.put_nowait(None)
            await jobs.join()
        await asyncio.sleep(3.0)
        jobs.put_nowait(None)
        await jobs.join()
        started.cancel()

    run(main())
    assert seen == deadlines


def test_checkpoint_sees_an_attached_deadline(propagator: DeadlinePropagator) -> None:
    """`checkpoint` raises once the attached deadline is spent, in a thread too, naming ``_remote``."""

    async def main() -> str:
        attached(propagator, {"deadline-budget": "0"})
        with pytest.raises(DeadlineExceeded) as caught:
            await asyncio.to_thread(checkpoint)
        return caught.value.owner

    assert run(main()) == "_remote"


def test_a_thread_is_bound_by_what_is_attached_in_it_alone(propagator: DeadlinePropagator) -> None:
    """Not by what was attached where it was started, which from 3.14 on its own context may be a copy of."""

    def look() -> list[float]:
        seen = [remaining(), asyncio.run(look_there())]
        token = otel.attach(propagator.extract({"deadline-budget": "7200000"}))
        seen += [remaining(), asyncio.run(look_there())]
        otel.detach(token)
        return [round(each / 3600.0, 1) for each in seen]

    async def look_there() -> float:
        return remaining()

    token = otel.attach(propagator.extract({"deadline-budget": "3600000"}))
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(look).result() == [math.inf, math.inf, 2.0, 2.0]
        assert round(pool.submit(contextvars.copy_context().run, remaining).result() / 3600.0, 1) == 1.0
    otel.detach(token)


def test_loading_a_propagator_twice_changes_nothing(propagator: DeadlinePropagator) -> None:
    """A second propagator installs nothing more."""
    outside = _context.outside
    DeadlinePropagator()
    assert _context.outside is outside


def test_all_is_sorted() -> None:
    """The public names are sorted and there."""
    assert sorted(propagation.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)) == (
        propagation.__all__
    )
    assert all(hasattr(propagation, name) for name in propagation.__all__)

"""Spans: names, parents, attributes and status of every outcome; and that they leave no trace in foreign contexts."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.context import Context, get_current
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind

import tracedtimeout.spans
from tests.support.telemetry import Seen, Spans, block, run
from tracedtimeout import Timeout, View, budget, detach, timeout, timeout_at, wait_for, with_timeout
from tracedtimeout._core import _observers
from tracedtimeout._core._observers import Closer
from tracedtimeout._version import VERSION
from tracedtimeout.spans import SpanObserver


@pytest.fixture
def spans() -> Iterator[Spans]:
    spans = Spans()
    yield from _observed(spans, SpanObserver(tracer_provider=spans.provider))


@pytest.fixture
def late() -> Iterator[Spans]:
    spans = Spans()
    yield from _observed(spans, SpanObserver("late", spans.provider))


def _observed(spans: Spans, observer: SpanObserver) -> Iterator[Spans]:
    _observers.add(observer)
    yield spans
    _observers.remove(observer)


def _start(name: str, limit: float, kind: str = "timeout", source: str = "own", **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "source": source, "limit": limit, **more}


WAITING = {"code.function.name": f"{__name__}.waiting"}


async def waiting(seconds: float = 10.0) -> None:
    await asyncio.sleep(seconds)


async def swallowing() -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await waiting()


async def replacing() -> None:
    try:
        await waiting()
    finally:
        raise KeyError("replaced")


async def failing() -> None:
    raise TimeoutError("not ours")


def test_each_outcome_has_its_attributes_and_status() -> None:
    """Each outcome is told by the attributes and the status of its span."""
    expired = {"outcome": "expired", "error.type": "timeout", **WAITING}
    cases: list[tuple[Any, dict[str, Any], str, str | None]] = [
        (waiting(0.5), {"outcome": "completed"}, "UNSET", None),
        (block(1.5), {"outcome": "late", "overrun": 0.5}, "UNSET", None),
        (swallowing(), {"outcome": "suppressed"}, "UNSET", None),
        (failing(), {"outcome": "failed", "error.type": "TimeoutError"}, "ERROR", "TimeoutError: not ours"),
        (waiting(), expired, "ERROR", f"'t' exceeded its 1.000 s deadline after 1.000 s: waiting at {__name__}:"),
        (
            replacing(),
            {**expired, "outcome": "replaced", "error.type": "KeyError"},
            "ERROR",
            f"'t' exceeded its 1.000 s deadline after 1.000 s: waiting at {__name__}:",
        ),
    ]
    for body, at_end, status, description in cases:
        spans = Spans()
        for _ in _observed(spans, SpanObserver(tracer_provider=spans.provider)):
            _run_in_timeout(body)
        assert spans.seen == [Seen("timeout t", None, status, _start("t", 1.0) | at_end)]
        assert (spans.ended[0].status.description or "").startswith(description or "")


def _run_in_timeout(body: Any) -> None:
    async def main() -> None:
        async with timeout(1.0, name="t"):
            await body

    with contextlib.suppress(TimeoutError, KeyError):
        run(main())


class Odd(Exception):  # noqa: N818  # it is odd
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "description"),
    [
        (Odd(), "Odd: <Odd without words>"),
        (ValueError(os.fsdecode(b"caf\xe9\n")), r"ValueError: caf\udce9\n"),
        (ValueError("x" * 10**6), f"ValueError: {'x' * 985}..."),
        (KeyError(), "KeyError"),
    ],
    ids=["odd", "unprintable", "huge", "silent"],
)
def test_a_failed_span_is_an_error_whatever_its_exception_says(
    error: Exception, description: str, spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    """Words that cannot be had, encoded or held cost themselves: the span ends as an error, and OTLP can carry it."""

    async def fail() -> None:
        raise error

    with contextlib.suppress(Odd, ValueError):
        _run_in_timeout(fail())
    (span,) = spans.ended
    assert (span.status.status_code.name, span.status.description) == ("ERROR", description)
    assert encode_spans(spans.ended).SerializeToString()
    assert caplog.records == []


def test_the_scope_has_our_version(spans: Spans) -> None:
    """The instrumentation scope of a span says which release of the package made it."""
    _run_in_timeout(waiting(0.5))
    (span,) = spans.ended
    assert span.instrumentation_scope is not None
    assert (span.instrumentation_scope.name, span.instrumentation_scope.version) == ("tracedtimeout", VERSION)


def test_a_cancellation_from_outside_is_no_error(spans: Spans) -> None:
    """A task cancelled by others leaves a span that is `cancelled`, with no error."""

    async def main() -> None:
        async def guarded() -> None:
            async with timeout(1.0, name="t"):
                await waiting()

        task = asyncio.create_task(guarded())
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.wait([task])

    run(main())
    assert spans.seen == [Seen("timeout t", None, "UNSET", _start("t", 1.0) | {"outcome": "cancelled"})]
    assert spans.ended[0].events == ()


def test_an_inherited_deadline_names_its_owner(spans: Spans) -> None:
    """A nested timeout that its owner's deadline ends says whose it was, what was asked, and that it was shortened."""

    async def main() -> None:
        async with timeout(1.0, name="outer"):
            async with timeout(0.25, name="first"):
                pass
            async with timeout(2.0, name="inner"):
                await waiting()

    with pytest.raises(TimeoutError):
        run(main())
    inner = _start("inner", 1.0, source="inherited", requested=2.0)
    inner |= {"outcome": "inherited", "owner": "outer", "error.type": "timeout", **WAITING}
    outer = _start("outer", 1.0) | {"outcome": "expired", "error.type": "timeout", **WAITING}
    assert spans.seen == [
        Seen("timeout first", "timeout outer", "UNSET", _start("first", 0.25) | {"outcome": "completed"}),
        Seen("timeout inner", "timeout outer", "ERROR", inner),
        Seen("timeout outer", None, "ERROR", outer | {"spent": ("0.000 s in first", "1.000 s in inner (unfinished)")}),
    ]
    assert [span.status.description and span.status.description.partition(" after")[0] for span in spans.ended] == [
        None,
        "'inner' was ended by the deadline of 'outer'",
        "'outer' exceeded its 1.000 s deadline",
    ]


def test_a_shorter_enclosing_deadline_is_the_owner_of_what_completes(spans: Spans) -> None:
    """A nested timeout that completes names the owner of its deadline where that is another, of the same name even."""

    async def main() -> None:
        async with timeout(1.0, name="t"):
            async with timeout(2.0, name="t"):
                pass
        with budget(3.0):
            async with timeout(None, name="bare"):
                pass

    run(main())
    shortened = _start("t", 1.0, source="inherited", requested=2.0, outcome="completed", owner="t")
    assert [span.attributes for span in spans.seen] == [
        shortened,
        _start("t", 1.0, outcome="completed"),
        _start("bare", 3.0, source="inherited", outcome="completed", owner="_budget"),
    ]


def test_a_rejection_is_a_span_that_says_what_was_left(spans: Spans) -> None:
    """A rejected timeout is an error, described by what was needed and what was left."""

    async def main() -> None:
        async with timeout(0.5, name="outer"):
            async with timeout(2.0, name="refund", at_least=1.0):
                pytest.fail("not rejected")

    with pytest.raises(TimeoutError):
        run(main())
    rejected = _start("refund", 0.5, source="inherited", requested=2.0)
    assert spans.seen[0] == Seen(
        "timeout refund",
        "timeout outer",
        "ERROR",
        rejected | {"outcome": "rejected", "owner": "outer", "error.type": "timeout"},
    )
    assert spans.ended[0].status.description == "'refund' needs 1.000 s and 0.500 s is left of 'outer'"


def test_every_kind_says_so(spans: Spans) -> None:
    """The kind is the call that made the timeout; every span is INTERNAL; without a deadline there is no limit."""

    @with_timeout(1.0, name="decorated")
    async def decorated() -> None: ...

    async def main() -> None:
        async with timeout(None, name="unbounded"):
            pass
        async with timeout_at(4.0, name="at") as at:
            at.reschedule(5.0)
        await wait_for(waiting(0.0), 1.0, name="waited")
        await decorated()

    run(main())
    assert [span.attributes for span in spans.seen] == [
        {"name": "unbounded", "kind": "timeout", "source": "none", "outcome": "completed"},
        _start("at", 4.0, "timeout_at", outcome="completed", reschedules=1),
        _start("waited", 1.0, "wait_for", outcome="completed"),
        _start("decorated", 1.0, "with_timeout", outcome="completed"),
    ]
    assert {span.kind for span in spans.ended} == {SpanKind.INTERNAL}


def test_the_code_that_waited_is_named(spans: Spans) -> None:
    """An expiry says function, file and line of where its task was waiting."""

    async def main() -> None:
        async with timeout(1.0, name="t"):
            await waiting()

    with pytest.raises(TimeoutError):
        run(main())
    attributes = spans.ended[0].attributes
    assert attributes is not None
    assert (attributes["code.function.name"], attributes["code.file.path"], attributes["code.line.number"]) == (
        f"{__name__}.waiting",
        __file__,
        waiting.__code__.co_firstlineno + 1,
    )


def test_the_span_is_current_inside(spans: Spans) -> None:
    """Spans begun in the body and in its child tasks are children; after it the enclosing span is current again."""

    async def child(name: str) -> None:
        with spans.tracer.start_as_current_span(name):
            await asyncio.sleep(0.1)

    async def main() -> None:
        with spans.tracer.start_as_current_span("request"):
            async with timeout(1.0, name="t"), asyncio.TaskGroup() as group:
                group.create_task(child("in a task"))
                await child("in the body")
            await child("after")

    run(main())
    assert spans.tree == [
        ("in the body", "timeout t"),
        ("in a task", "timeout t"),
        ("timeout t", "request"),
        ("after", "request"),
        ("request", None),
    ]


async def _numbers(name: str) -> AsyncIterator[int]:
    async with timeout(1.0, name=name):
        yield 1
        yield 2


def test_generators_closed_elsewhere_leave_no_log(spans: Spans, caplog: pytest.LogCaptureFixture) -> None:
    """A generator closed by another task, or in a copy of the context, ends its span once and logs nothing."""

    async def main() -> None:
        by_task, by_copy = _numbers("by task"), _numbers("by copy")
        before = contextvars.copy_context()
        await anext(by_task)
        await asyncio.create_task(by_task.aclose(), context=before)  # type: ignore[attr-defined]  # a generator's
        await anext(by_copy)
        await asyncio.create_task(by_copy.aclose())  # type: ignore[attr-defined]  # as above

    with caplog.at_level(logging.DEBUG, logger="opentelemetry"):
        run(main())
    assert [name for name, _ in spans.tree] == ["timeout by task", "timeout by copy"]
    assert caplog.messages == []


def test_generators_left_out_of_turn_leave_nothing_current(spans: Spans) -> None:
    """Timeouts left in another order than they were entered leave what was current before all of them."""

    async def main() -> None:
        with spans.tracer.start_as_current_span("request") as request:
            first, second = _numbers("first"), _numbers("second")
            await anext(first)
            await anext(second)
            await first.aclose()  # type: ignore[attr-defined]  # a generator's
            assert _current() == "timeout second"
            await second.aclose()  # type: ignore[attr-defined]  # as above
            assert trace.get_current_span() is request

    run(main())
    assert spans.tree == [("timeout first", "request"), ("timeout second", "timeout first"), ("request", None)]


async def _later(spans: Spans, name: str) -> None:
    """A span as it is begun in the next turn of the loop."""
    await asyncio.sleep(0.1)
    with spans.tracer.start_as_current_span(name):
        pass


def test_after_a_generator_is_broken_off_spans_hang_where_they_would_without(spans: Spans) -> None:
    """Once asyncio has closed it, in a task of its own, nothing is begun beneath its timeout any more."""

    async def main() -> None:
        with spans.tracer.start_as_current_span("request"):
            async for _ in _numbers("broken off"):
                break
            await _later(spans, "after a break")
            closed = _numbers("closed")
            await anext(closed)
            await asyncio.create_task(closed.aclose())  # type: ignore[attr-defined]  # a generator's
            await _later(spans, "after its end")
            async with timeout(1.0, name="t"):
                await _later(spans, "inside")
        await _later(spans, "alone")

    run(main())
    assert spans.tree == [
        ("timeout broken off", "request"),
        ("after a break", "request"),
        ("timeout closed", "request"),
        ("after its end", "request"),
        ("inside", "timeout t"),
        ("timeout t", "request"),
        ("request", None),
        ("alone", None),
    ]


def test_a_generator_closed_elsewhere_within_another_stands_aside_for_both(spans: Spans) -> None:
    """When the outer one is left as well, what was before it is current."""

    async def main() -> None:
        with spans.tracer.start_as_current_span("request"):
            outer, inner = _numbers("outer"), _numbers("inner")
            await anext(outer)
            await anext(inner)
            await asyncio.create_task(inner.aclose())  # type: ignore[attr-defined]  # a generator's
            assert _current() == "timeout outer"
            await asyncio.create_task(outer.aclose())  # type: ignore[attr-defined]  # as above
            assert _current() == "request"

    run(main())


def test_generators_broken_off_again_and_again_leave_no_chain(spans: Spans) -> None:
    """What is current leads to one context before it, not to those of all generators that were."""

    async def main() -> None:
        for _ in range(100):
            async for _ in _numbers("t"):
                break
            await asyncio.sleep(0.1)
        before = getattr(get_current(), "before", None)
        assert before is not None
        assert not hasattr(before, "before")

    run(main())


def _current() -> str:
    return str(getattr(trace.get_current_span(), "name", None))


class _Collecting(Sampler):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []

    def should_sample(self, *args: Any, attributes: Any = None, **_: Any) -> SamplingResult:
        attributes = attributes if attributes is not None else args[4]
        assert attributes.copy() == dict(attributes)  # a mapping like any other
        self.shown.append(dict(attributes))
        return SamplingResult(Decision.RECORD_AND_SAMPLE, {"added": "by the sampler"})

    def get_description(self) -> str:
        return "collecting"


def test_a_sampler_sees_the_attributes_at_start() -> None:
    """A sampler sees the attributes known at start, and its own are kept."""
    sampler = _Collecting()
    spans = Spans(sampler=sampler)

    async def main() -> None:
        async with timeout(1.0, name="t"):
            pass

    for _ in _observed(spans, SpanObserver(tracer_provider=spans.provider)):
        run(main())
    assert [{key.removeprefix("tracedtimeout."): value for key, value in shown.items()} for shown in sampler.shown] == [
        _start("t", 1.0)
    ]
    assert [span.attributes for span in spans.seen] == [{"added": "by the sampler", "outcome": "completed"}]


def test_what_is_not_sampled_keeps_its_children_so() -> None:
    """An unsampled span is current too, so that its children are not sampled either, and nothing is exported."""
    spans = Spans(sampler=ALWAYS_OFF)

    async def main() -> None:
        async with timeout(1.0, name="t"):
            context = trace.get_current_span().get_span_context()
            assert (context.is_valid, context.trace_flags.sampled) == (True, False)

    for _ in _observed(spans, SpanObserver(tracer_provider=spans.provider)):
        run(main())
    assert spans.seen == []


def test_without_an_sdk_nothing_is_attached() -> None:
    """With no tracer provider a timeout changes nothing in the context."""
    observer = SpanObserver()

    async def main() -> None:
        async with timeout(1.0, name="t") as entered:
            assert observer(entered) is None
            assert trace.get_current_span() is trace.INVALID_SPAN

    run(main())


def test_an_unknown_policy_is_refused() -> None:
    """A policy that is neither of the two is a ValueError that says so."""
    with pytest.raises(ValueError, match="policy must be 'always' or 'late', not 'off'"):
        SpanObserver("off")  # type: ignore[arg-type]  # the point


def test_late_spans_are_only_of_what_went_wrong(late: Spans) -> None:
    """Late, only expiries and overruns become spans, with the attributes they would have had anyway."""

    async def main() -> None:
        async with timeout(1.0, name="completed"):
            pass
        with pytest.raises(TimeoutError):
            async with timeout(1.0, name="failed"):
                await failing()
        async with timeout(1.0, name="late"):
            await block(1.5)
        async with timeout(1.0, name="suppressed"):
            await swallowing()
        with pytest.raises(KeyError):
            async with timeout(1.0, name="replaced"):
                await replacing()
        with pytest.raises(TimeoutError):
            async with timeout(1.0, name="outer"), timeout(2.0, name="inner"):
                await waiting()
        with budget(0.5), pytest.raises(TimeoutError):
            async with timeout(None, name="rejected", at_least=1.0):
                pytest.fail("not rejected")

    run(main())
    expired = {"error.type": "timeout", **WAITING}
    inner = _start("inner", 1.0, source="inherited", requested=2.0, outcome="inherited", owner="outer", **expired)
    outer = _start("outer", 1.0, outcome="expired", spent=("1.000 s in inner (unfinished)",), **expired)
    rejected = _start("rejected", 0.5, source="inherited", outcome="rejected", owner="_budget")
    assert late.seen == [
        Seen("timeout late", None, "UNSET", _start("late", 1.0, outcome="late", overrun=0.5)),
        Seen("timeout suppressed", None, "UNSET", _start("suppressed", 1.0, outcome="suppressed")),
        Seen(
            "timeout replaced",
            None,
            "ERROR",
            _start("replaced", 1.0, outcome="replaced", **WAITING) | {"error.type": "KeyError"},
        ),
        Seen("timeout inner", None, "ERROR", inner),
        Seen("timeout outer", None, "ERROR", outer),
        Seen("timeout rejected", None, "ERROR", rejected | {"error.type": "timeout"}),
    ]


def test_a_deadline_that_came_later_is_told(late: Spans) -> None:
    """A late span of what had no deadline on entry tells which ended it, and whose; of a mere future, no code."""

    async def main() -> None:
        async with timeout(None, name="outer") as outer:
            async with timeout(None, name="inner"):
                outer.reschedule(1.0)
                await waiting()

    async def at_once() -> None:
        await wait_for(asyncio.get_running_loop().create_future(), 0, name="future")

    for program in (main, at_once):
        with pytest.raises(TimeoutError):
            run(program())
    inner, _, future = late.seen
    assert inner.attributes == {
        "name": "inner",
        "kind": "timeout",
        "source": "inherited",
        "limit": 1.0,
        "outcome": "inherited",
        "owner": "outer",
        "error.type": "timeout",
        **WAITING,
    }
    assert future.attributes == _start("future", 0.0, "wait_for", outcome="expired") | {"error.type": "timeout"}


def test_a_late_span_starts_when_its_timeout_did(late: Spans) -> None:
    """A late span has the start its timeout had, and lasts as long."""

    async def main() -> None:
        async with timeout(1.0, name="t"):
            await waiting()

    with pytest.raises(TimeoutError):
        run(main())
    (span,) = late.ended
    assert span.start_time is not None
    assert span.end_time is not None
    assert round((span.end_time - span.start_time) / 1e9, 1) == 1.0  # time_ns, read twice


def test_a_late_span_has_the_parent_of_its_entry(late: Spans) -> None:
    """A late span is beneath what was current on entry, and so is what was begun inside; nothing is attached."""

    async def main() -> None:
        with late.tracer.start_as_current_span("request") as request:
            async with timeout(1.0, name="t"):
                assert trace.get_current_span() is request
                with late.tracer.start_as_current_span("child"):
                    await waiting()

    with pytest.raises(TimeoutError):
        run(main())
    assert late.tree == [("child", "request"), ("timeout t", "request"), ("request", None)]


def test_many_limits_are_told_each_as_it_is(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of how spans begin is bounded, and nobody who is shown it can change it."""
    monkeypatch.setattr(tracedtimeout.spans, "STARTS", 2)
    (observer,) = _observers.installed
    assert isinstance(observer, SpanObserver)

    async def main() -> None:
        for limit in (1.0, 2.0, 1.0, 3.0, 4.0, 1.0):
            async with timeout(limit, name="t"):
                pass

    run(main())
    assert [seen.attributes["limit"] for seen in spans.seen] == [1.0, 2.0, 1.0, 3.0, 4.0, 1.0]
    assert len(observer._starts) <= 2
    for _, attributes in observer._starts.values():
        with pytest.raises(TypeError):
            attributes["mine"] = 1  # type: ignore[index]  # as a sampler might


def test_a_late_span_is_not_beneath_one_that_had_ended_by_then(late: Spans) -> None:
    """A task that was begun beneath the span of a timeout, by another policy then, outlives it."""
    always = SpanObserver("always", late.provider)

    async def child() -> None:
        await asyncio.sleep(1.0)
        async with timeout(1.0, name="t"):
            await waiting()

    async def main() -> None:
        with late.tracer.start_as_current_span("request"):
            _observers.add(always)
            async with timeout(5.0, name="before"):
                task = asyncio.create_task(child())
                await asyncio.sleep(0)
            _observers.remove(always)
            with pytest.raises(TimeoutError):
                await task

    run(main())
    assert late.tree == [("timeout before", "request"), ("timeout t", "request"), ("request", None)]


def test_an_observer_derived_from_that_of_late_spans_is_called(late: Spans) -> None:
    """Alone, and whatever its `__call__` does."""
    called = []

    class Picky(SpanObserver):
        def __call__(self, opened: View, /) -> Closer | None:
            called.append(opened.name)
            return super().__call__(opened) if opened.name == "picked" else None

    async def main() -> None:
        for name in ("picked", "other"):
            with contextlib.suppress(TimeoutError):
                async with timeout(1.0, name=name):
                    await waiting()

    spans = Spans()
    for observer in _observers.installed:
        _observers.remove(observer)
    _observers.add(picky := Picky("late", spans.provider))
    run(main())
    _observers.remove(picky)
    assert called == ["picked", "other"]
    assert spans.tree == [("timeout picked", None)]


def test_another_keeper_of_contexts_than_otels_own_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `OTEL_PYTHON_CONTEXT` may name one: late spans are beneath what that says is current."""
    kept = ContextVarsRuntimeContext()

    class Keeper(ContextVarsRuntimeContext):
        def get_current(self) -> Context:
            return kept.get_current()

    monkeypatch.setattr(context, "_RUNTIME_CONTEXT", Keeper())
    spans = Spans()
    _observers.add(observer := SpanObserver("late", spans.provider))
    request = spans.tracer.start_span("request")

    async def main() -> None:
        kept.attach(trace.set_span_in_context(request))
        with pytest.raises(TimeoutError):
            async with timeout(1.0, name="t"):
                await waiting()

    run(main())
    request.end()
    _observers.remove(observer)
    assert spans.tree == [("timeout t", "request"), ("request", None)]


def test_a_late_span_of_a_detached_timeout_has_its_parent(late: Spans) -> None:
    """`detach()` cuts the budget, not the trace."""

    async def main() -> None:
        with late.tracer.start_as_current_span("request"), detach(), pytest.raises(TimeoutError):
            async with timeout(1.0, name="t"):
                await waiting()

    run(main())
    assert late.tree == [("timeout t", "request"), ("request", None)]


def test_the_global_provider_is_used_once_it_is_set() -> None:
    """An observer made before the application set its provider finds it later."""
    assert isinstance(SpanObserver()._tracer, trace.ProxyTracer)
    assert isinstance(SpanObserver(tracer_provider=TracerProvider())._tracer, trace.Tracer)
    assert isinstance(Timeout(None, name="t"), asyncio.Timeout)

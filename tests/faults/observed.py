"""Observers and span processors that raise, call back and meddle: random programs show what asyncio's show without.

python -m tests.faults observed 50      # so many programs under each of them
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from tests.core.drawn import differing
from tracedtimeout import DeadlineExceeded, View, budget, checkpoint, remaining, timeout
from tracedtimeout._core import _observers
from tracedtimeout._core._open import open_timeouts
from tracedtimeout.spans import Policy, SpanObserver

Act = Callable[[Any], object]
"""Done with a timeout's `View`, or with a span."""


class Once:
    """An act that is not done for what it opens itself."""

    def __init__(self, act: Act) -> None:
        self._act = act
        self._busy = False

    def __call__(self, told: object) -> None:
        if not self._busy:
            self._busy = True
            try:
                self._act(told)
            finally:
                self._busy = False


class Meddler:
    """An observer that acts as a timeout opens, as it closes, or both."""

    def __init__(self, act: Act, *, opening: bool = True, closing: bool = True) -> None:
        self._opening = Once(act) if opening else None
        self._closing = Once(act) if closing else None

    def __call__(self, opened: View, /) -> Callable[[View], None] | None:
        if self._opening is not None:
            self._opening(opened)
        return self._closing


class Processor(SpanProcessor):
    """A span processor of the application's that acts as a span begins and ends."""

    def __init__(self, act: Act) -> None:
        self._act = Once(act)

    def on_start(self, span: object, parent_context: object = None) -> None:
        self._act(span)

    def on_end(self, span: ReadableSpan) -> None:
        self._act(span)


def raising(error: type[BaseException]) -> Act:
    """An act that raises `error`."""

    def act(told: object) -> None:
        raise error

    return act


def times_itself(told: object) -> None:
    """Open timeouts and budgets, and leave them in time, with an error, refused, and expired."""
    for error in (None, ValueError()):
        inner = timeout(0.5, name="observer's")
        _at_once(inner.__aenter__())
        _at_once(inner.__aexit__(None if error is None else type(error), error, None))
    with budget(0), suppress(DeadlineExceeded):
        checkpoint()
    _at_once(timeout(5.0, name="observer's", at_least=1e9).__aenter__())


def asks(told: object) -> None:
    """Ask for all that there is to know."""
    for attribute in dir(View):
        value = None if attribute.startswith("_") else getattr(told, attribute, None)
        if callable(value):
            value()
    remaining()
    [str(each) for each in open_timeouts()]


def comes_and_goes(told: object) -> None:
    """Add an observer, and take it away again."""
    another = Meddler(asks)
    _observers.add(another)
    _observers.remove(another)


def begins_spans(told: object) -> None:
    """Open timeouts in a span."""
    with trace.get_tracer("observer's").start_as_current_span("observer's"):
        times_itself(told)


def collects(told: object) -> None:
    """Have the garbage collector run."""
    gc.collect(0)


def _at_once(steps: Any) -> None:
    with suppress(StopIteration, ValueError, DeadlineExceeded):
        steps.send(None)


ERRORS = (RuntimeError, asyncio.CancelledError, StopIteration, GeneratorExit, MemoryError, TimeoutError)

ACTS: dict[str, Act] = {
    **{f"raises {error.__name__}": raising(error) for error in ERRORS},
    "times itself": times_itself,
    "asks": asks,
    "comes and goes": comes_and_goes,
    "begins spans": begins_spans,
    "collects": collects,
}


def spans(policy: Policy, act: Act) -> SpanObserver:
    """The observer that makes spans, with a processor that acts."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Processor(act))
    return SpanObserver(policy, tracer_provider=provider)


MOMENTS: dict[str, Callable[[Act], list[Any]]] = {
    "as it opens": lambda act: [Meddler(act, closing=False)],
    "as it closes": lambda act: [Meddler(act, opening=False)],
    "beside another": lambda act: [Meddler(asks), Meddler(act), Meddler(asks)],
    "in each span": lambda act: [spans("always", act)],
    "in late spans": lambda act: [spans("late", act)],
}
"""The observers, by when one acts."""


@contextmanager
def installed(*observers: Any) -> Iterator[None]:
    """With these observers, and nothing logged of what they raise."""
    _observers.add(*observers)
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)
        _observers.remove(*observers)


def changed(moment: str, act: str, seeds: range) -> list[str]:
    """A line for each program that shows something else than asyncio's, while observers act."""
    with installed(*MOMENTS[moment](ACTS[act])):
        return list(differing(seeds))


def changes(count: int) -> Iterator[str]:
    """A line for each moment, act and program that shows something else, of `count` programs under each."""
    for moment, act in itertools.product(MOMENTS, ACTS):
        gc.collect()  # the loops of the programs before: an observer that asks for all timeouts looks at each
        yield from (f"{moment}, one that {act}: {line}" for line in changed(moment, act, range(count)))

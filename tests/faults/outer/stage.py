"""The telemetry around a scene: everything installed, everything fresh; read as a user could."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from prometheus_client.registry import CollectorRegistry

import tracedtimeout
from tracedtimeout._core.figures import _process
from tracedtimeout.logs import LogObserver

Figures = dict[tuple[str, tuple[str, ...]], tuple[int, ...]]
"""Counts, by metric and label values: of a histogram those of its buckets."""

LOGGERS = ("tracedtimeout", "asyncio", "opentelemetry", "aiohttp.server")
"""Whoever may tell of an exception."""

UNTOLD = ("tracedtimeout.scrape.duration", "tracedtimeout.timer_lag", "tracedtimeout.transit")


class Ledger(SpanProcessor):
    """The spans that were begun and ended."""

    def __init__(self) -> None:
        self.open: dict[int, str] = {}
        self.names: dict[int, str] = {}
        self.ended: list[tuple[str, str | None, str]] = []

    def on_start(self, span: Span, parent_context: Any = None) -> None:
        assert span.context is not None
        self.open[span.context.span_id] = self.names[span.context.span_id] = span.name

    def on_end(self, span: ReadableSpan) -> None:
        assert span.context is not None
        del self.open[span.context.span_id]
        parent = None if span.parent is None else self.names.get(span.parent.span_id)
        self.ended.append((span.name, parent, span.status.status_code.name))


LEDGER = Ledger()
"""Of the process: OpenTelemetry has one global provider, and it is set once."""


def set_global_provider() -> None:
    provider = TracerProvider()
    provider.add_span_processor(LEDGER)
    trace.set_tracer_provider(provider)


class Stage:
    """`install()` with spans, logs, an observer of one's own and a registry; undone by `close`."""

    spans: Any = "always"

    def __init__(self) -> None:
        self._handler = _Records()
        for name in LOGGERS:
            logging.getLogger(name).addHandler(self._handler)
        LEDGER.open.clear()
        LEDGER.ended.clear()
        LEDGER.names.clear()
        self.told: list[str] = []
        self.half: list[str] = []
        """What a scene found half done, for `check`."""
        self.kept: dict[str, Any] = {}
        self.undo = self.install()

    def install(self) -> Callable[[], None]:
        self.registry = CollectorRegistry()
        logs = LogObserver(logging.getLogger("tracedtimeout.lines"))
        return tracedtimeout.install(registry=self.registry, spans=self.spans, observers=[self._observer, logs])

    def keep(self, key: str, make: Callable[[], Any]) -> Any:
        """What `make` made at the first call: an application outlives its requests."""
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]

    def check(self) -> Iterator[str]:
        """What is not as it should be at the end of a scene, struck or not."""
        yield from self.half

    def close(self) -> Iterator[str]:
        """Take it all down; yields what will not go."""
        for each in self.kept.values():
            if hasattr(each, "close_stage"):
                each.close_stage()
        self.undo()
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(self._handler)
        if self.registry._names_to_collectors:
            yield "the registry is not empty"

    def figures(self) -> Figures:
        return {
            (metric.name, labels): (*value.counts,) if isinstance(value, _process.Histogram) else (value,)
            for metric, values in _process.snapshot().items()
            for labels, value in values.items()
        }

    def since(self, before: Figures) -> dict[tuple[str, tuple[str, ...]], list[int]]:
        """What was counted since: sums are left out, which rounding changes, and what tells of the machine."""
        none = tuple[int, ...]()
        differences = {
            key: [new - old for new, old in zip_longest(value, before.get(key, none), fillvalue=0)]
            for key, value in self.figures().items()
        }
        return {key: value for key, value in differences.items() if any(value) and key[0] not in UNTOLD}

    def active(self) -> int:
        return sum(value[0] for (name, _), value in self.figures().items() if name == "tracedtimeout.active")

    def ended_spans(self) -> list[tuple[str, str | None, str]]:
        ended, LEDGER.ended = LEDGER.ended, []
        return [each for each in ended if each[0] != "program"]

    def open_spans(self) -> list[str]:
        return sorted(LEDGER.open.values())

    def logged(self, error: BaseException) -> int:
        """How many records tell of `error`."""
        return sum(record.exc_info is not None and record.exc_info[1] is error for record in self._handler.records)

    def forget_exceptions(self) -> None:
        self._handler.records.clear()

    def _observer(self, timeout: tracedtimeout.View) -> Callable[[tracedtimeout.View], None]:
        return lambda timeout: self.told.append(f"{timeout.name} {timeout.outcome}")


class Late(Stage):
    """Spans of what goes wrong alone."""

    spans = "late"


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

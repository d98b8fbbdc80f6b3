"""What the tests of exporters share: a loop on virtual time, OTel's SDK with an exporter in memory, spans as tuples."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, NamedTuple, TypeVar

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock stands still while anything runs, and jumps to the next timer when nothing does."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._select = self._selector.select  # type: ignore[attr-defined]  # private, as in every virtual loop
        self._selector.select = self._jump  # type: ignore[attr-defined]  # as above

    def time(self) -> float:
        return self.now

    def _jump(self, seconds: float | None) -> Any:
        if seconds is not None and seconds > 0.0:
            self.now += seconds
        return self._select(0)


def run(main: Coroutine[Any, Any, T]) -> T:
    """`main` run to its end on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


async def block(seconds: float) -> None:
    """Let time pass without letting the loop run."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.now += seconds


class Seen(NamedTuple):
    """A span as a test compares it: its parent and status by name."""

    name: str
    parent: str | None
    status: str
    attributes: dict[str, Any]


class Spans:
    """A tracer provider and the spans it ended."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    @property
    def ended(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def tree(self) -> list[tuple[str, str | None]]:
        """Each span's name and its parent's, in the order they ended."""
        return [(span.name, span.parent) for span in self.seen]

    @property
    def seen(self) -> list[Seen]:
        names = {span.context.span_id: span.name for span in self.ended if span.context is not None}
        return [
            Seen(
                span.name,
                None if span.parent is None else names.get(span.parent.span_id, "not ended"),
                span.status.status_code.name,
                _plain(span.attributes or {}),
            )
            for span in self.ended
        ]


def _plain(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Without our prefix, and without the lines of code that a test would have to follow."""
    return {
        key.removeprefix("tracedtimeout."): value
        for key, value in attributes.items()
        if key not in {"code.file.path", "code.line.number"}
    }

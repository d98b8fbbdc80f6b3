"""What the tests of exporters share: OTel's SDK with an exporter in memory, spans as tuples, programs of their own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tracedtimeout.testing import VirtualClockLoop, run

__all__ = ["ROOT", "Seen", "Spans", "block", "python", "run"]

ROOT = Path(__file__).parents[2]


async def block(seconds: float) -> None:
    """Let time pass without letting the loop run."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    loop._now += seconds


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


def python(program: str, *arguments: str) -> str:
    """What a Python of its own prints when it runs `program`; its errors fail the test."""
    done = subprocess.run(  # the interpreter of the tests
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout

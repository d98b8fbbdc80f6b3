"""A picture of one trace of the demo, its spans one beneath the other: where a checkout's time went."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import matplotlib as mpl
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.services.asgi_servers import serving
from tests.support.processes import shop

SLOW_CARD = "/checkout?product=7&card=4009"
"""The bank is slow with this card, so that the checkout expires."""

EXPORTED = 8.0
"""Seconds until all spans are here; they are exported every five."""

COLORS = {"expired": "#e02f44", "inherited": "#ff780a", "cancelled": "#8e8e8e", "": "#5794f2"}
DARK, LIGHT, GREY = "#181b1f", "#ccccdc", "#8e8e9c"


@dataclass(frozen=True, slots=True)
class Span:
    """A span as it was exported; times in seconds of Unix time."""

    id: str
    parent: str
    trace: str
    name: str
    service: str
    start: float
    end: float
    outcome: str
    message: str


async def draw(path: Path, folder: Path) -> None:
    """Write the picture to `path`; logs of the demo go to `folder`."""
    spans = await _spans(folder)
    root = max((span for span in spans if not span.parent), key=lambda span: span.end - span.start)
    _picture(_tree([span for span in spans if span.trace == root.trace], root), path)


async def _spans(folder: Path) -> list[Span]:
    """Every span that the demo exports of a checkout that expires."""
    exported: list[Span] = []

    async def collector(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if scope["path"] == "/v1/traces":
            exported.extend(_read(body))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async with serving(collector) as url:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
        async with shop(folder) as demo, httpx.AsyncClient(base_url=f"http://{demo.shop}", timeout=20) as client:
            await client.post(SLOW_CARD)
            await client.post(SLOW_CARD)  # the second finds its connections open
            await asyncio.sleep(EXPORTED)
    return exported


def _read(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest.FromString(body)
    return [
        Span(
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            trace=span.trace_id.hex(),
            name=span.name,
            service=next((a.value.string_value for a in resource.resource.attributes if a.key == "service.name"), ""),
            start=span.start_time_unix_nano / 1e9,
            end=span.end_time_unix_nano / 1e9,
            outcome=next((a.value.string_value for a in span.attributes if a.key == "tracedtimeout.outcome"), ""),
            message=span.status.message,
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _tree(spans: Sequence[Span], root: Span, depth: int = 0) -> list[tuple[int, Span]]:
    children = sorted((span for span in spans if span.parent == root.id), key=lambda span: span.start)
    return [(depth, root), *(row for child in children for row in _tree(spans, child, depth + 1))]


def _picture(rows: Sequence[tuple[int, Span]], path: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  # after the choice of what draws

    root = rows[0][1]
    figure, axes = plt.subplots(figsize=(14, 0.34 * len(rows) + 1.1), facecolor=DARK)
    axes.set_facecolor(DARK)
    for row, (depth, span) in enumerate(rows):
        start, took = span.start - root.start, span.end - span.start
        axes.barh(row, max(took, 0.002), left=start, color=COLORS.get(span.outcome, COLORS[""]), height=0.5)
        label = f"{took:.3f} s" + (f"  {span.outcome}" if span.outcome else "")
        axes.text(start + max(took, 0.002) + 0.006, row, label, color=LIGHT, va="center", fontsize=8)
        axes.text(
            -0.02,
            row,
            "    " * depth + span.name,
            color=LIGHT,
            va="center",
            ha="left",
            fontsize=9,
            transform=axes.get_yaxis_transform(),
            position=(-0.42, row),
        )
        axes.text(-0.10, row, span.service, color=GREY, va="center", fontsize=8, transform=axes.get_yaxis_transform())
    axes.invert_yaxis()
    axes.set_yticks([])
    axes.set_xlim(0, (root.end - root.start) * 1.25)
    axes.tick_params(colors=GREY)
    axes.set_xlabel("seconds", color=GREY)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.grid(axis="x", color="#2c3235")
    axes.set_axisbelow(True)
    axes.set_title(
        next((span.message for _, span in rows if span.message), root.name),
        color=LIGHT,
        fontsize=9,
        loc="right",
        wrap=True,
    )
    figure.subplots_adjust(left=0.33, right=0.98)
    figure.savefig(path, dpi=110, facecolor=DARK, bbox_inches="tight")

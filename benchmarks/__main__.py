"""The table of costs, on the Python that runs it.

    python -m benchmarks                # the table
    python -m benchmarks --write        # and keep it, with a plot, under benchmarks/results/
    python -m benchmarks --uvloop       # on uvloop
    python -m benchmarks --quick        # a quarter of the time, for a look

Pairs run in turns in one process; each figure is the median over the turns of the ratio. The first row compares asyncio
with itself: what it differs from 1 is the noise of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import sys
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import uvloop
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler

import tracedtimeout
from tracedtimeout import otlp
from tracedtimeout._core import _observers
from tracedtimeout.spans import SpanObserver

from . import _crowds, _memory, _programs
from ._measure import Pair, Program, compare, net

RESULTS = Path(__file__).parent / "results"


class Row(NamedTuple):
    """One line of the table: what, beside what, and the ratio aimed at (None for no aim)."""

    what: str
    beside: str
    aim: str
    pair: Pair


class Nowhere(SpanExporter):
    """Takes spans and drops them."""

    def export(self, spans: object) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What a timeout costs.")
    parser.add_argument("--write", action="store_true", help="keep the table and a plot under benchmarks/results/")
    parser.add_argument("--uvloop", action="store_true", help="measure on uvloop")
    parser.add_argument("--quick", action="store_true", help="a quarter of the turns")
    chosen = parser.parse_args()
    factory = uvloop.new_event_loop if chosen.uvloop else None
    turns = 20 if chosen.quick else 80
    title = f"{platform.python_implementation()} {platform.python_version()}{', uvloop' if chosen.uvloop else ''}"
    with asyncio.Runner(loop_factory=factory) as runner:
        rows = [*core_rows(runner, turns), *telemetry_rows(runner, turns // 2), *peer_rows(runner, turns // 2)]
    crowds = {"asyncio.timeout": _crowds.costs(asyncio.timeout), "tracedtimeout": _crowds.costs(_named)}
    table = show(title, rows, crowds)
    print(table)
    if chosen.write:
        keep(title, table, crowds)
    return 0


def core_rows(runner: asyncio.Runner, turns: int) -> Iterator[Row]:
    """A timeout that is counted, with no SDK, beside the bare one."""
    p = _programs
    newer = sys.version_info >= (3, 12)
    aims: list[tuple[str, str, str, Program, Program, int]] = [
        ("asyncio.timeout", "itself (control)", "1.0", p.bare, _again(p.bare), 500),
        ("one, named", "asyncio.timeout", "0.7", p.bare, p.named, 500),
        ("one, default name", "asyncio.timeout", "0.75", p.bare, p.default_name, 500),
        ("three nested", "asyncio.timeout", "0.85", p.bare_nested, p.nested, 200),
        (
            "1,000 tasks, ten in a row in each",
            "asyncio.timeout",
            "0.85",
            p.crowd(p.bare_task_of_ten, 0),
            p.crowd(p.our_task_of_ten, 0),
            1000,
        ),
        (
            "1,000 tasks of one, themselves included",
            "asyncio.timeout",
            "",
            p.crowd(p.bare_task, 0),
            p.crowd(p.our_task, 0),
            1000,
        ),
        ("one in a child task of another's", "asyncio.timeout", "", p.bare, p.in_a_child_task, 500),
        ("one beneath a budget()", "asyncio.timeout", "", p.bare, p.beneath_a_budget, 500),
        ("one of another limit each time", "asyncio.timeout", "", p.bare, p.each_another, 500),
        ("one without a deadline", "asyncio.timeout(None)", "", p.bare_unlimited, p.unlimited, 500),
        ("wait_for", "asyncio.wait_for", "0.55" if newer else "0.2", p.bare_wait_for, p.wait_for, 500),
    ]
    for what, beside, aim, theirs, ours, times in aims:
        yield Row(what, beside, aim, compare(runner, theirs, ours, times, turns=turns if times < 1000 else turns // 2))
    yield Row(
        "1,000 tasks of 6 ms, net",
        "asyncio.timeout",
        "0.7",
        net(
            runner,
            p.crowd(asyncio.sleep, 0.006),
            p.crowd(p.bare_task, 0.006),
            p.crowd(p.our_task, 0.006),
            1000,
            turns=turns,
        ),
    )
    weighs, weigh = _memory.bytes_per_timeout(asyncio.timeout), _memory.bytes_per_timeout(_named)
    yield Row("bytes, open", "asyncio.timeout", "0.95", Pair(weighs, weigh, weigh / weighs))


def telemetry_rows(runner: asyncio.Runner, turns: int) -> Iterator[Row]:
    """The same with OpenTelemetry's SDK."""
    p = _programs
    for what, sampler, aim in (("SDK span, sampled", ALWAYS_ON, "1.0"), ("SDK span, not sampled", ALWAYS_OFF, "")):
        provider = _provider(sampler)
        with observed(SpanObserver("always", tracer_provider=provider)):
            by_hand = p.with_span_by_hand(provider.get_tracer("by-hand"))
            pair = compare(runner, by_hand, p.named, 200, turns=turns)
        yield Row(what, "asyncio.timeout + span by hand", aim, pair)
    undo = otlp.instrument(MeterProvider(metric_readers=[InMemoryMetricReader()]))
    yield Row("OTel metrics on", "asyncio.timeout", "", compare(runner, p.bare, p.named, 500, turns=turns))
    undo()
    with observed(SpanObserver("late", tracer_provider=_provider(ALWAYS_ON))):
        yield Row("SDK, spans late", "asyncio.timeout", "1.0", compare(runner, p.bare, p.named, 500, turns=turns))


def peer_rows(runner: asyncio.Runner, turns: int) -> Iterator[Row]:
    """The cost of others, beside the bare one too."""
    p = _programs
    for name, program in p.OTHERS.items():
        yield Row(name, "asyncio.timeout", "", compare(runner, p.bare, program, 200, turns=turns))
    by_hand = p.with_prometheus_by_hand()
    yield Row(
        "asyncio.timeout + prometheus_client by hand",
        "asyncio.timeout",
        "",
        compare(runner, p.bare, by_hand, 200, turns=turns),
    )
    with_span = p.with_span_by_hand(_provider(ALWAYS_ON).get_tracer("by-hand"))
    yield Row(
        "asyncio.timeout + sampled span by hand",
        "asyncio.timeout",
        "",
        compare(runner, p.bare, with_span, 200, turns=turns),
    )


def show(title: str, rows: list[Row], crowds: dict[str, dict[int, float]]) -> str:
    """The table, in Markdown."""
    lines = [f"### {title}", "", "| what | beside | it | this | ratio | aim |", "|---|---|---|---|---|---|"]
    for what, beside, aim, (theirs, ours, ratio) in rows:
        unit = "B" if what.startswith("bytes") else "us"
        aimed = f"<= {aim}" if aim and "control" not in beside else aim
        lines.append(f"| {what} | {beside} | {theirs:.2f} {unit} | {ours:.2f} {unit} | **{ratio:.2f}** | {aimed} |")
    for name, costs in crowds.items():
        few, many = costs[min(costs)], costs[max(costs)]
        aimed = "<= 1.5" if name == "tracedtimeout" else ""
        lines.append(
            f"| {name}, {max(costs):,} open | itself, {min(costs)} open | {few:.2f} us | {many:.2f} us "
            f"| **{many / few:.2f}** | {aimed} |"
        )
    return "\n".join(lines) + "\n"


def keep(title: str, table: str, crowds: dict[str, dict[int, float]]) -> None:
    """Write the table and the plot of cost against concurrency."""
    import matplotlib.pyplot as plt  # noqa: PLC0415  # only who writes needs it

    RESULTS.mkdir(exist_ok=True)
    stem = title.lower().replace(", ", "-").replace(" ", "-")
    (RESULTS / f"{stem}.md").write_text(table)
    figure, axes = plt.subplots(figsize=(7, 4))
    for name, costs in crowds.items():
        axes.plot(list(costs), list(costs.values()), marker="o", label=name)
    axes.set(xscale="log", xlabel="open at once", ylabel="us to enter and leave one", title=title)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / f"{stem}.png", dpi=110)


@contextmanager
def observed(observer: SpanObserver) -> Iterator[None]:
    _observers.add(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


def _provider(sampler: Sampler) -> TracerProvider:
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(Nowhere()))
    return provider


def _named(seconds: float) -> tracedtimeout.Timeout:
    return tracedtimeout.timeout(seconds, name="crowd")


def _again(program: Program) -> Program:
    """The same under another identity."""

    def again(times: int) -> Awaitable[object]:
        return program(times)

    return again


if __name__ == "__main__":
    sys.exit(main())

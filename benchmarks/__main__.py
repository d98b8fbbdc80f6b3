"""The table of costs, on the Python that runs it, with the hot path in Python and, where it is built, in C.

    python -m benchmarks                # the table
    python -m benchmarks --write        # and keep it, with a plot, under benchmarks/results/
    python -m benchmarks --uvloop       # on uvloop
    python -m benchmarks --quick        # a quarter of the time, for a look
    python -m benchmarks.before COMMIT  # another commit beside this tree, in one process

Each twin is measured in a process of its own, beside asyncio: pairs run in turns there, and each figure is the median
over the turns of the ratio. The first row compares asyncio with itself: what differs from 1 is the noise of the
machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
from collections.abc import Awaitable, Iterator, Sequence
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
from tracedtimeout._core import _hot, _observers
from tracedtimeout.spans import SpanObserver

from . import _crowds, _memory, _programs
from ._measure import Pair, Program, compare

RESULTS = Path(__file__).parent / "results"

AIMS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "one, named": ((0.53, 0.66, 0.72), (0.27, 0.32, 0.33)),
    "one, default name": ((0.55, 0.71, 0.78), (0.28, 0.34, 0.35)),
    "three nested, named, falling limits": ((0.58, 0.76, 0.79), (0.26, 0.32, 0.33)),
    "three nested, one default name, rising limits": ((0.6, 0.8, 0.83), (0.4,)),
    "1,000 tasks, ten in a row in each": ((0.58, 0.61, 0.72), (0.42, 0.44, 0.45)),
    "`wait_for` of a coroutine": ((0.13, 0.55, 0.57), (0.1, 0.33, 0.33)),
    "one in a child task of another's": ((1.0,), (0.6,)),
    "another limit each time": ((0.65, 0.8, 0.85), (0.45,)),
    "`timeout(None)`": ((1.5,), (0.8,)),
    "an expiry": ((1.5,), (1.2,)),
    "an expiry, two others inside": ((1.7,), (1.3,)),
    "10,000 expire in one tick": ((1.25,), (1.0,)),
    "bytes of an open one": ((0.95,), (0.8,)),
    "sampled span": ((1.0,), (0.9,)),
    '`spans="late"`': ((0.95,), (0.5,)),
}
"""The ratios aimed at, with the hot path in Python and in C: on 3.11, 3.12 and later, or one for all."""


class Row(NamedTuple):
    """One line of the table: what is measured, and beside what."""

    what: str
    beside: str
    pair: Pair


class Measured(NamedTuple):
    """All that one process measured."""

    implementation: str
    rows: list[Row]
    crowds: dict[str, dict[int, float]]


class Nowhere(SpanExporter):
    """Takes spans and drops them."""

    def export(self, spans: object) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What a timeout costs.")
    parser.add_argument("--write", action="store_true", help="keep the table and a plot under benchmarks/results/")
    parser.add_argument("--uvloop", action="store_true", help="measure on uvloop")
    parser.add_argument("--quick", action="store_true", help="a quarter of the turns")
    parser.add_argument("--here", action="store_true", help="in this process, for who reads JSON")
    chosen = parser.parse_args()
    if chosen.here:
        print(json.dumps(measure(uvloop=chosen.uvloop, turns=20 if chosen.quick else 80)))
        return 0
    options = [option for option in ("--uvloop", "--quick") if option in sys.argv]
    twins = [elsewhere(options, python=True)]
    if _hot.compiled is not None:
        twins.append(elsewhere(options, python=False))
    title = f"{platform.python_implementation()} {platform.python_version()}{', uvloop' if chosen.uvloop else ''}"
    table = show(title, twins)
    print(table)
    if chosen.write:
        keep(title, table, twins)
    return 0


def elsewhere(options: Sequence[str], *, python: bool) -> Measured:
    """The figures that a process of its own measures, with the hot path in Python or in C."""
    environment = os.environ | {"TRACEDTIMEOUT_NO_EXTENSIONS": "1" if python else "0"}
    command = [sys.executable, "-m", "benchmarks", "--here", *options]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    implementation, rows, crowds = json.loads(said)
    return Measured(
        implementation,
        [Row(what, beside, Pair(*pair)) for what, beside, pair in rows],
        {name: {int(size): cost for size, cost in costs.items()} for name, costs in crowds.items()},
    )


def measure(*, uvloop: bool, turns: int) -> Measured:
    with asyncio.Runner(loop_factory=_uvloop if uvloop else None) as runner:
        rows = [*core_rows(runner, turns), *telemetry_rows(runner, turns // 2)]
        if _hot.IMPLEMENTATION == "python":
            rows += peer_rows(runner, turns // 2)
    crowds = {"asyncio.timeout": _crowds.costs(asyncio.timeout), "tracedtimeout": _crowds.costs(_named)}
    return Measured(_hot.IMPLEMENTATION, rows, crowds)


def core_rows(runner: asyncio.Runner, turns: int) -> Iterator[Row]:
    """A timeout that is counted, with no SDK, beside the bare one."""
    p, bare = _programs, "asyncio.timeout"
    rows: list[tuple[str, str, Program, Program, int]] = [
        (bare, "itself (control)", p.bare, _again(p.bare), 500),
        ("one, named", bare, p.bare, p.named, 500),
        ("one, default name", bare, p.bare, p.default_name, 500),
        ("three nested, named, falling limits", bare, p.bare_nested, p.nested, 200),
        ("three nested, one default name, rising limits", bare, p.bare_rising, p.rising, 200),
        (
            "1,000 tasks, ten in a row in each",
            bare,
            p.crowd(p.bare_task_of_ten, 0),
            p.crowd(p.our_task_of_ten, 0),
            1000,
        ),
        ("`wait_for` of a coroutine", "asyncio.wait_for", p.bare_wait_for, p.wait_for, 500),
        ("one in a child task of another's", bare, p.bare_in_a_child_task, p.in_a_child_task, 500),
        ("one beneath a `budget()`", bare, p.bare, p.beneath_a_budget, 500),
        ("another limit each time", bare, p.bare_each_another, p.each_another, 500),
        ("`timeout(None)`", "asyncio.timeout(None)", p.bare_unlimited, p.unlimited, 500),
        ("an expiry", bare, p.expiring(asyncio.timeout), p.expiring(_named), 100),
        ("an expiry, two others inside", bare, p.expiring(asyncio.timeout, 2), p.expiring(_named, 2), 100),
        ("10,000 expire in one tick", bare, p.storm(asyncio.timeout), p.storm(_named), 10_000),
    ]
    for what, beside, theirs, ours, times in rows:
        fewer = {1000: 2, 10_000: 8}.get(times, 1)
        yield Row(what, beside, compare(runner, theirs, ours, times, turns=max(2, turns // fewer)))
    weighs, weigh = _memory.bytes_per_timeout(asyncio.timeout), _memory.bytes_per_timeout(_named)
    yield Row("bytes of an open one", bare, Pair(weighs, weigh, weigh / weighs))


def telemetry_rows(runner: asyncio.Runner, turns: int) -> Iterator[Row]:
    """A timeout that is counted, with OpenTelemetry's SDK."""
    p = _programs
    for what, sampler in (("sampled span", ALWAYS_ON), ("span that is not sampled", ALWAYS_OFF)):
        provider = _provider(sampler)
        with observed(SpanObserver("always", tracer_provider=provider)):
            by_hand = p.with_span_by_hand(provider.get_tracer("by-hand"))
            pair = compare(runner, by_hand, p.named, 200, turns=turns)
        yield Row(what, "asyncio.timeout + span by hand", pair)
    undo = otlp.instrument(MeterProvider(metric_readers=[InMemoryMetricReader()]))
    yield Row("OTel metrics on", "asyncio.timeout", compare(runner, p.bare, p.named, 500, turns=turns))
    undo()
    with observed(SpanObserver("late", tracer_provider=_provider(ALWAYS_ON))):
        yield Row('`spans="late"`', "asyncio.timeout", compare(runner, p.bare, p.named, 500, turns=turns))


def peer_rows(runner: asyncio.Runner, turns: int) -> Iterator[Row]:
    """The cost of others, beside the bare one too."""
    p = _programs
    for name, program in p.OTHERS.items():
        yield Row(name, "asyncio.timeout", compare(runner, p.bare, program, 200, turns=turns))
    by_hand = p.with_prometheus_by_hand()
    yield Row(
        "asyncio.timeout + prometheus_client by hand",
        "asyncio.timeout",
        compare(runner, p.bare, by_hand, 200, turns=turns),
    )
    with_span = p.with_span_by_hand(_provider(ALWAYS_ON).get_tracer("by-hand"))
    yield Row(
        "asyncio.timeout + sampled span by hand",
        "asyncio.timeout",
        compare(runner, p.bare, with_span, 200, turns=turns),
    )


def show(title: str, twins: list[Measured]) -> str:
    """The table, in Markdown: a ratio for each twin, with its aim."""
    words = {"python": "Python", "c": "C"}
    heads = [f"{words[twin.implementation]} | aim" for twin in twins]
    lines = [
        f"### {title}",
        "",
        f"| what | beside | asyncio | {' | '.join(heads)} |",
        "|---" * (3 + 2 * len(twins)) + "|",
    ]
    for i, (what, beside, (theirs, _, _)) in enumerate(twins[0].rows):
        cells = [_cell(twin, i, what, number) if i < len(twin.rows) else " | " for number, twin in enumerate(twins)]
        unit = "B" if what.startswith("bytes") else "us"
        lines.append(f"| {what} | {beside} | {theirs:.2f} {unit} | {' | '.join(cells)} |")
    few, many = _crowds.SIZES[0], _crowds.SIZES[-1]
    for name in twins[0].crowds:
        costs = [twin.crowds[name] for twin in twins]
        cells = [f"**{cost[many] / cost[few]:.2f}** | {'1.30' if name == 'tracedtimeout' else ''}" for cost in costs]
        lines.append(f"| {name}, {many:,} open | {few} open | {costs[0][few]:.2f} us | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(twin: Measured, row: int, what: str, number: int) -> str:
    aims = AIMS.get(what, ((), ()))[number]
    aim = f"{aims[min(sys.version_info.minor - 11, len(aims) - 1)]:.2f}" if aims else ""
    return f"**{twin.rows[row].pair.ratio:.2f}** | {aim}"


def keep(title: str, table: str, twins: list[Measured]) -> None:
    """Write the table and the plot of cost against concurrency."""
    import matplotlib.pyplot as plt  # noqa: PLC0415  # only who writes needs it

    RESULTS.mkdir(exist_ok=True)
    stem = title.lower().replace(", ", "-").replace(" ", "-")
    (RESULTS / f"{stem}.md").write_text(table)
    figure, axes = plt.subplots(figsize=(7, 4))
    lines = {"asyncio.timeout": twins[0].crowds["asyncio.timeout"]}
    lines |= {f"tracedtimeout, hot path in {twin.implementation}": twin.crowds["tracedtimeout"] for twin in twins}
    for name, costs in lines.items():
        axes.plot(list(costs), list(costs.values()), marker="o", label=name)
    axes.set(xscale="log", xlabel="open at once", ylabel="us to enter and leave one", title=title)
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    figure.legend(loc="outside lower center", ncols=len(lines), fontsize="small")
    figure.set_layout_engine("constrained")
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


def _uvloop() -> asyncio.AbstractEventLoop:
    return uvloop.new_event_loop()


def _named(seconds: float) -> tracedtimeout.Timeout:
    return tracedtimeout.timeout(seconds, name="crowd")


def _again(program: Program) -> Program:
    """`program` under another identity."""

    def again(times: int) -> Awaitable[float | None]:
        return program(times)

    return again


if __name__ == "__main__":
    sys.exit(main())

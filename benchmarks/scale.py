"""The cost of very many processes to those who store their metrics: one is measured, the rest is arithmetic.

    python -m benchmarks.scale            # the tables
    python -m benchmarks.scale --write    # and docs/scale.md with them

One process with 200 names counts; its page of metrics and its OTLP message are taken apart.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from tracedtimeout import otlp
from tracedtimeout._core.figures import _process
from tracedtimeout.prometheus import Collector

from .scrape import complete, every_outcome, expire, inherit

NAMES = 200
PROCESSES = 10_000
INTERVALS = (15, 30, 60)
"""Seconds between two scrapes, or exports."""
PAGE = Path(__file__).parents[1] / "docs" / "scale.md"

KEPT = ("duration_seconds", "expirations", "rejections", "interruptions", "active", "build_info")
"""Families that dashboards and alerts cannot do without, in short."""


@dataclass(frozen=True)
class Process:
    """One process as it is seen from outside."""

    series: Counter[str]
    """By family, without the suffixes of histograms."""
    histograms: int
    """Histograms, each with its labels: as many series as a store of native ones has of them."""
    buckets: Counter[str]
    """Of the series those that are buckets, by family."""
    page: int
    """Bytes of a scrape, as OpenMetrics."""
    zipped: int
    points: int
    """Data points of OTLP."""
    message: int
    """Bytes of an export, as protobuf."""
    message_zipped: int

    @property
    def total(self) -> int:
        return self.series.total()


async def usual(name: str) -> None:
    """One that completes; of each five names one expires as well, and one is ended by another's deadline."""
    number = int(name.rpartition("-")[2])
    for body in (complete, *([expire] if number % 5 == 0 else []), *([inherit] if number % 5 == 1 else [])):
        with contextlib.suppress(TimeoutError):
            await body(name)


def measured(each: Callable[[str], object]) -> Process:
    """A process in which `each` was awaited with every name."""
    _process.reset()
    asyncio.run(_all(each))
    registry = CollectorRegistry()
    registry.register(Collector())
    page = generate_latest(registry)  # type: ignore[no-untyped-call]  # prometheus_client's
    reader = InMemoryMetricReader()
    undo = otlp.instrument(MeterProvider(metric_readers=[reader]))
    data = reader.get_metrics_data()
    assert data is not None
    undo()
    message = encode_metrics(data).SerializeToString()
    names = [line.partition(" ")[0].partition("{")[0] for line in page.decode().splitlines() if line[0] != "#"]
    families: Counter[str] = Counter(_family(name) for name in names)
    points = [
        point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]
    return Process(
        series=families,
        histograms=sum(name.endswith("_count") for name in names),
        buckets=Counter(_family(name) for name in names if name.endswith("_bucket")),
        page=len(page),
        zipped=len(gzip.compress(page)),
        points=len(points),
        message=len(message),
        message_zipped=len(gzip.compress(message)),
    )


async def _all(each: Callable[[str], object]) -> None:
    for number in range(NAMES):
        await each(f"service.module:function-{number}")  # type: ignore[misc]  # all of them are coroutine functions


def _family(name: str) -> str:
    for suffix in ("_bucket", "_count", "_sum", "_total", "_created"):
        name = name.removesuffix(suffix)
    return name.removeprefix("tracedtimeout_")


def tables(quiet: Process, full: Process) -> dict[str, str]:
    """The tables of the page by their headings."""
    both = (quiet, full)
    one = [
        ("series", [f"{each.total:,}" for each in both]),
        ("of them buckets", [f"{each.buckets.total():,}" for each in both]),
        ("bytes of a scrape (OpenMetrics)", [f"{each.page:,}" for each in both]),
        ("the same, gzip", [f"{each.zipped:,}" for each in both]),
        ("data points of an OTLP export", [f"{each.points:,}" for each in both]),
        ("bytes of an OTLP export", [f"{each.message:,}" for each in both]),
        ("the same, gzip", [f"{each.message_zipped:,}" for each in both]),
    ]
    return {
        "One process": _table(("", "usual", "every outcome"), one),
        "Where its series are": _table(
            ("family", "usual", "every outcome"),
            [(f"`{family}`", [str(each.series[family]) for each in both]) for family, _ in full.series.most_common(8)],
        ),
        "Ten thousand of them": _table(
            ("every", "samples a second", "bytes a second, gzip", "OTLP points a second", "OTLP bytes a second, gzip"),
            [
                (
                    f"{seconds} s",
                    [
                        f"{PROCESSES * each // seconds:,}"
                        for each in (quiet.total, quiet.zipped, quiet.points, quiet.message_zipped)
                    ],
                )
                for seconds in INTERVALS
            ],
        ),
        "What cuts it": _table(
            ("what is done", "series a process", "of 10,000"),
            [(what, [f"{left:,}", f"{times * left:,}"]) for what, left, times in cuts(quiet)],
        ),
    }


def cuts(process: Process) -> list[tuple[str, int, int]]:
    """Ways to have fewer: what is done, the series that are left, and of how many processes."""
    buckets = process.buckets
    kept = sum(process.series[family] for family in KEPT)
    aggregated = process.series["duration_seconds"] + process.series["expirations"] + process.series["interruptions"]
    return [
        ("nothing", process.total, PROCESSES),
        ("`limit` without its buckets", process.total - buckets["limit_seconds"], PROCESSES),
        (
            "`limit` and `utilization` without theirs",
            process.total - buckets["limit_seconds"] - buckets["utilization"],
            PROCESSES,
        ),
        ("only the families that alerts on expiries read", kept, PROCESSES),
        ("native histograms: one series each", process.total - buckets.total() - process.histograms, PROCESSES),
        ("recorded without `instance`: one set for the service", aggregated, 1),
    ]


def _table(head: tuple[str, ...], rows: list[tuple[str, list[str]]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {what} | {' | '.join(cells)} |" for what, cells in rows)]) + "\n"


PROSE = {
    "": """\
# Ten thousand processes

What very many processes cost those who store their metrics. One process with 200 names (the default cap of
`max_names`) was measured; the rest is arithmetic. `python -m benchmarks.scale --write` writes this page.
""",
    "One process": """\
"Usual": every name completes, each fifth expires as well, and each fifth is ended by the deadline of
another. "Every outcome": each name has ended in all nine ways.
""",
    "Ten thousand of them": """\
Of the usual process. Prometheus keeps a sample in
[1 to 2 bytes](https://prometheus.io/docs/prometheus/latest/storage/#operational-aspects); how much memory its series
take was not measured here. A Collector that receives OTLP from all of them takes in the last two columns; if it serves
them to Prometheus, it holds as many series as they have.
""",
    "What cuts it": """\
Of the usual process. Each is a line of configuration, and nothing of the program changes:

- **Fewer names**: a name is a label of every series. Names come from code; `install(max_names=50)` caps them.
- **Fewer buckets**: `install(buckets=(0.01, 0.1, 1, 10))`, for all histograms that have the common bounds in seconds.
- **Families left out** as Prometheus reads them: `metric_relabel_configs` with `action: drop` and a `regex` on
  `__name__`, such as `tracedtimeout_limit_seconds_bucket`.
- **Native histograms**: Prometheus 3 stores each of ours as one series with `convert_classic_histograms_to_nhcb: true`
  in the scrape configuration; the dashboards and rules read both kinds.
- **Recording rules**: sum without `instance` (and `pod`), keep that for long, and the raw series for hours. The
  recording rules that are shipped (`dashboards/prometheus/recording.yml`) are such sums by service and name. Some
  alerts read `active`, `expirations`, `utilization` and `timer_lag` themselves: alert where the raw series are.
""",
    "Mimir, Thanos, Tempo": """\
- **Prometheus and Thanos**: one Prometheus a cluster or shard scrapes, records and alerts; Thanos keeps its blocks.
  `cluster` and `namespace` stand in the rules' sums: give each Prometheus its own as external labels.
- **Mimir**, or any store that is written to: record and alert where the scrape is (in a Prometheus: an agent evaluates
  no rules), and have `write_relabel_configs` keep `job_timeout.*` alone. What is written grows with services and their
  names, and not with processes.
- **Tempo**: `spans="late"` has a span for what expired or ran over and for nothing else; a process in which nothing
  does sends none. With `spans="always"` one comes with every timeout: sample, by the parent's decision.

Nothing on this page was run with ten thousand processes, nor with Mimir, Thanos or a Tempo of more than one node.
""",
}


def page(found: dict[str, str]) -> str:
    """The whole page."""
    text = PROSE[""]
    for heading in (*found, "Mimir, Thanos, Tempo"):
        text += f"\n## {heading}\n\n" + "\n".join(part for part in (found.get(heading), PROSE.get(heading)) if part)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description="What ten thousand processes cost a store of metrics.")
    parser.add_argument("--write", action="store_true", help="write docs/scale.md")
    logging.getLogger("tracedtimeout").setLevel(logging.CRITICAL)  # every name is late and suppressed once, on purpose
    chosen = parser.parse_args()
    found = tables(measured(usual), measured(every_outcome))
    print("\n".join(f"{heading}\n\n{table}" for heading, table in found.items()))
    if chosen.write:
        PAGE.write_text(page(found))


if __name__ == "__main__":
    main()

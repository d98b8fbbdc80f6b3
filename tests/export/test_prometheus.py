"""Prometheus shows the figures of every metric, in a thread of its own, in the format the client asks for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector as AnyCollector

from tests.support.scraping import lint, parsed, registry_of_ours, serving, shown
from tests.support.telemetry import python
from tracedtimeout import DeadlineExceeded, budget, install, timeout
from tracedtimeout._core._hot import IMPLEMENTATION
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout._shared import build
from tracedtimeout._version import VERSION
from tracedtimeout.prometheus import Collector, metrics_app, start_metrics_server
from tracedtimeout.testing import VirtualClockLoop, run

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


async def pass_by(delay: float | None, seconds: float, *, name: str = "charge", **options: Any) -> None:
    """Sleep in a timeout."""
    with suppress(DeadlineExceeded):
        async with timeout(delay, name=name, **options):
            await asyncio.sleep(seconds)


async def clean_up_slowly() -> None:
    with suppress(DeadlineExceeded):
        async with timeout(2.0, name="unwinds"):
            try:
                await asyncio.sleep(3.0)
            finally:
                await asyncio.sleep(0.25)


async def block() -> None:
    """Pass a deadline by half a second without letting the loop run."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualClockLoop)
    with suppress(DeadlineExceeded):
        async with timeout(2.0, name="blocks"):
            loop._now += 2.5
            await asyncio.sleep(1.0)


async def every_metric() -> None:
    """Have something to show for each metric."""
    await pass_by(2.0, 0.25)
    await pass_by(2.0, 3.0)
    await clean_up_slowly()
    with budget(1.0):
        await pass_by(5.0, 3.0, name="inner")
        await pass_by(5.0, 3.0, name="inner", at_least=0.05)
    async with timeout(2.0, name="moved") as moved:
        moved.reschedule(None)
    _process.record(_metrics.RECEIVED, ("deadline-budget",), 0.2)
    _process.record(_metrics.TRANSIT, ("deadline-budget",), 0.02)
    _process.record(_metrics.SCRAPE_DURATION, (), 0.004)
    _process.count(_metrics.HEADERS_IGNORED, ("grpc-timeout", "malformed"))
    _process.count(_metrics.THREADS_ABANDONED, ("GET /slow",))


def test_every_family_is_announced_before_anything_happened() -> None:
    """The first scrape has the type of every family, and no series but the build's."""
    types = {"histogram": "histogram", "counter": "counter", "updowncounter": "gauge"}
    lines = generate_latest(registry_of_ours()).decode().splitlines()
    announced = [f"# TYPE {metric.prometheus_name} {types[metric.kind]}" for metric in build.METRICS]
    helped = [f"# HELP {metric.prometheus_name} {metric.description}" for metric in build.METRICS]
    expected = [line for pair in zip(helped, announced, strict=True) for line in pair]
    assert lines == [
        *expected,
        f'tracedtimeout_build_info{{implementation="{IMPLEMENTATION}",version="{VERSION}"}} 1.0',
    ]


def test_registration_does_not_collect() -> None:
    """A registry learns the names from the description, so that registering takes no snapshot."""

    class Uncollected(Collector):
        def collect(self) -> Iterator[Metric]:
            pytest.fail("collected")

    CollectorRegistry(auto_describe=True).register(Uncollected())


def test_a_second_collector_in_one_registry_is_refused() -> None:
    """Nothing is shown twice."""
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        registry_of_ours().register(Collector())


def test_every_metric_shows_its_figure() -> None:
    """A workload with something for each metric is shown in whole by its samples."""
    run(every_metric())
    assert [line for metric in build.METRICS for line in shown(metric.prometheus_name)] == EVERY_METRIC


def test_expiries_stand_at_0_from_the_first_entry() -> None:
    """The first burst of a name is a rise from 0: what rises from nothing is no rise to Prometheus."""

    async def main() -> list[str]:
        async with timeout(2.0, name="charge"):
            return [line for line in generate_latest(registry_of_ours()).decode().splitlines() if "expired" in line]

    labels = 'outcome="expired",timeout="charge"'
    lines = run(main())
    assert [line for line in lines if "_bucket" not in line] == [
        f"tracedtimeout_duration_seconds_count{{{labels}}} 0.0",
        f"tracedtimeout_duration_seconds_sum{{{labels}}} 0.0",
        f"tracedtimeout_expirations_total{{{labels}}} 0.0",
    ]
    assert f'tracedtimeout_duration_seconds_bucket{{le="+Inf",{labels}}} 0.0' in lines


def test_a_blocked_loop_shows_as_timer_lag() -> None:
    """A timer that runs half a second after its deadline is half a second of lag."""
    run(block())
    assert shown("tracedtimeout_timer_lag_seconds") == [
        'tracedtimeout_timer_lag_seconds_bucket{le="0.5"} 1.0',
        "tracedtimeout_timer_lag_seconds_count 1.0",
        "tracedtimeout_timer_lag_seconds_sum 0.5",
    ]


def test_an_open_timeout_is_active() -> None:
    """The gauge is 1 in the body; a gauge, it goes back."""

    async def main() -> list[list[str]]:
        async with timeout(2.0, name="charge"):
            inside = shown("tracedtimeout_active")
        return [inside, shown("tracedtimeout_active")]

    assert run(main()) == [
        ['tracedtimeout_active{timeout="charge"} 1.0'],
        ['tracedtimeout_active{timeout="charge"} 0.0'],
    ]


def test_a_duration_on_a_bound_is_in_its_bucket() -> None:
    """Bounds are inclusive, and what is past the last is in +Inf alone."""

    async def main() -> None:
        for seconds in (0.5, 300.0, 301.0):
            await pass_by(None, seconds)

    run(main())
    assert shown("tracedtimeout_duration_seconds") == [
        'tracedtimeout_duration_seconds_bucket{le="0.5",outcome="completed",timeout="charge"} 1.0',
        'tracedtimeout_duration_seconds_bucket{le="300.0",outcome="completed",timeout="charge"} 2.0',
        'tracedtimeout_duration_seconds_bucket{le="+Inf",outcome="completed",timeout="charge"} 3.0',
        'tracedtimeout_duration_seconds_count{outcome="completed",timeout="charge"} 3.0',
        'tracedtimeout_duration_seconds_sum{outcome="completed",timeout="charge"} 601.5',
    ]


def test_names_beyond_the_format_are_escaped() -> None:
    """Quotes, backslashes and newlines in a name come back as they were."""
    name = 'a "quoted"\\\n name é'

    async def main() -> None:
        await pass_by(2.0, 0.25, name=name)

    run(main())
    families = parsed(registry_of_ours())
    assert {
        sample.labels["timeout"]
        for family in families
        for sample in family.samples
        if family.name == "tracedtimeout_duration_seconds"
    } == {name}


@pytest.mark.server
def test_promtool_has_no_complaint() -> None:
    """Names, help and types follow Prometheus's conventions, with figures and without."""
    assert lint(generate_latest(registry_of_ours())) == ""
    run(every_metric())
    assert lint(generate_latest(registry_of_ours())) == ""


def test_openmetrics_is_well_formed() -> None:
    """The strict parser accepts it, units included."""
    run(every_metric())
    families = parsed(registry_of_ours())
    assert [(family.name, family.unit) for family in families] == [
        (
            metric.prometheus_name.removesuffix("_total") if metric.kind == "counter" else metric.prometheus_name,
            "seconds" if metric.unit == "s" else "",
        )
        for metric in build.METRICS
    ]


class Probe(AnyCollector):
    """Collects only when the event loop runs meanwhile; notes the thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.threads: list[str] = []

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> list[Metric]:
        loop_ran = threading.Event()
        self._loop.call_soon_threadsafe(loop_ran.set)
        assert loop_ran.wait(5.0), "the event loop stands still during the scrape"
        self.threads.append(threading.current_thread().name)
        return []


async def get(app: Any, method: str = "GET", path: str = "/metrics", **headers: str) -> httpx.Response:
    """What a client gets from `app`, served for real."""
    async with serving(app) as address, httpx.AsyncClient() as client:
        return await client.request(method, address + path, headers={"accept-encoding": "identity", **headers})


async def test_a_scrape_happens_off_the_loop() -> None:
    """While a scrape collects, the event loop runs."""
    registry = CollectorRegistry()
    probe = Probe(asyncio.get_running_loop())
    registry.register(probe)
    response = await get(metrics_app(registry=registry))
    assert (response.status_code, probe.threads) == (200, ["tracedtimeout-scrape_0"])


async def test_scrapes_at_the_same_time_share_one_run() -> None:
    """Who asks for the same while it is collected gets the same page; who asks for another, or later, another run."""
    registry = CollectorRegistry()
    probe = Slow()
    registry.register(probe)
    app = metrics_app(registry=registry)
    same = [asyncio.create_task(scraped(app)) for _ in range(3)]
    other = asyncio.create_task(scraped(app, b"name[]=none"))
    for _ in range(20):  # all have asked, and none is answered yet
        await asyncio.sleep(0)
    same[0].cancel()  # it hangs up, and ends no run of others
    probe.go.set()
    await asyncio.wait([*same, other])
    assert ([task.result() for task in (*same[1:], other)], probe.runs) == ([200, 200, 200], 2)
    await scraped(app)
    assert probe.runs == 3


class Slow(AnyCollector):
    """Waits for a sign when it collects, and counts how often it did."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.runs = 0

    def describe(self) -> list[Metric]:
        return [Metric("none", "Nothing.", "gauge")]

    def collect(self) -> list[Metric]:
        assert self.go.wait(5.0)
        self.runs += 1
        return []


SCRAPED_AND_FORKED = """
import asyncio, os, warnings
from tests.export.test_prometheus import scraped
from tracedtimeout.prometheus import metrics_app
app = metrics_app()
asyncio.run(scraped(app))
warnings.simplefilter("ignore")  # of forking beside threads, which is the point
child = os.fork()
if child:
    print(os.waitpid(child, 0)[1])
else:
    os._exit(0 if asyncio.run(scraped(app)) == 200 else 1)
"""


async def scraped(app: Any, query: bytes = b"") -> int:
    """The status that an application answers a scrape with."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "headers": [], "query_string": query}
    await asyncio.wait_for(app(scope, None, send), 10)
    status: int = sent[0]["status"]
    return status


@pytest.mark.slow
def test_the_child_of_a_fork_can_be_scraped() -> None:
    """A process that was scraped and forks leaves its child with a thread to scrape in. (Real processes.)"""
    assert python(SCRAPED_AND_FORKED) == "0\n"


@pytest.mark.server
async def test_the_endpoint_serves_the_text_format() -> None:
    """A client that asks for nothing gets what promtool accepts."""
    registry = registry_of_ours()
    before = generate_latest(registry)
    response = await get(metrics_app(registry=registry))
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.content == before
    assert lint(response.content) == ""


async def test_the_endpoint_speaks_openmetrics_to_those_who_ask() -> None:
    """The Accept header chooses the format."""
    response = await get(metrics_app(registry=registry_of_ours()), accept=OPENMETRICS)
    assert response.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    "accepted",
    [
        "application/openmetrics-text;version=abc",
        "application/openmetrics-text; version=1..0",
        "text/plain;version=x;q",
        ";;,=,",
    ],
)
async def test_a_malformed_accept_gets_the_page(accepted: str) -> None:
    """What a client accepts that nobody can read is answered with the text format."""
    response = await get(metrics_app(registry=registry_of_ours()), accept=accepted)
    assert (response.status_code, response.text.startswith("# HELP tracedtimeout_")) == (200, True)
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip", "gzip"), ("br;q=1.0, GZIP;q=0.5", "gzip"), ("gzip;q=0", None), ("br", None), ("identity", None)],
)
async def test_the_endpoint_compresses_for_those_who_accept_it(accepted: str, encoding: str | None) -> None:
    """Gzip is used where it is accepted, and unpacks to the same."""
    registry = registry_of_ours()
    before = generate_latest(registry)
    response = await get(metrics_app(registry=registry), **{"accept-encoding": accepted})
    assert (response.headers.get("content-encoding"), response.content) == (encoding, before)
    assert (int(response.headers["content-length"]) < len(before)) == (encoding is not None)


async def test_head_answers_without_a_body() -> None:
    """HEAD has the headers of GET."""
    app = metrics_app(registry=CollectorRegistry())
    async with serving(app) as address, httpx.AsyncClient() as client:
        head, again = [await client.request(method, address) for method in ("HEAD", "GET")]
    assert (head.status_code, head.content) == (200, b"")
    assert dict(head.headers) == {**again.headers, "date": head.headers["date"]}


async def test_families_can_be_chosen_by_name() -> None:
    """``name[]`` restricts the scrape as prometheus_client does."""
    registry = registry_of_ours()
    Gauge("other", "Another.", registry=registry).set(3)
    response = await get(metrics_app(registry=registry), path="/?name[]=other&name[]=tracedtimeout_active")
    assert sorted(line for line in response.text.splitlines() if "TYPE" in line or line[0] != "#") == [
        "# TYPE other gauge",
        "other 3.0",
    ]


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 200), ("POST", 405), ("DELETE", 405)])
async def test_other_methods_are_told_what_is_allowed(method: str, status: int) -> None:
    """Nothing but GET and HEAD scrapes."""
    response = await get(metrics_app(registry=CollectorRegistry()), method)
    assert (response.status_code, response.headers["allow"], response.content) == (status, "GET, HEAD, OPTIONS", b"")


async def asgi(kind: str, *messages: str) -> list[dict[str, Any]]:
    """What the application sends when spoken to in another protocol."""
    sent: list[dict[str, Any]] = []
    incoming = iter(messages)

    async def receive() -> dict[str, Any]:
        return {"type": next(incoming)}

    async def send(message: Any) -> None:
        sent.append(message)

    await metrics_app(registry=CollectorRegistry())({"type": kind}, receive, send)
    return sent


async def test_a_websocket_is_refused() -> None:
    """The handshake is closed, which servers answer with 403."""
    assert await asgi("websocket", "websocket.connect") == [
        {"type": "websocket.close", "code": 1008, "reason": "the metrics endpoint is served over HTTP"}
    ]


async def test_lifespan_is_lived_through() -> None:
    """It can be the whole application."""
    assert await asgi("lifespan", "lifespan.startup", "lifespan.shutdown") == [
        {"type": "lifespan.startup.complete"},
        {"type": "lifespan.shutdown.complete"},
    ]


async def test_an_unknown_protocol_is_an_error() -> None:
    """As ASGI asks of applications."""
    with pytest.raises(NotImplementedError, match="'tcp'"):
        await asgi("tcp")


async def test_a_scrape_is_timed() -> None:
    """Each scrape shows in the next one, through either door."""
    registry = registry_of_ours()
    app = metrics_app(registry=registry)
    async with serving(app) as address, httpx.AsyncClient() as client:
        counts = [shown("tracedtimeout_scrape_duration_seconds", (await client.get(address)).text) for _ in range(3)]
        with start_metrics_server(0, registry=registry) as server:
            counts.append(
                shown(
                    "tracedtimeout_scrape_duration_seconds",
                    (await client.get(f"http://127.0.0.1:{server.port}/metrics?name[]={SCRAPES}")).text,
                )
            )
    assert [[line for line in lines if "_count" in line] for lines in counts] == [
        [],
        ["tracedtimeout_scrape_duration_seconds_count 1.0"],
        ["tracedtimeout_scrape_duration_seconds_count 2.0"],
        ["tracedtimeout_scrape_duration_seconds_count 3.0"],
    ]
    recorded = _process.snapshot()[_metrics.SCRAPE_DURATION][()]
    assert isinstance(recorded, _process.Histogram)
    assert (sum(recorded.counts), recorded.total > 0.0) == (4, True)


def test_a_program_without_a_web_server_can_be_scraped() -> None:
    """A server of its own shows the registry until it is closed, once or twice; then the port is free."""
    registry = registry_of_ours()
    before = generate_latest(registry)
    server = start_metrics_server(0, registry=registry)
    try:
        response = httpx.get(f"http://127.0.0.1:{server.port}/metrics")
    finally:
        server.close()
    server.close()
    assert response.content == before
    start_metrics_server(server.port, registry=registry).close()


def test_a_taken_port_is_an_error() -> None:
    """Whoever starts the second server learns of it."""
    with start_metrics_server(0) as server, pytest.raises(OSError, match="in use"):
        start_metrics_server(server.port)


SCRAPES = "tracedtimeout_scrape_duration_seconds_count"

EVERY_METRIC = f"""\
tracedtimeout_duration_seconds_bucket{{le="0.25",outcome="completed",timeout="charge"}} 1.0
tracedtimeout_duration_seconds_count{{outcome="completed",timeout="charge"}} 1.0
tracedtimeout_duration_seconds_sum{{outcome="completed",timeout="charge"}} 0.25
tracedtimeout_duration_seconds_bucket{{le="2.5",outcome="expired",timeout="charge"}} 1.0
tracedtimeout_duration_seconds_count{{outcome="expired",timeout="charge"}} 1.0
tracedtimeout_duration_seconds_sum{{outcome="expired",timeout="charge"}} 2.0
tracedtimeout_duration_seconds_bucket{{le="1.0",outcome="inherited",timeout="inner"}} 1.0
tracedtimeout_duration_seconds_count{{outcome="inherited",timeout="inner"}} 1.0
tracedtimeout_duration_seconds_sum{{outcome="inherited",timeout="inner"}} 1.0
tracedtimeout_duration_seconds_bucket{{le="0.005",outcome="rejected",timeout="inner"}} 1.0
tracedtimeout_duration_seconds_count{{outcome="rejected",timeout="inner"}} 1.0
tracedtimeout_duration_seconds_sum{{outcome="rejected",timeout="inner"}} 0.0
tracedtimeout_duration_seconds_bucket{{le="0.005",outcome="completed",timeout="moved"}} 1.0
tracedtimeout_duration_seconds_count{{outcome="completed",timeout="moved"}} 1.0
tracedtimeout_duration_seconds_sum{{outcome="completed",timeout="moved"}} 0.0
tracedtimeout_duration_seconds_bucket{{le="2.5",outcome="expired",timeout="unwinds"}} 1.0
tracedtimeout_duration_seconds_count{{outcome="expired",timeout="unwinds"}} 1.0
tracedtimeout_duration_seconds_sum{{outcome="expired",timeout="unwinds"}} 2.25
tracedtimeout_limit_seconds_bucket{{le="2.5",timeout="charge"}} 2.0
tracedtimeout_limit_seconds_count{{timeout="charge"}} 2.0
tracedtimeout_limit_seconds_sum{{timeout="charge"}} 4.0
tracedtimeout_limit_seconds_bucket{{le="1.0",timeout="inner"}} 1.0
tracedtimeout_limit_seconds_count{{timeout="inner"}} 1.0
tracedtimeout_limit_seconds_sum{{timeout="inner"}} 1.0
tracedtimeout_limit_seconds_bucket{{le="2.5",timeout="moved"}} 1.0
tracedtimeout_limit_seconds_count{{timeout="moved"}} 1.0
tracedtimeout_limit_seconds_sum{{timeout="moved"}} 2.0
tracedtimeout_limit_seconds_bucket{{le="2.5",timeout="unwinds"}} 1.0
tracedtimeout_limit_seconds_count{{timeout="unwinds"}} 1.0
tracedtimeout_limit_seconds_sum{{timeout="unwinds"}} 2.0
tracedtimeout_utilization_bucket{{le="0.25",timeout="charge"}} 1.0
tracedtimeout_utilization_bucket{{le="1.0",timeout="charge"}} 2.0
tracedtimeout_utilization_count{{timeout="charge"}} 2.0
tracedtimeout_utilization_sum{{timeout="charge"}} 1.125
tracedtimeout_utilization_bucket{{le="1.0",timeout="inner"}} 1.0
tracedtimeout_utilization_count{{timeout="inner"}} 1.0
tracedtimeout_utilization_sum{{timeout="inner"}} 1.0
tracedtimeout_utilization_bucket{{le="1.25",timeout="unwinds"}} 1.0
tracedtimeout_utilization_count{{timeout="unwinds"}} 1.0
tracedtimeout_utilization_sum{{timeout="unwinds"}} 1.125
tracedtimeout_unwind_seconds_bucket{{le="0.001",timeout="charge"}} 1.0
tracedtimeout_unwind_seconds_count{{timeout="charge"}} 1.0
tracedtimeout_unwind_seconds_sum{{timeout="charge"}} 0.0
tracedtimeout_unwind_seconds_bucket{{le="0.001",timeout="inner"}} 1.0
tracedtimeout_unwind_seconds_count{{timeout="inner"}} 1.0
tracedtimeout_unwind_seconds_sum{{timeout="inner"}} 0.0
tracedtimeout_unwind_seconds_bucket{{le="0.25",timeout="unwinds"}} 1.0
tracedtimeout_unwind_seconds_count{{timeout="unwinds"}} 1.0
tracedtimeout_unwind_seconds_sum{{timeout="unwinds"}} 0.25
tracedtimeout_timer_lag_seconds_bucket{{le="0.001"}} 3.0
tracedtimeout_timer_lag_seconds_count 3.0
tracedtimeout_timer_lag_seconds_sum 0.0
tracedtimeout_expirations_total{{outcome="expired",timeout="charge"}} 1.0
tracedtimeout_expirations_total{{outcome="expired",timeout="unwinds"}} 1.0
tracedtimeout_interruptions_total{{owner="_budget",timeout="inner"}} 1.0
tracedtimeout_rejections_total{{mode="enforce",reason="expired",timeout="inner"}} 1.0
tracedtimeout_reschedules_total{{timeout="moved"}} 1.0
tracedtimeout_active{{timeout="charge"}} 0.0
tracedtimeout_active{{timeout="inner"}} 0.0
tracedtimeout_active{{timeout="moved"}} 0.0
tracedtimeout_active{{timeout="unwinds"}} 0.0
tracedtimeout_received_seconds_bucket{{header="deadline-budget",le="0.25"}} 1.0
tracedtimeout_received_seconds_count{{header="deadline-budget"}} 1.0
tracedtimeout_received_seconds_sum{{header="deadline-budget"}} 0.2
tracedtimeout_transit_seconds_bucket{{header="deadline-budget",le="0.025"}} 1.0
tracedtimeout_transit_seconds_count{{header="deadline-budget"}} 1.0
tracedtimeout_transit_seconds_sum{{header="deadline-budget"}} 0.02
tracedtimeout_headers_ignored_total{{header="grpc-timeout",reason="malformed"}} 1.0
tracedtimeout_threads_abandoned{{timeout="GET /slow"}} 1.0
tracedtimeout_scrape_duration_seconds_bucket{{le="0.005"}} 1.0
tracedtimeout_scrape_duration_seconds_count 1.0
tracedtimeout_scrape_duration_seconds_sum 0.004
tracedtimeout_build_info{{implementation="{IMPLEMENTATION}",version="{VERSION}"}} 1.0
""".splitlines()


def test_a_page_without_figures_says_why() -> None:
    """Before `install()` the page of a registry says that it was not called, in both formats; afterwards not."""
    registry = CollectorRegistry()
    Gauge("temperature", "Of the room.", registry=registry)
    said = (
        "# HELP tracedtimeout_active No timeouts are shown: tracedtimeout.install() has not been called, "
        "or with another registry.\n# TYPE tracedtimeout_active gauge\n"
    )

    def page(path: str = "/metrics", accept: str = "") -> str:
        with start_metrics_server(0, registry=registry) as server:
            answer = httpx.get(f"http://127.0.0.1:{server.port}{path}", headers={"accept": accept})
        return answer.text

    assert page().endswith(said)
    assert page(accept=OPENMETRICS).endswith(f"{said}# EOF\n")
    assert "tracedtimeout" not in page("/metrics?name[]=temperature")
    undo = install(registry=registry, spans="off")
    try:
        assert "install()" not in page()
    finally:
        undo()

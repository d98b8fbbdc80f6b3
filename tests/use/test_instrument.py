"""Unchanged code: asyncio's own timeouts are watched, and behave to the letter as they did."""

from __future__ import annotations

import asyncio
import asyncio.tasks
import asyncio.timeouts
import functools
import gc
import inspect
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest
from opentelemetry.instrumentation.asyncio import AsyncioInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import tracedtimeout
from tests.support import cpython, missing
from tests.support.telemetry import ROOT, Seen, Spans, block, python, run
from tracedtimeout import Timeout, View, otlp, remaining
from tracedtimeout._core import _observers
from tracedtimeout._core.figures import _process
from tracedtimeout.instrument import TracedTimeoutInstrumentor, _calls
from tracedtimeout.spans import SpanObserver

ORIGINALS = (asyncio.timeout, asyncio.timeout_at, asyncio.Timeout, asyncio.wait_for)


def patched() -> tuple[object, ...]:
    return (asyncio.timeout, asyncio.timeout_at, asyncio.Timeout, asyncio.wait_for)


@contextmanager
def instrumented(**options: Any) -> Iterator[Spans]:
    """asyncio instrumented, and the spans that come of it."""
    spans = Spans()
    instrumentor = TracedTimeoutInstrumentor()
    instrumentor.instrument(tracer_provider=spans.provider, **options)
    try:
        yield spans
    finally:
        instrumentor.uninstrument()


@pytest.fixture
def spans() -> Iterator[Spans]:
    with instrumented() as spans:
        yield spans


def counted(metric: str) -> dict[tuple[str, ...], int]:
    """A counter's values, or how often a histogram was recorded into, by labels; what is 0 is left out."""
    counts = {
        labels: value if isinstance(value, int) else sum(value.counts)
        for row, values in _process.snapshot().items()
        if row.name == f"tracedtimeout.{metric}"
        for labels, value in values.items()
    }
    return {labels: count for labels, count in counts.items() if count}


async def waiting(seconds: float = 10.0) -> str:
    await asyncio.sleep(seconds)
    return "waited"


async def swallowing() -> str:
    with suppress(asyncio.CancelledError):
        await waiting()
    return "swallowed"


async def replacing() -> None:
    try:
        await waiting()
    finally:
        raise KeyError("replaced")


async def failing() -> None:
    raise TimeoutError("the body's own")


async def in_timeout(body: Awaitable[Any]) -> Any:
    async with asyncio.timeout(1.0):
        return await body


async def in_timeout_at(body: Awaitable[Any]) -> Any:
    async with asyncio.timeout_at(asyncio.get_running_loop().time() + 1.0):
        return await body


async def in_wait_for(body: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(body, 1.0)


GUARDS: dict[str, Callable[[Awaitable[Any]], Coroutine[Any, Any, Any]]] = {
    "timeout": in_timeout,
    "timeout_at": in_timeout_at,
    "wait_for": in_wait_for,
}

ENDS: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
    "completed": functools.partial(waiting, 0.5),
    "expired": waiting,
    "suppressed": swallowing,
    "replaced": replacing,
    "failed": failing,
    "late": functools.partial(block, 1.5),
}


def result_of(main: Coroutine[Any, Any, Any]) -> tuple[Any, ...]:
    """What a program ends with, exceptions told by type, words and cause."""
    try:
        return (run(main),)
    except Exception as exc:
        return (type(exc), str(exc), type(exc.__cause__), type(exc.__context__))


@pytest.mark.parametrize("kind", GUARDS)
@pytest.mark.parametrize("outcome", ENDS)
def test_each_outcome_is_counted_and_changes_nothing(kind: str, outcome: str) -> None:
    """Each outcome is counted, and what a program returns or raises is what it is without us."""
    bare = result_of(GUARDS[kind](ENDS[outcome]()))
    with instrumented() as spans:
        assert result_of(GUARDS[kind](ENDS[outcome]())) == bare
    assert counted("duration") == {(__name__, outcome): 1}
    fired = outcome in {"expired", "suppressed", "replaced"}
    assert counted("expirations") == ({(__name__, outcome): 1} if fired else {})
    assert counted("unwind") == ({(__name__,): 1} if fired else {})
    assert counted("active") == {}
    told = [(span.attributes["kind"], span.attributes["outcome"]) for span in spans.seen]
    assert told == ([(kind, outcome)] if fired or outcome == "late" else [])


@pytest.mark.parametrize("kind", GUARDS)
def test_a_cancellation_from_outside_is_one(kind: str, spans: Spans) -> None:
    """A watched timeout whose task is cancelled ends as `cancelled`."""

    async def main() -> None:
        task = asyncio.create_task(GUARDS[kind](waiting()))
        await asyncio.sleep(0.5)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())
    assert counted("duration") == {(__name__, "cancelled"): 1}
    assert spans.seen == []


def test_a_late_span_says_where_the_time_went(spans: Spans) -> None:
    """An expiry becomes a span with the caller's module as name, and where its task waited; what is raised is plain."""
    for guard in GUARDS.values():
        with pytest.raises(TimeoutError) as raised:
            run(guard(waiting()))
        assert type(raised.value) is TimeoutError
    name = f"timeout {__name__}"
    assert spans.seen == [
        Seen(
            name,
            None,
            "ERROR",
            {
                "name": __name__,
                "kind": kind,
                "limit": 1.0,
                "source": "own",
                "outcome": "expired",
                "error.type": "timeout",
                "code.function.name": f"{__name__}.waiting",
            },
        )
        for kind in GUARDS
    ]
    message = f"{__name__!r} exceeded its 1.000 s deadline after 1.000 s: waiting at {__name__}:"
    assert [str(span.status.description).startswith(message) for span in spans.ended] == [True, True, True]


def test_nothing_is_inherited_or_enforced(spans: Spans) -> None:
    """A watched timeout sets no budget, and draws on none."""

    async def main() -> None:
        async with asyncio.timeout(1.0):
            assert remaining() == float("inf")
            async with tracedtimeout.timeout(5.0, name="ours") as ours:
                assert ours.limit == 5.0
                async with asyncio.timeout(9.0):
                    await asyncio.sleep(0)
                assert remaining() == 5.0
        async with tracedtimeout.timeout(1.0, name="ours"), asyncio.timeout(2.0) as theirs:
            await asyncio.sleep(0)
            assert theirs.when() == 2.0

    run(main())
    assert counted("limit") == {(__name__,): 3, ("ours",): 2}


@pytest.mark.parametrize("delay", [0, -1])
def test_wait_for_with_no_time_is_watched(delay: float, spans: Spans) -> None:
    """`wait_for` with no time counts what is done as completed and what is not as expired; no timer was late."""

    async def main() -> None:
        done = asyncio.get_running_loop().create_future()
        done.set_result("done")
        assert await asyncio.wait_for(done, delay) == "done"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting(), delay)

    run(main())
    assert counted("duration") == {(__name__, "completed"): 1, (__name__, "expired"): 1}
    assert counted("timer_lag") == {}


def test_wait_for_of_a_future_is_watched(spans: Spans) -> None:
    """A future that never ends is `expired`; what ends in the iteration of the deadline is as asyncio has it."""

    async def main() -> str:
        loop = asyncio.get_running_loop()
        never, just = loop.create_future(), loop.create_future()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(never, 1.0)
        assert never.cancelled()
        loop.call_later(1.0, just.set_result, "just")
        with suppress(TimeoutError):
            return await asyncio.wait_for(just, 1.0)
        return "expired"

    if run(main()) == "expired":
        assert counted("duration") == {(__name__, "expired"): 2}
    else:  # with the extra task of 3.11
        assert counted("duration") == {(__name__, "expired"): 1, (__name__, "completed"): 1}


def test_wait_for_made_into_a_task_has_its_callers_name(spans: Spans) -> None:
    """`create_task(wait_for(...))` is counted for the code that wrote it."""

    async def main() -> None:
        assert await asyncio.create_task(asyncio.wait_for(waiting(0.5), timeout=None)) == "waited"

    run(main())
    assert counted("duration") == {(__name__, "completed"): 1}


def test_reschedules_move_the_limit(spans: Spans) -> None:
    """`reschedule` works as asyncio's and is counted; `limit` follows it."""

    async def main() -> None:
        async with asyncio.timeout(None) as moved:
            await asyncio.sleep(1.0)
            moved.reschedule(4.0)
            await waiting()

    with pytest.raises(TimeoutError):
        run(main())
    assert counted("reschedules") == {(__name__,): 1}
    assert [(span.attributes["limit"], span.attributes["reschedules"]) for span in spans.seen] == [(4.0, 1)]


def test_names_can_say_the_function() -> None:
    """Asked for more, a timeout is called by module and function."""
    with instrumented(names="function"):
        run(in_timeout(waiting(0.5)))
        run(in_wait_for(waiting(0.5)))
    assert counted("duration") == {
        (f"{__name__}:in_timeout", "completed"): 1,
        (f"{__name__}:in_wait_for", "completed"): 1,
    }


@pytest.mark.parametrize(
    ("options", "watched"),
    [
        ({"include": ["tests"]}, True),
        ({"include": "tests.use.test_instrument,other"}, True),
        ({"include": ["test"]}, False),
        ({"exclude": ["tests.use.test_instrument"]}, False),
        ({"exclude": ["tests.use.test"]}, True),
        ({"include": ["tests"], "exclude": ["tests"]}, False),
    ],
)
def test_modules_are_chosen_by_prefix(options: dict[str, Any], watched: bool) -> None:
    """`include` and `exclude` choose by whole parts of the module's name; the unwatched run as ever."""
    with instrumented(**options):
        for guard in GUARDS.values():
            with pytest.raises(TimeoutError):
                run(guard(waiting()))
    assert counted("duration") == ({(__name__, "expired"): 3} if watched else {})


def test_the_environment_stands_in_for_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option has an environment variable, as `opentelemetry-instrument` passes no arguments."""
    monkeypatch.setenv("TRACEDTIMEOUT_INSTRUMENT_EXCLUDE", "somebody, tests")
    with instrumented():
        run(in_timeout(waiting(0.5)))
    assert counted("duration") == {}
    with instrumented(exclude=(), names="function"):
        run(in_timeout(waiting(0.5)))
    assert counted("duration") == {(f"{__name__}:in_timeout", "completed"): 1}
    monkeypatch.setattr("tracedtimeout.instrument.DISABLED", True)
    with instrumented():
        assert patched() == ORIGINALS


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"names": "line"}, ValueError, "names must be 'module' or 'function', not 'line'"),
        ({"include": [3]}, TypeError, r"include must be prefixes of module names, not \[3\]"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    """An option that makes no sense is refused before anything is patched."""
    with pytest.raises(error, match=message), instrumented(**options):
        pytest.fail("instrumented")
    assert patched() == ORIGINALS


@pytest.mark.parametrize("first_in", ["ours", "theirs"])
@pytest.mark.parametrize("first_out", ["ours", "theirs"])
def test_beside_opentelemetrys_instrumentation_of_asyncio(first_in: str, first_out: str) -> None:
    """Whichever comes or goes first, both see each call, ours names the real caller, and all is restored."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    both: dict[str, Any] = {"ours": TracedTimeoutInstrumentor(), "theirs": AsyncioInstrumentor()}
    for each in sorted(both, key=lambda name: name != first_in):
        both[each].instrument(meter_provider=provider)
    try:
        run(_each_kind())
    finally:
        for each in sorted(both, key=lambda name: name != first_out):
            both[each].uninstrument()
    data = reader.get_metrics_data()
    assert data is not None
    found = [metric for scope in data.resource_metrics[0].scope_metrics for metric in scope.metrics]
    seen = {
        (metric.name, str((point.attributes or {}).get("timeout") or (point.attributes or {}).get("name")))
        for metric in found
        for point in metric.data.data_points
        if metric.name in ("tracedtimeout.duration", "asyncio.process.created")
    }
    seen.discard(("asyncio.process.created", "trace_coroutine"))  # theirs, of what ours hands on in a task (3.11)
    assert seen == {("tracedtimeout.duration", __name__), ("asyncio.process.created", "sleep")}
    assert patched() == ORIGINALS


async def _each_kind() -> None:
    await asyncio.wait_for(asyncio.sleep(0), 1.0)
    async with asyncio.timeout(1.0):
        await asyncio.sleep(0)


def test_uninstrumented_the_very_objects_are_back() -> None:
    """`uninstrument` restores the very objects, wherever they were; what is open ends watched, new ones are not."""
    places = [(asyncio, name) for name in ("timeout", "timeout_at", "Timeout", "wait_for")]
    places += [(asyncio.timeouts, name) for name in ("timeout", "timeout_at", "Timeout")]
    places += [(asyncio.tasks, "wait_for")]
    before = [getattr(module, name) for module, name in places]

    async def main() -> None:
        with instrumented():
            assert all(getattr(*place) is not original for place, original in zip(places, before, strict=True))
            opened, kept, kept_wait_for = asyncio.timeout(1.0), asyncio.timeout, asyncio.wait_for
            await opened.__aenter__()
        async with kept(1.0):
            assert await kept_wait_for(waiting(0.5), 1.0) == "waited"
        await opened.__aexit__(None, None, None)

    run(main())
    assert all(getattr(*place) is original for place, original in zip(places, before, strict=True))
    assert counted("duration") == {(__name__, "completed"): 1}


def test_what_others_patched_over_us_is_left() -> None:
    """`uninstrument` leaves what somebody else put in our place."""
    original = asyncio.timeout
    try:
        with instrumented():
            asyncio.timeout = theirs = functools.partial(asyncio.timeout)
        assert asyncio.timeout is theirs
    finally:
        asyncio.timeout = original


async def test_what_an_expiry_raises_is_in_no_cycle(spans: Spans) -> None:
    """An expiry's exceptions go without the garbage collector: no frame of the watching holds what leads back to it."""
    gc.disable()
    try:
        async with asyncio.timeout(0):
            await waiting()
    except TimeoutError as exc:
        cause = exc.__cause__
    finally:
        gc.enable()
    assert [kept for kept in gc.get_referrers(cause) if isinstance(kept, (FrameType, TimeoutError))] == []


def test_the_stand_ins_pass_for_asyncios(spans: Spans) -> None:
    """Types, signatures and reprs are those of asyncio, also for timeouts that were made before."""
    timeout, _, timeout_class, wait_for = patched()
    assert isinstance(ORIGINALS[2](None), asyncio.Timeout)
    assert isinstance(Timeout(None, name="t"), asyncio.Timeout)
    assert issubclass(Timeout, asyncio.Timeout)
    assert repr(asyncio.Timeout(None)) == "<Timeout [created]>"
    assert inspect.signature(timeout) == inspect.signature(ORIGINALS[0])  # type: ignore[arg-type]  # callables
    assert inspect.signature(wait_for) == inspect.signature(ORIGINALS[3])  # type: ignore[arg-type]  # callables
    told = inspect if sys.version_info >= (3, 12) else asyncio  # inspect's knows no marks in 3.11
    assert told.iscoroutinefunction(wait_for)
    assert timeout_class is not ORIGINALS[2]


def test_instrumented_late_it_names_who_holds_the_originals(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Modules that took asyncio's functions at import are listed; what they took still counts where that can be."""
    early = ModuleType("early")
    exec("from asyncio import timeout as t, wait_for", vars(early))  # noqa: S102  # a module of its own
    monkeypatch.setitem(sys.modules, "early", early)
    monkeypatch.setattr(sys.modules[__name__], "ORIGINALS", ())
    with instrumented(exclude=("pytest_asyncio", "anyio")):

        async def main() -> None:
            async with early.t(1.0):
                pass

        run(main())
    (message,) = [message for message in caplog.messages if message.startswith("instrumented late")]
    assert "early (t, wait_for)" in message
    assert counted("duration") == {(__name__, "completed"): 1}


def test_what_stands_for_a_module_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """None forbids an import, and a lazy module loads when it is touched: neither is looked into."""

    class Lazy(ModuleType):
        def __getattribute__(self, name: str) -> Any:
            pytest.fail(f"loaded for its {name}")

    monkeypatch.setitem(sys.modules, "forbidden", None)
    monkeypatch.setitem(sys.modules, "lazy", Lazy("lazy"))
    with instrumented():
        run(in_timeout(waiting(0.5)))
    assert counted("duration") == {(__name__, "completed"): 1}


def test_code_without_a_module_is_watched(spans: Spans) -> None:
    """Code that was given an empty name for its module runs as ever."""
    code: dict[str, Any] = {"__name__": "", "asyncio": asyncio}
    exec("async def main():\n async with asyncio.timeout(1): pass", code)  # noqa: S102  # what such code is made by
    run(code["main"]())
    assert counted("duration") == {("?", "completed"): 1}


def test_other_observers_are_told_and_spans_stay_late() -> None:
    """Installed observers see watched timeouts; spans of them are late whatever policy ours have."""
    always, seen = Spans(), []

    def observer(timeout: View) -> Callable[[View], None]:
        assert (timeout.name, timeout.owner, timeout.requested, timeout.deadline()) == (__name__, __name__, 1.0, 1.0)
        assert (timeout.elapsed, timeout.remaining(), timeout.where, timeout.spent) == (0.0, 1.0, None, ())
        return lambda timeout: seen.append((timeout.outcome, timeout.elapsed, timeout.overrun, str(timeout.error)))

    _observers.add(SpanObserver("always", always.provider), observer)
    with instrumented() as late:
        run(in_timeout(waiting(0.5)))
        assert result_of(in_timeout(failing()))[0] is TimeoutError
        run(in_timeout(block(1.5)))
    assert seen == [
        ("completed", 0.5, 0.0, "None"),
        ("failed", 0.0, 0.0, "the body's own"),
        ("late", 1.5, 0.5, "None"),
    ]
    assert (always.seen, len(late.seen)) == ([], 1)


def test_what_has_no_code_is_not_seen_through() -> None:
    """Where somebody put an object of their own in asyncio before us, what it makes is counted as its own."""
    before = dict(_calls._seen_through)
    _calls.see_through(functools.partial(asyncio.timeout), "timeout")
    assert _calls._seen_through == before


def test_what_fails_in_watching_is_logged_once(caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    """A fault of ours leaves the watched code as it is."""
    with instrumented():
        monkeypatch.setattr(_calls.watcher, "observers", lambda: 1 / 0)
        assert run(in_timeout(waiting(0.5))) == "waited"
        assert run(in_timeout(waiting(0.5))) == "waited"
        monkeypatch.undo()
    assert caplog.messages.count("a timeout of asyncio's could not be watched; not logged again") == 1


def test_a_provider_set_up_without_the_sdk_gets_no_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OpenTelemetry's SDK is not installed, timeouts are watched all the same."""
    monkeypatch.setitem(sys.modules, "tracedtimeout.otlp._histograms", None)
    monkeypatch.delattr(otlp, "_histograms", raising=False)
    with instrumented():
        run(in_timeout(waiting(0.5)))
    assert counted("duration") == {(__name__, "completed"): 1}


CONFORMANCE = """
import logging, sys
from tracedtimeout.instrument import TracedTimeoutInstrumentor
logging.disable()
TracedTimeoutInstrumentor().instrument()
from tests.support import cpython
cpython.main(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["test_timeouts", "test_waitfor", "test_taskgroups"])
def test_cpythons_own_tests_pass_instrumented(suite: str) -> None:
    """The running interpreter's tests of asyncio pass with its timeouts watched. (They take real time.)"""
    if cpython.directory(cpython.RUNNING) is None:
        missing(
            "CPython's test package", "install it with the interpreter: pyenv does, Debian has libpython3-testsuite"
        )
    *failed, last = python(CONFORMANCE, suite).splitlines()
    assert failed == []
    assert int(last.removeprefix("ran ")) > 0


@pytest.fixture
def http_port() -> Iterator[int]:
    """A web server that does not answer before the test is over."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            over.wait(30)
            with suppress(OSError):
                self.send_error(503)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
            """Not to stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        over.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def redis_port(tmp_path: Path) -> Iterator[int]:
    """A real Redis."""
    program = shutil.which("redis-server")
    if program is None:
        missing("redis-server", "apt-get install redis-server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL) as server:
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield port
        server.terminate()


@pytest.mark.server
@pytest.mark.slow
def test_an_unchanged_program_is_observed(http_port: int, redis_port: int, tmp_path: Path) -> None:
    """`opentelemetry-instrument python app.py` watches a program and its libraries. (Real processes and servers.)"""
    program = Path(sys.executable).with_name("opentelemetry-instrument")
    try:
        metadata.distribution("opentelemetry-distro")
    except metadata.PackageNotFoundError:
        missing("opentelemetry-instrument", "pip install opentelemetry-distro")
    environment = {
        **os.environ,
        "OTEL_TRACES_EXPORTER": "console",
        "OTEL_METRICS_EXPORTER": "console",
        "OTEL_LOGS_EXPORTER": "none",
        "PYTHONPATH": os.pathsep.join([str(_with_entry_points(tmp_path)), str(ROOT)]),
    }
    app = ROOT / "tests" / "programs" / "unchanged_app.py"
    command = [str(program), sys.executable, str(app), str(http_port), str(redis_port)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "TimeoutError TimeoutError TimeoutError\n")
    printed = list(_documents(done.stdout))
    assert _durations(printed) == {
        ("__main__", "expired"),
        ("__main__", "completed"),
        ("aiohttp.helpers", "completed"),
        ("redis.asyncio.connection", "completed"),
        ("redis.asyncio.connection", "expired"),
    }
    spans = [
        (document["name"], document["attributes"]["tracedtimeout.kind"], document["status"]["status_code"])
        for document in printed
        if document.get("name", "").startswith("timeout ")
    ]
    assert spans == [
        ("timeout __main__", "timeout", "ERROR"),
        ("timeout redis.asyncio.connection", "timeout", "ERROR"),
        ("timeout __main__", "wait_for", "ERROR"),
    ]


def _with_entry_points(directory: Path) -> Path:
    """A directory with our entry points, as an installation makes them of pyproject.toml; empty if there is one."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    if "tracedtimeout" in metadata.entry_points(group="opentelemetry_instrumentor").names:
        return directory
    info = directory / "tracedtimeout-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tracedtimeout\nVersion: 0\n")
    lines = [
        line
        for group, points in declared.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return directory


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """The JSON documents that console exporters print one after the other."""
    decoder, position = json.JSONDecoder(), 0
    while position < len(text):
        document, end = decoder.raw_decode(text, position)
        yield document
        position = end + len(text[end:]) - len(text[end:].lstrip())


def _durations(documents: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {
        (point["attributes"]["timeout"], point["attributes"]["outcome"])
        for document in documents
        for resource in document.get("resource_metrics", [])
        for scope in resource["scope_metrics"]
        for metric in scope["metrics"]
        if metric["name"] == "tracedtimeout.duration"
        for point in metric["data"]["data_points"]
        if point["count"]
    }

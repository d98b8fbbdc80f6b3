"""One call wires telemetry, another replaces it, what it returns undoes it; the environment says the rest."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from tests.support.scraping import shown
from tracedtimeout import View, install, timeout
from tracedtimeout._core import _observers
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout._install._settings import BUCKETS, MAX_NAMES, OBSERVERS, REGISTRY, SPANS
from tracedtimeout.logs import LogObserver
from tracedtimeout.spans import SpanObserver
from tracedtimeout.testing import run


@pytest.fixture(autouse=True)
def _nothing_installed() -> Iterator[None]:
    before = _observers.installed
    _observers.installed = ()
    yield
    install(registry=None, spans="off")()
    _observers.installed = before


def installed() -> list[type]:
    """The kinds of the observers that are told."""
    return [type(observer) for observer in _observers.installed]


def shows_us(registry: CollectorRegistry) -> bool:
    return b"tracedtimeout_active" in generate_latest(registry)


def silent(timeout: View) -> None:
    """An observer."""


async def enter(*names: str) -> None:
    for name in names:
        async with timeout(None, name=name):
            pass


def in_a_new_process(program: str, **environment: str) -> str:
    """What a program prints that starts with nothing counted."""
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    return done.stdout + "".join(done.stderr.splitlines(keepends=True)[-1:])


def test_by_default_spans_and_prometheus_are_wired() -> None:
    """With no argument every timeout is a span, and prometheus_client's registry shows the figures."""
    undo = install()
    assert (installed(), shows_us(prometheus_client.REGISTRY)) == ([SpanObserver], True)
    undo()
    assert (installed(), shows_us(prometheus_client.REGISTRY)) == ([], False)


def test_a_second_call_replaces_the_first() -> None:
    """Nothing of the first stays."""
    first, second = CollectorRegistry(), CollectorRegistry()
    install(registry=first, observers=[silent], max_names=3)
    install(registry=second, spans="off", observers=[LogObserver()])
    assert (shows_us(first), shows_us(second), installed(), _process.max_names) == (False, True, [LogObserver], 200)


def test_undoing_is_harmless_when_done_or_replaced() -> None:
    """A second undo does nothing, nor does that of an installation that was replaced."""
    registry = CollectorRegistry()
    replaced = install(registry=registry, spans="off")
    undo = install(registry=registry, spans="off", observers=[silent])
    replaced()
    assert (shows_us(registry), _observers.installed) == (True, (silent,))
    undo()
    undo()
    assert (shows_us(registry), _observers.installed) == (False, ())


ANEW = """
import asyncio, importlib, sys
import prometheus_client
import tracedtimeout
tracedtimeout.install(spans="off")
{again}
import tracedtimeout
undo = tracedtimeout.install(spans="off")
async def main():
    async with tracedtimeout.timeout(1, name="a"):
        pass
asyncio.run(main())
text = prometheus_client.generate_latest().decode()
print([line for line in text.splitlines() if "completed" in line and "_count" in line])
undo()
print("tracedtimeout" in prometheus_client.generate_latest().decode())
"""


@pytest.mark.parametrize(
    "again",
    [
        "for name in [name for name in sys.modules if name.startswith('tracedtimeout')]: del sys.modules[name]",
        "import tracedtimeout._install._installation as one; importlib.reload(one)",
    ],
    ids=["purged and imported", "reloaded"],
)
def test_a_package_imported_anew_is_installed_anew(again: str) -> None:
    """What the former import registered is taken out: a notebook and an autoreloader can go on."""
    count = 'tracedtimeout_duration_seconds_count{outcome="completed",timeout="a"} 1.0'
    assert in_a_new_process(ANEW.format(again=again)) == f"{[count]}\nFalse\n"


def test_undoing_leaves_the_observers_of_others() -> None:
    """What was added by hand stays."""
    _observers.add(silent)
    install(registry=None, observers=[LogObserver()])()
    assert _observers.installed == (silent,)


def test_undoing_survives_a_registry_that_was_cleared() -> None:
    """Its owner may have unregistered what we registered."""
    registry = CollectorRegistry()
    undo = install(registry=registry)
    for collector in list(registry._collector_to_names):
        registry.unregister(collector)
    undo()
    assert installed() == []


def test_a_call_that_fails_changes_nothing() -> None:
    """A registry that refuses our names leaves the former installation at work."""
    before, taken = CollectorRegistry(), CollectorRegistry()
    Gauge("tracedtimeout_active", "Not ours.", registry=taken)
    install(registry=before, spans="off", observers=[silent], max_names=7)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        install(registry=taken, max_names=8)
    with pytest.raises(ValueError, match="max_names"):
        install(max_names=0)
    assert (shows_us(before), _observers.installed, _process.max_names) == (True, (silent,), 7)


def test_a_first_call_that_fails_installs_nothing() -> None:
    """There is nothing to undo then."""
    taken = CollectorRegistry()
    Gauge("tracedtimeout_active", "Not ours.", registry=taken)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        install(registry=taken)
    assert (installed(), _process.max_names) == ([], 200)


def test_without_a_registry_prometheus_is_left_alone() -> None:
    """None is for those who export otherwise."""
    install(registry=None)
    assert not shows_us(prometheus_client.REGISTRY)


def test_observers_stand_inside_the_span() -> None:
    """The span is begun first and ended last, so that what an observer logs belongs to it."""
    install(registry=None, observers=[LogObserver(), silent])
    assert [type(observer) for observer in _observers.installed] == [SpanObserver, LogObserver, type(silent)]


@pytest.mark.parametrize(("policy", "late"), [("always", False), ("late", True)])
def test_spans_have_a_policy(policy: Any, late: bool) -> None:
    """It reaches the span observer."""
    install(registry=None, spans=policy)
    (observer,) = _observers.installed
    assert isinstance(observer, SpanObserver)
    assert observer._late is late


def test_names_past_the_cap_share_their_figures() -> None:
    """With `max_names` 2 the third name is counted as _OTHER."""
    install(registry=None, spans="off", max_names=2)
    run(enter("a", "b", "c", "d", "a"))
    assert shown("tracedtimeout_active") == [
        'tracedtimeout_active{timeout="_OTHER"} 0.0',
        'tracedtimeout_active{timeout="a"} 0.0',
        'tracedtimeout_active{timeout="b"} 0.0',
    ]
    counts = [line for line in shown("tracedtimeout_duration_seconds") if "_count" in line]
    assert counts == [
        'tracedtimeout_duration_seconds_count{outcome="completed",timeout="_OTHER"} 2.0',
        'tracedtimeout_duration_seconds_count{outcome="completed",timeout="a"} 2.0',
        'tracedtimeout_duration_seconds_count{outcome="completed",timeout="b"} 1.0',
    ]


def test_the_cap_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    """The warning names the first name that was too many, and the setting."""
    install(registry=None, spans="off", max_names=1)
    run(enter("a", "b", "c"))
    (record,) = caplog.records
    message = record.getMessage()
    assert ("'b'" in message, "max_names" in message) == (True, True)


FAILURES: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"registry": "REGISTRY"}, TypeError, "registry must be a prometheus_client.CollectorRegistry or None"),
    ({"spans": "sometimes"}, ValueError, "spans must be 'always', 'late' or 'off', not 'sometimes'"),
    ({"spans": ["late"]}, ValueError, r"spans must be 'always', 'late' or 'off', not \['late'\]"),
    ({"observers": silent}, TypeError, "observers must be observers, not <function silent"),
    ({"observers": [LogObserver]}, TypeError, "observers must be observers, .* not <class"),
    ({"observers": [3]}, TypeError, "observers must be observers, .* not 3"),
    ({"max_names": 1.5}, TypeError, "max_names must be a whole number, not 1.5"),
    ({"max_names": 0}, ValueError, "max_names must be at least 1, not 0"),
    ({"buckets": {"tracedtimeout.active": [1]}}, ValueError, r"buckets: 'tracedtimeout.active' is not one of \["),
    ({"buckets": {"tracedtimeout.limit": [2, 1]}}, ValueError, r"buckets must be finite and .* not \[2, 1\]"),
    ({"buckets": [1, float("inf")]}, ValueError, "buckets must be finite and strictly ascending"),
    ({"buckets": []}, ValueError, "buckets must be finite and strictly ascending"),
    ({"buckets": "12"}, ValueError, "buckets must be finite and strictly ascending, not '12'"),
    ({"buckets": ["a"]}, TypeError, r"buckets must be numbers, not \['a'\]"),
    ({"buckets": 3}, TypeError, "buckets must be numbers, not 3"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), FAILURES)
def test_bad_input_is_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """The message says which parameter, what it may be and what it was."""
    with pytest.raises(error, match=message):
        install(**arguments)
    assert installed() == []


def test_the_environment_says_what_arguments_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting has a variable; objects are named as module:attribute, and classes called."""
    monkeypatch.setenv("TRACEDTIMEOUT_SPANS", "Late")
    monkeypatch.setenv("TRACEDTIMEOUT_MAX_NAMES", "7")
    monkeypatch.setenv("TRACEDTIMEOUT_REGISTRY", f"{__name__}:OURS")
    monkeypatch.setenv("TRACEDTIMEOUT_OBSERVERS", f"tracedtimeout.logs:LogObserver, {__name__}:silent")
    install()
    assert (shows_us(OURS), _process.max_names) == (True, 7)
    spans, logs, last = _observers.installed
    assert (isinstance(spans, SpanObserver) and spans._late, type(logs), last) == (True, LogObserver, silent)


OURS = CollectorRegistry()


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where they say what the default says, and even where the variable is nonsense."""
    for name in ("SPANS", "MAX_NAMES", "REGISTRY", "OBSERVERS", "BUCKETS"):
        monkeypatch.setenv(f"TRACEDTIMEOUT_{name}", "nonsense")
    registry = CollectorRegistry()
    install(registry=registry, spans="always", observers=(), buckets=None, max_names=200)
    assert (shows_us(registry), installed(), _process.max_names) == (True, [SpanObserver], 200)


def test_the_environment_can_turn_prometheus_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """``none`` is None; empty is unset."""
    monkeypatch.setenv("TRACEDTIMEOUT_REGISTRY", "none")
    monkeypatch.setenv("TRACEDTIMEOUT_SPANS", " ")
    install()
    assert (shows_us(prometheus_client.REGISTRY), installed()) == (False, [SpanObserver])


@pytest.mark.parametrize(
    ("variable", "value", "error", "message"),
    [
        ("SPANS", "on", ValueError, "TRACEDTIMEOUT_SPANS must be 'always', 'late' or 'off', not 'on'"),
        ("MAX_NAMES", "many", ValueError, "TRACEDTIMEOUT_MAX_NAMES='many' cannot be read: "),
        ("MAX_NAMES", "-1", ValueError, "TRACEDTIMEOUT_MAX_NAMES must be at least 1, not -1"),
        ("BUCKETS", "1,x", ValueError, "TRACEDTIMEOUT_BUCKETS='1,x' cannot be read: "),
        ("BUCKETS", "2,1", ValueError, "TRACEDTIMEOUT_BUCKETS must be finite and strictly ascending"),
        ("REGISTRY", "nowhere", ValueError, "TRACEDTIMEOUT_REGISTRY='nowhere' cannot be read: write module:attribute"),
        ("OBSERVERS", "no.such:thing", ValueError, "TRACEDTIMEOUT_OBSERVERS='no.such:thing' cannot be read: "),
        ("OBSERVERS", "math:pi", TypeError, "TRACEDTIMEOUT_OBSERVERS must be observers, .* not 3.14"),
    ],
)
def test_a_bad_variable_is_named(
    variable: str, value: str, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says which variable, not which parameter."""
    monkeypatch.setenv(f"TRACEDTIMEOUT_{variable}", value)
    with pytest.raises(error, match=message):
        install()


def test_the_signature_shows_variables_and_defaults() -> None:
    """What `help(install)` prints for each parameter."""
    assert [repr(setting) for setting in (SPANS, OBSERVERS, BUCKETS, MAX_NAMES)] == [
        "<TRACEDTIMEOUT_SPANS, else 'always'>",
        "<TRACEDTIMEOUT_OBSERVERS, else ()>",
        "<TRACEDTIMEOUT_BUCKETS, else None>",
        "<TRACEDTIMEOUT_MAX_NAMES, else 200>",
    ]
    assert repr(REGISTRY).startswith("<TRACEDTIMEOUT_REGISTRY, else <prometheus_client.")


COMMON = ("duration", "limit", "received", "transit")

BOUNDS = """
import asyncio
from tracedtimeout import install, timeout
from tracedtimeout._core.figures import _metrics
async def main():
    {call}
    async with timeout(1):
        pass
asyncio.run(main())
print({{metric.name[14:]: metric.bounds for metric in _metrics.METRICS if len(metric.bounds) == 2}})
"""


@pytest.mark.parametrize(
    ("call", "variable", "chosen"),
    [
        ("install()", "", {}),
        ("install(buckets={'tracedtimeout.unwind': [1, 2]})", "", {"unwind": (1.0, 2.0)}),
        ("install(buckets=(n for n in (1, 2)))", "", dict.fromkeys(COMMON, (1.0, 2.0))),
        ("install(buckets=(1, 2))", "", dict.fromkeys(COMMON, (1.0, 2.0))),
        ("install()", "0.5, 1", dict.fromkeys(COMMON, (0.5, 1.0))),
        (
            "install()",
            "tracedtimeout.timer_lag=1,2; tracedtimeout.utilization = 0.5,1",
            {"utilization": (0.5, 1.0), "timer_lag": (1.0, 2.0)},
        ),
        ("install(buckets=[1, 2]); install()", "", {}),
        ("install(buckets=[1, 2])()", "", {}),
    ],
)
def test_buckets_are_chosen_before_the_first_timeout(call: str, variable: str, chosen: dict[str, Any]) -> None:
    """By instrument or for all common ones at once, by argument or variable."""
    variables = {"TRACEDTIMEOUT_BUCKETS": variable} if variable else {}
    assert in_a_new_process(BOUNDS.format(call=call), **variables) == f"{chosen}\n"


REFUSED = """
from prometheus_client import CollectorRegistry, Gauge
from tracedtimeout import install
from tracedtimeout._core.figures import _metrics
taken = CollectorRegistry()
Gauge("tracedtimeout_active", "Not ours.", registry=taken)
try:
    install(registry=taken, buckets=[1, 2])
except ValueError:
    print(_metrics.DURATION.bounds == _metrics.DURATION.default_bounds)
"""


def test_a_call_that_fails_chooses_no_buckets() -> None:
    """They are as they were before."""
    assert in_a_new_process(REFUSED) == "True\n"


LATER = """
import asyncio
from tracedtimeout import install, timeout
async def main():
    async with timeout(1):
        pass
install(buckets=[1, 2], spans="off")
asyncio.run(main())
install(buckets=[1, 2])
print("the same again")
install()
install(buckets=[1, 3])
"""


def test_buckets_cannot_change_under_figures() -> None:
    """Once something was counted other buckets are an error; the same ones are none."""
    assert in_a_new_process(LATER).splitlines() == [
        "the same again",
        "RuntimeError: buckets can be set until the first timeout is entered: call install() before that",
    ]


def test_figures_stand_in_the_chosen_buckets() -> None:
    """What is shown has these bounds."""
    _metrics.choose_buckets({"tracedtimeout.duration": (0.5, 1.0)})
    try:
        run(three())
        lines = shown("tracedtimeout_duration_seconds")
    finally:
        _process.reset()
        _metrics.choose_buckets({})
    assert lines == [
        'tracedtimeout_duration_seconds_bucket{le="0.5",outcome="completed",timeout="charge"} 1.0',
        'tracedtimeout_duration_seconds_bucket{le="1.0",outcome="completed",timeout="charge"} 2.0',
        'tracedtimeout_duration_seconds_bucket{le="+Inf",outcome="completed",timeout="charge"} 3.0',
        'tracedtimeout_duration_seconds_count{outcome="completed",timeout="charge"} 3.0',
        'tracedtimeout_duration_seconds_sum{outcome="completed",timeout="charge"} 3.5',
    ]


async def three() -> None:
    for seconds in (0.5, 1.0, 2.0):
        async with timeout(None, name="charge"):
            await asyncio.sleep(seconds)

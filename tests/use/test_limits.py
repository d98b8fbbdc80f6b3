"""Limits from configuration: where they are from, how they are read again, where they are seen."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.telemetry import Spans
from tests.use.test_top import drawn
from tracedtimeout import install, limits_on_signal, reload_limits, timeout
from tracedtimeout.commands import doctor, suggest
from tracedtimeout.live import LiveApp, _figures, _tree, _view, live_app
from tracedtimeout.spans import SpanObserver
from tracedtimeout.testing import no_telemetry, run

VARIABLE = "TRACEDTIMEOUT_LIMITS"


@pytest.fixture(autouse=True)
def _undone() -> Iterator[None]:
    """Nothing is configured afterwards."""
    yield
    install(registry=None, spans="off")()


def limit_of(name: str, seconds: float = 2.0) -> float:
    """The limit of a timeout of that name, which asks for so many seconds."""

    async def main() -> float:
        async with timeout(seconds, name=name) as guard:
            return guard.limit

    return run(main())


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the variable names; an installation has read it."""
    path = tmp_path / "limits.toml"
    path.write_text('"fetch" = 0.5\n"GET /orders" = 1\n"*" = 9\n')
    monkeypatch.setenv(VARIABLE, str(path))
    install(registry=None, spans="off")
    return path


def test_a_mapping_or_a_file_has_the_limits(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the variable has them; an argument goes before the variable; without either those of the code hold."""
    assert (limit_of("fetch"), limit_of("pay")) == (0.5, 9.0)
    install(registry=None, spans="off", limits={"fetch": 0.7})
    assert (limit_of("fetch"), limit_of("pay")) == (0.7, 2.0)
    file.write_text('"fetch" = 0.8')
    undo = install(registry=None, spans="off", limits=file)
    assert limit_of("fetch") == 0.8
    undo()
    assert limit_of("fetch") == 2.0
    monkeypatch.delenv(VARIABLE)
    install(registry=None, spans="off")
    assert limit_of("fetch") == 2.0


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"fetch": 0}, ValueError, r"limits: 'fetch' must be a number of seconds above 0, not 0"),
        ({"fetch": -1.0}, ValueError, r"limits: 'fetch' must be a number of seconds above 0, not -1.0"),
        ({"fetch": float("inf")}, ValueError, r"limits: 'fetch' must be a number of seconds above 0, not inf"),
        ({"fetch": float("nan")}, ValueError, r"limits: 'fetch' must be a number of seconds, not nan"),
        ({"fetch": "1"}, TypeError, r"limits: 'fetch' must be a number of seconds above 0, not '1'"),
        ({"fetch": True}, TypeError, r"limits: 'fetch' must be a number of seconds above 0, not True"),
        ({"fetch": {"limit": 1}}, TypeError, r"limits: 'fetch' must be a number of seconds above 0, not {'limit': 1}"),
        ({"": 1}, TypeError, r"limits: a name must be a string that is not empty, not ''"),
        (
            {"db.*": 1},
            ValueError,
            r"limits: 'db.\*' is no pattern: names are exact, and '\*' stands for all the others",
        ),
        (1.0, TypeError, r"limits must be seconds by name, or the path of a TOML file, not 1.0"),
        ("not/there.toml", ValueError, r"limits: not/there.toml cannot be read: \[Errno 2\] No such file"),
    ],
)
def test_bad_limits_are_refused(given: Any, error: type[Exception], says: str) -> None:
    """The message names the name and the value, and nothing has changed."""
    install(registry=None, spans="off", limits={"fetch": 0.5})
    with pytest.raises(error, match=says):
        install(registry=None, spans="off", limits=given)
    assert limit_of("fetch") == 0.5


def test_a_bad_file_is_refused_at_the_start(file: Path) -> None:
    """The message names the variable, the file and what is wrong in it."""
    file.write_text('"fetch" = "soon"')
    with pytest.raises(
        TypeError, match=rf"{VARIABLE}: {file}: 'fetch' must be a number of seconds above 0, not 'soon'"
    ):
        install(registry=None, spans="off")
    file.write_text('"fetch" = ')
    with pytest.raises(ValueError, match=rf"{VARIABLE}: {file} cannot be read: Invalid value"):
        install(registry=None, spans="off")


def test_limits_are_read_again(file: Path) -> None:
    """What the file says now holds from now on, in a loop that runs; True says so."""

    async def main() -> list[float]:
        limits = []
        for text in ('"fetch" = 0.7', '"pay" = 1', '"*" = 3'):
            file.write_text(text)  # noqa: ASYNC240  # the loop has nothing else to do
            assert reload_limits() is True
            async with timeout(2.0, name="fetch") as guard:
                limits.append(guard.limit)
        return limits

    assert run(main()) == [0.7, 2.0, 3.0]


@pytest.mark.parametrize("text", ['"fetch" = -1', '"fetch" 1', "[fetch]\nlimit = 1", None])
def test_a_bad_file_changes_nothing(file: Path, text: str | None, caplog: pytest.LogCaptureFixture) -> None:
    """At a reload the limits stay as they were, and one line of the log says why."""
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with caplog.at_level(logging.INFO, "tracedtimeout"):
        assert reload_limits() is False
    assert (limit_of("fetch"), limit_of("pay")) == (0.5, 9.0)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert caplog.messages[0].startswith(f"limits stay as they were: limits: {file}")


def test_a_mapping_is_read_again_too() -> None:
    """Whoever keeps it may change it; where nothing was given, there is nothing to read."""
    limits = {"fetch": 0.5}
    install(registry=None, spans="off", limits=limits)
    limits["fetch"] = 0.7
    assert limit_of("fetch") == 0.5
    assert (reload_limits(), limit_of("fetch")) == (True, 0.7)
    install(registry=None, spans="off", limits=None)
    assert (reload_limits(), limit_of("fetch")) == (False, 2.0)


def test_a_signal_reads_them_again(file: Path) -> None:
    """Whoever wants that has a signal do it; undone, the signal is whose it was."""
    before = signal.getsignal(signal.SIGUSR2)
    undo = limits_on_signal(signal.SIGUSR2)
    try:
        file.write_text('"fetch" = 0.7')
        os.kill(os.getpid(), signal.SIGUSR2)
        for _ in range(2000):
            if limit_of("fetch") == 0.7:
                break
            time.sleep(0.005)
    finally:
        undo()
    assert (limit_of("fetch"), signal.getsignal(signal.SIGUSR2)) == (0.7, before)


@pytest.mark.parametrize("policy", ["always", "late"])
def test_a_span_has_both(policy: Any) -> None:
    """Its limit is what applied, `requested` what the code said; the deadline is its own."""

    async def expire(name: str) -> None:
        with pytest.raises(TimeoutError):
            async with timeout(2.0, name=name):
                await asyncio.sleep(5.0)

    spans = Spans()
    observer = SpanObserver(policy, spans.provider)
    install(registry=None, spans="off", observers=[observer], limits={"fetch": 0.5})
    run(expire("fetch"))
    run(expire("pay"))
    told = [[span.attributes.get(key) for key in ("limit", "requested", "source")] for span in spans.seen]
    assert told == [[0.5, 2.0, "own"], [2.0, None, "own"]]


def test_limits_are_no_telemetry() -> None:
    """Without telemetry they hold."""
    install(registry=None, spans="off", limits={"fetch": 0.5})
    with no_telemetry():
        assert limit_of("fetch") == 0.5
    assert limit_of("fetch") == 0.5


def test_what_was_suggested_is_applied(tmp_path: Path) -> None:
    """The file that `suggest` writes is one that `install` reads."""
    path = tmp_path / "limits.toml"
    said = [suggest.Suggestion("fetch", "shop", 0.3125, 2.0, 1), suggest.Suggestion("pay", "shop", 1.0, 2.0, 3)]
    path.write_text("\n".join(suggest.written(said)))
    install(registry=None, spans="off", limits=path)
    assert (limit_of("fetch"), limit_of("pay")) == (0.32, 2.0)


def test_the_live_page_shows_what_applies_and_what_the_code_said() -> None:
    """In flight beside the limit, by name beside the mean, in the text of a signal, and in the JSON."""
    install(registry=None, spans="off", limits={"fetch": 0.5})

    async def main() -> tuple[_tree.Tree, list[_figures.Figures]]:
        async with timeout(2.0, name="fetch"), timeout(0.25, name="pay"):
            return _tree.gather(), _figures.Names().look()

    tree, names = run(main())
    assert [node.requested for node in tree.nodes] == [2.0, None]
    assert "fetch: 0.000 of 0.500 s (2.000 s in the code), 0%" in _tree.text(tree)
    shown = _view.view(0.0, tree, [], names)
    assert [row["cells"][2]["text"] for row in shown["flight"]] == [
        "0.00 / 0.50 s (2.00 s in the code)",
        "0.00 / 0.25 s",
    ]
    assert [row["cells"][6]["text"] for row in shown["names"]] == ["500 ms (500 ms configured)", "250 ms"]


@pytest.mark.loops("virtual")
async def test_top_shows_them() -> None:
    """From the page's JSON; of a process that knows nothing of it too."""
    install(registry=None, spans="off", limits={"fetch": 0.5})
    page: LiveApp = live_app()
    async with timeout(2.0, name="fetch"):
        told = await _json(page)
        lines = "\n".join(drawn(told, width=160))
    assert ("500 ms (500 ms configured)" in lines, "500 ms (2.00 s in the code)" in lines) == (True, True)
    for each in (*told["names"], *told["in_flight"]):
        each.pop("configured", None)
        each.pop("requested", None)
    assert "code" not in "\n".join(drawn(told, width=160))


async def _json(page: LiveApp) -> Any:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "path": "/json", "root_path": "", "headers": [], "query_string": b""}
    await page(scope, receive, send)
    return json.loads(sent[1]["body"])


def test_doctor_shows_them(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings in force have them, and the file; a bad file is marked."""
    monkeypatch.setattr(sys, "path", list(sys.path))  # it puts the working directory there
    assert doctor.main(["tracedtimeout"]) == 0
    line = f"limits              'fetch' = 0.5, 'GET /orders' = 1, '*' = 9 in {file}  from {VARIABLE}"
    assert line in capsys.readouterr().out
    file.write_text("soon")
    assert doctor.main(["tracedtimeout"]) == 1
    assert f"! {VARIABLE}: {file} cannot be read" in capsys.readouterr().out

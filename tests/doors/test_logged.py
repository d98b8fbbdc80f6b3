"""A request that its deadline ended is seen in the log, without any observer and without a flood."""

from __future__ import annotations

import logging

import pytest

from tracedtimeout import DeadlineExceeded, install
from tracedtimeout.integrations import _logged
from tracedtimeout.logs import LogObserver


@pytest.fixture(autouse=True)
def _untold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_logged, "_told", {})


def expiry(name: str) -> DeadlineExceeded:
    return DeadlineExceeded(f"{name!r} exceeded", name=name)


def test_one_line_a_second_and_name(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of each name at once; then one a second, which says how many were left out."""
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    for name in ("a", "b", "a", "a"):
        _logged.tell(name, expiry(name))
    now = 101.0
    _logged.tell("a", expiry("a"))
    _logged.tell("b", expiry("b"))
    assert caplog.messages == ["'a' exceeded", "'b' exceeded", "'a' exceeded (and 2 more)", "'b' exceeded"]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_silence(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line where a LogObserver has its own, where it is switched off, or where nobody would see it."""
    undo = install(spans="off", registry=None, observers=[LogObserver(logging.getLogger("elsewhere"))])
    _logged.tell("a", expiry("a"))
    undo()
    monkeypatch.setattr(_logged, "_ON", False)
    _logged.tell("a", expiry("a"))
    monkeypatch.undo()
    caplog.set_level(logging.ERROR, "tracedtimeout")
    _logged.tell("a", expiry("a"))
    assert caplog.messages == []

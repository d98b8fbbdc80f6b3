"""`install(accept=, maximum=)`: what OpenTelemetry's propagator believes of a deadline."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.context import Context

from tracedtimeout import install
from tracedtimeout.propagation import DeadlinePropagator, _attached

CARRIER = {"deadline-budget": "60000"}


def granted() -> float | None:
    """Seconds that the propagator extracts from a header of a minute."""
    remote = _attached.deadline_in(DeadlinePropagator().extract(CARRIER, Context()))
    return None if remote is None else remote.limit


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [({}, 60.0), ({"accept": ()}, None), ({"accept": ["grpc-timeout"]}, None), ({"maximum": 2.0}, 2.0)],
)
def test_the_propagator_believes_what_install_says(settings: dict[str, Any], seconds: float | None) -> None:
    """A header that is not accepted is ignored, and none grants more than `maximum`; undone, all are believed."""
    undo = install(registry=None, spans="off", **settings)
    assert granted() == (None if seconds is None else pytest.approx(seconds))
    undo()
    assert granted() == pytest.approx(60.0)


def test_the_environment_says_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """`TRACEDTIMEOUT_ACCEPT` has names between commas, none of them if it is empty or ``none``: who says "nobody"
    believes nobody. `TRACEDTIMEOUT_MAXIMUM` has seconds."""
    monkeypatch.setenv("TRACEDTIMEOUT_MAXIMUM", "2")
    monkeypatch.setenv("TRACEDTIMEOUT_ACCEPT", "grpc-timeout, deadline-budget")
    install(registry=None, spans="off")
    assert granted() == pytest.approx(2.0)
    for nobody in ("none", "", " "):
        monkeypatch.setenv("TRACEDTIMEOUT_ACCEPT", nobody)
        undo = install(registry=None, spans="off")
        assert granted() is None
        undo()
    monkeypatch.delenv("TRACEDTIMEOUT_ACCEPT")
    undo = install(registry=None, spans="off")
    assert granted() == pytest.approx(2.0)
    undo()


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ({"accept": "grpc-timeout"}, TypeError),
        ({"accept": ["x"]}, ValueError),
        ({"maximum": -1.0}, ValueError),
        ({"maximum": "x"}, TypeError),
    ],
)
def test_a_bad_setting_is_refused_by_name(setting: dict[str, Any], error: type[Exception]) -> None:
    """The message names the parameter."""
    with pytest.raises(error, match=next(iter(setting))):
        install(**setting)

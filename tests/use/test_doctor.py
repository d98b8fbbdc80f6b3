"""`python -m tracedtimeout doctor`: what a service has, and what in it is wrong."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

import tracedtimeout
from tracedtimeout._core import _hot
from tracedtimeout.commands import _originals, doctor


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of ours is set, and nothing is looked through but what a test loads."""
    for name in doctor.OTHERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))


def section(said: str, heading: str) -> list[str]:
    """The lines beneath a heading."""
    lines = said.split(f"\n{heading}\n")[1].split("\n\n", 1)[0].splitlines()
    return [line.removeprefix("  ") for line in lines]


def test_it_says_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    """Version, twin and Python stand first; then each package with its release and the bound of it."""
    assert doctor.main(["tracedtimeout"]) == 0
    said = capsys.readouterr().out
    twin = f"tracedtimeout {tracedtimeout.__version__}, hot path in {_hot.IMPLEMENTATION}, on CPython 3."
    assert said.startswith(twin)
    packages = {line.split()[0]: line.split()[1:] for line in section(said, "Packages")}
    assert packages["prometheus-client"][1:] == [">=0.24"]
    assert {"grpcio", "httpx2", "rich", "sqlalchemy"} <= packages.keys()
    assert not {"pytest", "mypy", "anthropic"} & packages.keys()


def test_it_says_which_settings_are_in_force(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its value, and the variable that it is from; other variables that are read follow."""
    monkeypatch.setenv("TRACEDTIMEOUT_SPANS", "late")
    monkeypatch.setenv("OTEL_PROPAGATORS", "tracecontext,baggage")
    assert doctor.main(["tracedtimeout"]) == 0
    settings = section(capsys.readouterr().out, "Settings")
    assert "registry            prometheus_client.REGISTRY" in settings
    assert "spans               late  from TRACEDTIMEOUT_SPANS" in settings
    assert "max_names           200" in settings
    assert settings[-2:] == [
        "OTEL_PROPAGATORS=tracecontext,baggage",
        "OTEL_PROPAGATORS leaves out `deadline`: what OpenTelemetry instruments carries no budget",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TRACEDTIMEOUT_SPANS", "on", "! TRACEDTIMEOUT_SPANS must be 'always', 'late' or 'off', not 'on'"),
        ("TRACEDTIMEOUT_SPAN", "late", "! TRACEDTIMEOUT_SPAN is no setting: TRACEDTIMEOUT_SPANS is"),
        ("TRACEDTIMEOUT_COLOUR", "red", "! TRACEDTIMEOUT_COLOUR is no setting"),
    ],
)
def test_what_is_wrong_is_marked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    """A value that `install()` would refuse, and a name that nobody reads: the line says so, the exit status is 1."""
    monkeypatch.setenv(variable, value)
    assert doctor.main(["tracedtimeout"]) == 1
    assert said in section(capsys.readouterr().out, "Settings")


def test_it_says_who_holds_asyncios_timeouts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application's modules are imported: what took a timeout then, in it or in a package, is told by module."""
    (tmp_path / "holder_of_ours").mkdir()
    (tmp_path / "holder_of_ours" / "__init__.py").write_text("from asyncio import timeout as limit, wait_for, sleep\n")
    monkeypatch.chdir(tmp_path)
    assert doctor.main(["holder_of_ours", "not_there_at_all"]) == 1
    monkeypatch.delitem(sys.modules, "holder_of_ours")
    lines = section(capsys.readouterr().out, "asyncio's own timeouts")
    assert lines[0].startswith("! not_there_at_all cannot be imported: ModuleNotFoundError")
    assert "holder_of_ours      holder_of_ours: timeout, wait_for" in lines
    assert lines[-1] == "To have TracedTimeoutInstrumentor watch these, instrument before they are imported."


def test_without_an_application_what_is_installed_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages are not imported, but their sources read: the names in any form of the statement."""
    library = tmp_path / "library"
    (library / "tests").mkdir(parents=True)
    (library / "one.py").write_text(
        "if True:\n    from asyncio.timeouts import (\n        Timeout,\n        timeout,\n    )"
    )
    (library / "two.py").write_text("from asyncio import sleep  # and not timeout\nfrom asyncio import wait\n")
    (library / "tests" / "test_one.py").write_text("from asyncio import wait_for\n")
    monkeypatch.setattr(sysconfig, "get_path", lambda kind: str(tmp_path))
    assert _originals.taking() == {"library": ["library.one: Timeout, timeout"]}

"""The command that writes dashboards and rules: what an operator has with the wheel alone."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from subprocess import run
from zipfile import ZipFile

import pytest
import yaml

from dashboards.__main__ import files
from tests.dashboards.stack import ROOT, program
from tracedtimeout.commands.dashboards import main


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A folder that the command has written to, with addresses of a Grafana and of runbooks."""
    arguments = [str(tmp_path), "--grafana", "https://grafana.example/", "--runbooks", "https://wiki.example/runbooks"]
    assert main(arguments) == 0
    return tmp_path


def test_every_generated_file_is_written(written: Path) -> None:
    """The folder holds what `python -m dashboards` made, dashboards and runbooks to the letter."""
    assert {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()} == set(files())
    for name in files():
        if name.startswith(("grafana/", "runbooks/")):
            assert (written / name).read_text() == files()[name]


@pytest.mark.parametrize("name", ["prometheus/alerts.yml", "kubernetes/rules.yml", "mixin/alerts.json"])
def test_alerts_lead_to_the_addresses_that_are_given(written: Path, name: str) -> None:
    """Every alert's page is beneath the one address, every dashboard beneath the other; nothing else is changed."""
    text = (written / name).read_text()
    assert re.sub(r"https://(wiki\.example/(?=runbooks)|grafana\.example(?=/d/))", "", text) == files()[name]
    links = re.findall(r'_url"?: "?(\S+?)/(?:Timeout\w+\.md|d/tracedtimeout)', text)
    assert set(links) == {"https://wiki.example/runbooks", "https://grafana.example"}
    assert len(links) == 2 * text.count("dashboard_url")


def test_the_operators_table_is_never_overwritten(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run writes everything anew but the tables of objectives, and says so."""
    table, alerts = written / "prometheus/objectives.yml", written / "prometheus/alerts.yml"
    table.write_text("mine")
    alerts.write_text("old")
    capsys.readouterr()
    main([str(written)])
    assert (table.read_text(), alerts.read_text()) == ("mine", files()["prometheus/alerts.yml"])
    kept = [line for line in capsys.readouterr().out.splitlines() if line.startswith("kept")]
    assert kept == [f"kept {written / 'kubernetes/objectives.yml'}", f"kept {table}"]


@pytest.mark.server
def test_prometheus_accepts_what_is_written(written: Path) -> None:
    """`promtool check rules` finds nothing wrong, whole and within the objects of Kubernetes."""
    for path in sorted((written / "kubernetes").glob("*.yml")):
        rule = yaml.safe_load(path.read_text())
        assert (rule["apiVersion"], rule["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
        assert re.fullmatch("[a-z-]+", rule["metadata"]["name"])
        (written / "prometheus" / f"kubernetes-{path.name}").write_text(yaml.safe_dump(rule["spec"]))
    paths = sorted(map(str, (written / "prometheus").glob("*.yml")))
    done = run([program("promtool"), "check", "rules", *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(paths) == 5


@pytest.mark.server
def test_the_mixin_holds_the_same_dashboards_and_rules(written: Path) -> None:
    """Read by jsonnet, the mixin has the names that its users expect, and in them what the other files hold."""
    shown = "local mixin = import 'mixin/mixin.libsonnet'; {[name]: mixin[name] for name in std.objectFieldsAll(mixin)}"
    done = run([program("jsonnet"), "-e", shown], cwd=written, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    boards = {f"tracedtimeout-{path.name}": json.loads(path.read_text()) for path in (written / "grafana").iterdir()}
    rules = {path.stem: yaml.safe_load(path.read_text()) for path in (written / "prometheus").iterdir()}
    assert read == {
        "grafanaDashboards": boards,
        "prometheusRules": {"groups": rules["objectives"]["groups"] + rules["recording"]["groups"]},
        "prometheusAlerts": rules["alerts"],
    }


WITHOUT_THE_SDK = """\
import runpy, sys
sys.modules["grafana_foundation_sdk"] = sys.modules["yaml"] = None
import tracedtimeout
assert tracedtimeout.__file__.startswith(sys.path[1]), tracedtimeout.__file__
sys.argv = ["tracedtimeout", "dashboards", "out"]
runpy.run_module("tracedtimeout", run_name="__main__")
"""


@pytest.mark.slow
def test_the_wheel_alone_writes_them(tmp_path: Path) -> None:
    """With nothing but the wheel and what it depends on, `python -m tracedtimeout dashboards out` writes every file.

    Slow: it builds the wheel.
    """
    environment = os.environ | {"TRACEDTIMEOUT_NO_EXTENSIONS": "1"}
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = run(build, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "wheel")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "wheel")}
    command = [sys.executable, "-c", WITHOUT_THE_SDK]
    done = run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert {path.relative_to(out).as_posix(): path.read_text() for path in out.rglob("*.*")} == files()

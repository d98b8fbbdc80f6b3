"""The files of several processes are read as far as they can be; a process begins anew where its own is damaged."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from tracedtimeout._shared import build
from tracedtimeout.prometheus._processes import Processes

COUNTER = "tracedtimeout_reschedules"


def counted(folder: Path, pid: int, count: float) -> bytes:
    """Leave the file of a process that counted something; returns its content."""
    file = folder / f"counter_{pid}.db"
    written = MmapedDict(str(file))  # type: ignore[no-untyped-call]  # prometheus_client's
    key = mmap_key(COUNTER, f"{COUNTER}_total", ["timeout"], ["t"], "Calls of reschedule().")
    written.write_value(key, count, 0.0)  # type: ignore[no-untyped-call]  # as above
    written.close()  # type: ignore[no-untyped-call]  # as above
    return file.read_bytes()


def shown(source: Processes) -> list[str]:
    text = generate_latest(source).decode()
    assert text.count("# TYPE") == len(build.METRICS)
    return [line for line in text.splitlines() if line.startswith(f"{COUNTER}_total")]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a length past its end": lambda data: b"\xff\xff\xff\x7f" + data[4:],
    "cut short": lambda data: data[:20],
    "two bytes": lambda data: data[:2],
    "keys that are no JSON": lambda data: data[:12] + b"x" * 40 + data[52:],
    "keys that are no text": lambda data: data[:12] + b"\xff" * 40 + data[52:],
    "another program's": lambda data: b"SQLite format 3\0" + b"\x10" * 4096,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_costs_its_own_figures(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The page has what all others counted, and the log names the file once."""
    (tmp_path / "counter_3.db").write_bytes(DAMAGES[damage](counted(tmp_path, 1, 2.0)))
    counted(tmp_path, 2, 3.0)
    source = Processes(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert [shown(source), shown(source)] == [[f'{COUNTER}_total{{timeout="t"}} 5.0']] * 2
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path / 'counter_3.db'} cannot be read (")


@pytest.mark.parametrize("name", ["counter_3.db", "foreign.db", "notes.txt", "gauge_livesum_3.db"])
def test_an_empty_file_is_one_that_is_being_made(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is told of it."""
    counted(tmp_path, 1, 2.0)
    (tmp_path / name).touch()
    assert shown(Processes(tmp_path)) == [f'{COUNTER}_total{{timeout="t"}} 2.0']
    assert caplog.messages == []


def test_no_folder_is_no_figures(tmp_path: Path) -> None:
    """Every family is announced all the same."""
    assert shown(Processes(tmp_path / "gone")) == []


def test_names_choose_samples(tmp_path: Path) -> None:
    """What is asked for by name is all that is there."""
    counted(tmp_path, 1, 2.0)
    part = Processes(tmp_path).restricted_registry([f"{COUNTER}_total", "none"])
    assert [(family.name, len(family.samples)) for family in part.collect()] == [(COUNTER, 1)]


PROGRAM = """
import logging, os, sys
from pathlib import Path
logging.basicConfig(level=logging.WARNING, format="%(message)s")
folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
from tests.export.test_prometheus import pass_by
from tests.export.test_processes import *
from tracedtimeout import install
from tracedtimeout.prometheus import _multiprocess
from tracedtimeout.testing import run
{before}
undo = install(spans="off")
run(pass_by(2.0, 0.25))
{meanwhile}
undo()
print(generate_latest(Processes(folder)).decode())
"""


def left_by(folder: Path, before: str, meanwhile: str = "") -> tuple[list[str], str]:
    """The counts that a process leaves, and what it says; `before` and `meanwhile` are what happens to it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before, meanwhile=meanwhile)],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = ("tracedtimeout_duration_seconds_count", "tracedtimeout_active{")
    lines = [line for line in done.stdout.splitlines() if line.startswith(figures) and 'outcome="expired"' not in line]
    return sorted(lines), done.stderr


LEFT = [
    'tracedtimeout_active{timeout="charge"} 0.0',
    'tracedtimeout_duration_seconds_count{outcome="completed",timeout="charge"} 1.0',
]

SAME_PID = """
written = MmapedDict(str(folder / f"gauge_livesum_{os.getpid()}.db"))
name, help_text = "tracedtimeout_active", "Timeouts entered and not yet left."
written.write_value(mmap_key(name, name, ["timeout"], ["charge"], help_text), 7.0, 0.0)
written.close()
"""


@pytest.mark.slow
def test_a_process_of_the_same_id_has_none_of_the_formers_open(tmp_path: Path) -> None:
    """What was open as a process was killed is not open in the one that has its id, in a container mostly."""
    assert left_by(tmp_path, SAME_PID) == (LEFT, "")


@pytest.mark.slow
def test_a_damaged_file_of_the_same_id_is_put_aside(tmp_path: Path) -> None:
    """The process begins anew, and says so once."""
    figures, said = left_by(tmp_path, '(folder / f"histogram_{os.getpid()}.db").write_bytes(b"xx")')
    assert figures == LEFT
    assert len(said.splitlines()) == 1
    assert "cannot be read" in said
    assert len(list(tmp_path.glob("histogram_*.damaged"))) == 1


FULL = """
_multiprocess.SPARE = 1 << 62
run(pass_by(2.0, 0.25))
run(pass_by(2.0, 0.25, name="new"))
_multiprocess.transfer_or_complain()
_multiprocess.transfer_or_complain()
"""


@pytest.mark.slow
def test_a_disk_that_is_nearly_full_is_told_of_before_it_kills(tmp_path: Path) -> None:
    """Series that stand in the files are written on, new ones are not; a file that grew would end the process."""
    figures, said = left_by(tmp_path, "", f"_multiprocess.transfer()\n{FULL}")
    assert figures == [LEFT[0], LEFT[1].replace(" 1.0", " 2.0")]
    assert "bytes are free; new series are not written" in said
    assert said.count("figures cannot be written to PROMETHEUS_MULTIPROC_DIR; not logged again") == 1

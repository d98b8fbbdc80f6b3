"""Several worker processes are counted as one service, whatever becomes of them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from tests.export.test_prometheus import EVERY_METRIC
from tests.support import missing
from tests.support.scraping import lint, shown
from tracedtimeout._shared import build

pytestmark = pytest.mark.slow  # real processes

APP = "tests.services.worker_app:app"

GUNICORN = """
from tests.services.worker_app import child_exit
control_socket_disable = True
workers = 4
worker_class = "uvicorn_worker.UvicornWorker"
"""


def command(kind: str, port: int, folder: Path) -> list[str]:
    """How to start four workers."""
    if kind == "uvicorn":
        return ["-m", "uvicorn", APP, "--workers=4", f"--port={port}", "--log-level=warning"]
    if find_spec("gunicorn") is None or find_spec("uvicorn_worker") is None:
        missing("gunicorn", "pip install gunicorn uvicorn-worker")
    (folder / "gunicorn.conf.py").write_text(GUNICORN)
    preload = ["--preload"] if kind == "gunicorn, preloaded" else []
    config = f"--config={folder / 'gunicorn.conf.py'}"
    return ["-m", "gunicorn", APP, config, f"--bind=127.0.0.1:{port}", *preload]


@asynccontextmanager
async def workers(kind: str, folder: Path) -> AsyncIterator[Service]:
    """Four worker processes that answer."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    figures = folder / "figures"
    figures.mkdir()
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(figures), "PYTHONPATH": str(Path.cwd())}
    with (folder / "log").open("w") as log:
        master = await asyncio.create_subprocess_exec(
            sys.executable, *command(kind, port, folder), stdout=log, stderr=log, env=environment
        )
    service = Service(f"http://127.0.0.1:{port}", figures)
    try:
        await service.up()
        yield service
    finally:
        master.terminate()
        await master.wait()


class Service:
    """Four workers, and what a client got from each."""

    def __init__(self, address: str, figures: Path) -> None:
        self.address = address
        self.figures = figures
        self.served: Counter[str] = Counter()
        self.pids: set[int] = set()

    async def up(self) -> None:
        for _ in range(300):
            try:
                await self.ask("/work", times=1)
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                return
        pytest.fail("the workers do not come up")

    async def ask(self, path: str, *, times: int) -> None:
        """Send requests at once, each on a connection of its own."""

        async def one() -> int:
            async with httpx.AsyncClient(timeout=30) as client:
                return int((await client.get(self.address + path)).text)

        answers = await asyncio.gather(*(one() for _ in range(times)))
        self.served[path.removeprefix("/")] += times
        self.pids.update(answers)

    async def ask_all(self) -> None:
        """Send requests until each of four workers has answered some."""
        for _ in range(100):
            await self.ask("/work", times=8)
            await self.ask("/expire", times=8)
            if len(self.pids) >= 4:
                return
        pytest.fail(f"only {len(self.pids)} workers answer")

    async def shows(self, expected: Mapping[str, float]) -> None:
        """Wait for figures: those of another process may be a second old."""
        found: dict[str, float] = {}
        for _ in range(100):
            async with httpx.AsyncClient(timeout=30) as client:
                text = (await client.get(f"{self.address}/metrics")).text
            found = counted(text)
            if found == expected:
                return
            await asyncio.sleep(0.1)
        assert found == expected

    def expected(self) -> dict[str, float]:
        """What all workers together have counted, by the client's own ledger."""
        work, expire = self.served["work"], self.served["expire"]
        return {
            "duration work completed": work,
            "duration expire expired": expire,
            "limit work": work,
            "limit expire": expire,
            "expirations expire expired": expire,
            "active work": 0,
            "active expire": 0,
        }


FIGURE = r"tracedtimeout_(duration|limit|expirations|active)(?:_seconds_count|_total|)\{(.*)\} (.*)"


def counted(text: str) -> dict[str, float]:
    """Counts by family, name and outcome; expiries that stand at 0 are left out."""
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(FIGURE, line)
        if match is not None:
            labels = dict(re.findall(r'(\w+)="(.*?)"', match[2]))
            key = " ".join(filter(None, (match[1], labels["timeout"], labels.get("outcome"))))
            if float(match[3]) or labels.get("outcome") != "expired":
                found[key] = float(match[3])
    return found


def in_files(figures: Path) -> str:
    """What the files say when no process runs any more."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(figures))  # type: ignore[no-untyped-call]  # prometheus_client's
    return generate_latest(registry).decode()


@pytest.mark.parametrize("kind", ["gunicorn", "gunicorn, preloaded"])
async def test_the_figures_of_a_killed_worker_stay(kind: str, tmp_path: Path) -> None:
    """Four workers are summed; a killed one keeps what it counted and is active no more; its successor adds to it."""
    async with workers(kind, tmp_path) as service:
        await service.ask_all()
        await service.shows(service.expected())
        async with httpx.AsyncClient(timeout=30) as client, client.stream("GET", f"{service.address}/hold") as held:
            answer = held.aiter_lines()
            pid = int(await anext(answer))
            await service.shows({**service.expected(), "limit hold": 1, "active hold": 1})
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(httpx.TransportError):
                await anext(answer)
        await service.shows({**service.expected(), "limit hold": 1})
        service.pids = set()
        await service.ask_all()
        await service.shows({**service.expected(), "limit hold": 1})
        assert pid not in service.pids


@pytest.mark.server
@pytest.mark.parametrize("kind", ["gunicorn", "uvicorn"])
async def test_workers_that_end_leave_all_their_figures(kind: str, tmp_path: Path) -> None:
    """What was counted right before the lifespan ended, with an undo, is in the files; then nothing is active."""
    async with workers(kind, tmp_path) as service:
        await service.ask_all()
    text = in_files(service.figures)
    figures = {key: value for key, value in service.expected().items() if not key.startswith("active")}
    assert {key: value for key, value in counted(text).items() if value} == figures
    assert lint(text.encode()) == ""


@pytest.mark.server
async def test_all_families_are_announced(tmp_path: Path) -> None:
    """A scrape of several processes has the type of every family, as that of one has."""
    async with workers("uvicorn", tmp_path) as service, httpx.AsyncClient(timeout=30) as client:
        text = (await client.get(f"{service.address}/metrics")).text
    assert sorted(re.findall(r"# TYPE (\S+)", text)) == sorted(metric.prometheus_name for metric in build.METRICS)
    assert lint(text.encode()) == ""


ONE_PROCESS = """
from tests.export.test_prometheus import every_metric
from tracedtimeout import install
from tracedtimeout.prometheus import metrics_app
from tracedtimeout.testing import run
from prometheus_client import generate_latest
undo = install(spans="off")
run(every_metric())
undo()
install(spans="off")
print(generate_latest(metrics_app()._source).decode())
"""


def in_a_new_process(program: str, figures: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(figures)}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)


def test_the_files_hold_what_the_collector_shows(tmp_path: Path) -> None:
    """Every sample of a workload with something for each metric is the same in both ways."""
    text = in_a_new_process(ONE_PROCESS, tmp_path).stdout
    found = [line for metric in build.METRICS for line in shown(metric.prometheus_name, text)]
    assert sorted(found) == sorted(EVERY_METRIC)


UNDONE_BY_NOBODY = """
from tests.export.test_prometheus import pass_by
from tracedtimeout import install
from tracedtimeout.testing import run
install(spans="off")
run(pass_by(2.0, 0.25))
"""


def test_a_process_that_exits_leaves_all_its_figures(tmp_path: Path) -> None:
    """Python's exit handlers carry over the last of them."""
    in_a_new_process(UNDONE_BY_NOBODY, tmp_path)
    assert sorted(shown("tracedtimeout_limit_seconds", in_files(tmp_path))) == [
        'tracedtimeout_limit_seconds_bucket{le="2.5",timeout="charge"} 1.0',
        'tracedtimeout_limit_seconds_count{timeout="charge"} 1.0',
        'tracedtimeout_limit_seconds_sum{timeout="charge"} 2.0',
    ]


def test_expiries_stand_at_0_from_the_first_transfer(tmp_path: Path) -> None:
    """The files show what a first burst rises from, as the collector does."""
    in_a_new_process(UNDONE_BY_NOBODY, tmp_path)
    labels = 'outcome="expired",timeout="charge"'
    lines = [line for line in in_files(tmp_path).splitlines() if "expired" in line and "_bucket" not in line]
    assert sorted(lines) == [
        f"tracedtimeout_duration_seconds_count{{{labels}}} 0.0",
        f"tracedtimeout_duration_seconds_sum{{{labels}}} 0.0",
        f"tracedtimeout_expirations_total{{{labels}}} 0.0",
    ]


FORKED = """
import os
from tests.export.test_prometheus import pass_by
from tracedtimeout import install
from tracedtimeout.testing import run
undo = install(spans="off")
run(pass_by(2.0, 0.25))
child = os.fork()
run(pass_by(2.0, 0.25))
undo()
if not child:
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_fork_counts_nothing_twice(tmp_path: Path) -> None:
    """What was counted before is the parent's; what is after, each one's own: the child starts from zero."""
    assert in_a_new_process(FORKED, tmp_path).returncode == 0
    lines = shown("tracedtimeout_duration_seconds", in_files(tmp_path))
    assert [line for line in lines if "_count" in line] == [
        'tracedtimeout_duration_seconds_count{outcome="completed",timeout="charge"} 3.0'
    ]
    assert len(list(tmp_path.glob("histogram_*.db"))) == 2


NOWHERE = """
import os, time
from tests.export.test_prometheus import pass_by
from tracedtimeout import install
from tracedtimeout.prometheus import _multiprocess
from tracedtimeout.testing import run
_multiprocess.EVERY = 0.01
install(spans="off")
os.rmdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])
run(pass_by(2.0, 0.25))
time.sleep(0.2)
os.mkdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])
"""


def test_a_folder_that_is_gone_is_told_of_once(tmp_path: Path) -> None:
    """The transfer goes on, and succeeds when it can."""
    figures = tmp_path / "figures"
    figures.mkdir()
    said = in_a_new_process(NOWHERE, figures).stderr
    assert said.count("figures cannot be written to PROMETHEUS_MULTIPROC_DIR; not logged again") == 1
    assert 'tracedtimeout_limit_seconds_count{timeout="charge"} 1.0' in in_files(figures)


UNDONE_NOWHERE = """
import os
from tests.export.test_prometheus import pass_by
from tracedtimeout import install
from tracedtimeout.testing import run
undo = install(spans="off")
run(pass_by(2.0, 0.25))
os.rmdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])
undo()
undo()
print("undone")
"""


def test_undoing_survives_a_folder_that_is_gone(tmp_path: Path) -> None:
    """What cannot be written any more is told of, and keeps nobody from ending."""
    figures = tmp_path / "figures"
    figures.mkdir()
    done = in_a_new_process(UNDONE_NOWHERE, figures)
    assert (done.returncode, done.stdout) == (0, "undone\n")
    assert done.stderr.count("figures cannot be written to PROMETHEUS_MULTIPROC_DIR; not logged again") == 1


REFUSED = """
import time
from tests.export.test_prometheus import pass_by
from tracedtimeout import install
from tracedtimeout.prometheus import _multiprocess
from tracedtimeout.testing import run
_multiprocess.EVERY = 0.01
install(spans="off")
run(pass_by(2.0, 0.25))
try:
    install(spans="off", buckets=[1, 2])
except RuntimeError:
    run(pass_by(2.0, 0.25))
    time.sleep(0.5)
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_after_a_call_that_fails_the_former_one_transfers_on(tmp_path: Path) -> None:
    """An `install` that is refused leaves the figures on their way to the files."""
    in_a_new_process(REFUSED, tmp_path)
    lines = shown("tracedtimeout_limit_seconds", in_files(tmp_path))
    assert [line for line in lines if "_count" in line] == ['tracedtimeout_limit_seconds_count{timeout="charge"} 2.0']


TOO_LATE = """
import prometheus_client, os
os.environ["PROMETHEUS_MULTIPROC_DIR"] = os.environ.pop("FOLDER")
import tracedtimeout
tracedtimeout.install()
"""


def test_a_variable_set_too_late_is_an_error(tmp_path: Path) -> None:
    """prometheus_client decided at its import; figures that go nowhere would be worse than an error."""
    environment = {key: value for key, value in os.environ.items() if key != "PROMETHEUS_MULTIPROC_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", TOO_LATE],
        env={**environment, "FOLDER": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1] == (
        "RuntimeError: PROMETHEUS_MULTIPROC_DIR must be set before prometheus_client is imported"
    )

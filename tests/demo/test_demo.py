"""The demo, run as a newcomer runs it: real processes, real sockets, nothing faked."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.processes import shop
from tracedtimeout import Outcome
from tracedtimeout.demo.run import ledger
from tracedtimeout.demo.run.ledger import Line
from tracedtimeout.demo.run.load import CROWD, UNANSWERED, Load

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "tracedtimeout.demo")
PATIENCE = 60.0

slow = pytest.mark.slow  # real processes on the real clock: that all of it starts, serves and ends is the claim


class Demo:
    """A running demo; its output is read in the end."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, timeout=PATIENCE)

    def post(self, path: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(self.url + path, headers=named, timeout=PATIENCE)

    def ended(self) -> tuple[int, str, str]:
        """Exit status, standard output and standard error, once it has ended."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@contextmanager
def demo(*arguments: str, program: str = "") -> Iterator[Demo]:
    """The demo, or a `program` for its arguments, on a free port; killed if a test leaves it running."""
    port = _free_port()
    arguments = ("--port", str(port), *arguments)
    process = subprocess.Popen(
        [sys.executable, "-c", program.format(list(arguments))] if program else [*COMMAND, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield Demo(process, _answering(f"http://127.0.0.1:{port}", process))
        finally:
            process.kill()


@pytest.mark.long
@slow
def test_every_request_is_counted_under_its_outcome() -> None:
    """After a run the load's ledger equals the shop's metrics, line by line, and every outcome has happened."""
    with demo("--seconds", "6", "--quiet") as running:
        status, out, err = running.ended()
    assert (status, err) == (0, "")
    assert out.count("agrees") >= len(Outcome)
    assert "DISAGREES" not in out
    [told] = re.findall(r"every one of them counted\. Outcomes: ([\w,\s]+)\.", out)
    assert re.split(r",\s+", told) == list(Outcome)
    assert "The slowest trace with an expired timeout" in out


@slow
def test_ctrl_c_ends_all_of_it_with_a_summary() -> None:
    """Ctrl-C ends the demo and its children with exit status 0, no traceback and an exact ledger, strangers or not."""
    with demo() as running:
        assert running.get("/search?q=lamp").status_code == 200
        while len(children := _children(running.process.pid)) < 3:  # the customers come last
            time.sleep(0.05)
        running.process.send_signal(signal.SIGINT)
        status, out, err = running.ended()
    assert (status, err) == (0, "")
    assert "every one of them counted" in out
    assert out.startswith(f"Starting a shop and its payments service.\nShop {running.url}, ")
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.server
@slow
def test_an_unmodified_client_is_told_what_the_readme_says() -> None:
    """Without the load, a plain HTTP client gets each answer of the README, and finds it counted at /metrics."""
    with demo("--no-load", "--quiet") as running:
        assert running.get("/products").json()["of"] == 2016
        assert running.post("/checkout?card=4000").json() == {"order": 1}

        search = running.get("/search?q=lamp&similar")
        assert search.status_code == 504
        assert re.fullmatch(
            r"'search' exceeded its 0\.300 s deadline after \d\.\d{3} s: \d\.\d{3} s in db\.search \(unfinished\); "
            r"waiting at tracedtimeout\.demo\.service\.database:\d+ in \w+",
            search.json()["detail"],
        )

        slow_card = running.post("/checkout?card=4009")
        assert slow_card.status_code == 504
        assert "in charge (unfinished); waiting at tracedtimeout.demo.service.gateway:" in slow_card.json()["detail"]

        hurried = running.post("/checkout?card=4000", deadline_budget="100")
        assert hurried.status_code == 503
        assert re.fullmatch(
            r"'checkout' needs 0\.250 s and 0\.(100|0\d\d) s is left of '_remote'", hurried.json()["detail"]
        )

        page = running.get("/metrics").text
        running.process.send_signal(signal.SIGINT)
        status, _, err = running.ended()
    assert (status, err) == (0, "")
    counted = ledger.ends(page)
    assert {key: count for key, count in counted.items() if count and key[0] in ("checkout", "search", "products")} == {
        ("products", "completed"): 1,
        ("checkout", "completed"): 1,
        ("checkout", "expired"): 1,
        ("checkout", "rejected"): 1,
        ("search", "expired"): 1,
    }
    _check_by_promtool(page)


@slow
def test_a_busy_port_is_one_line() -> None:
    """A port that is taken is said in one line, with exit status 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run([*COMMAND, "--port", port], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"Port {port} of 127.0.0.1: Address already in use. Choose another: --port N\n"


@slow
def test_a_dead_child_ends_all_of_it() -> None:
    """The demo says which of its processes died, ends the others and exits with status 1."""
    with demo("--no-load", "--quiet") as running:
        children = _children(running.process.pid)
        [payments] = [pid for pid, command in children.items() if "payments" in command.split("\0")]
        subprocess.run(["kill", "-KILL", payments], check=True)
        status, _, err = running.ended()
    assert (status, err) == (1, "the process 'payments' ended by itself, with exit status -9\n")
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []


@pytest.mark.long
@slow
def test_patience_that_ends_is_said_and_the_rest_summed_up() -> None:
    """A load that does not hand over its ledger in time costs the ledger only; one line says whose patience ended."""
    program = (
        "import sys; from tracedtimeout.demo.run import cli, demo; demo.LAST_ANSWERS = 0.5; sys.exit(cli.main({}))"
    )
    with demo("--seconds", "2", program=program) as running:
        while not (load := [pid for pid, command in _children(running.process.pid).items() if ".run.load" in command]):
            time.sleep(0.05)
        subprocess.run(["kill", "-STOP", *load], check=True)
        status, out, err = running.ended()
    assert status == 1
    assert err.startswith("'last answers' exceeded its 0.500 s deadline after ")
    assert "load logged: nothing" in err
    assert "Waiting for the last answers.\n\nshop\ntimeout " in out
    assert "ledger" not in out


async def _never(request: httpx.Request) -> httpx.Response:
    await asyncio.sleep(1000)
    return httpx.Response(200)


@pytest.mark.loops("virtual")
async def test_a_shop_that_cannot_keep_up_is_let_drain() -> None:
    """Only so many customers wait at once; those that get no answer are in the ledger when their patience ends."""
    async with httpx.AsyncClient(base_url="http://shop", transport=httpx.MockTransport(_never)) as client:
        load = Load(client)
        running = asyncio.create_task(load.run())
        await asyncio.sleep(30.0)
        assert load.waiting == CROWD
        load.close()
        start = asyncio.get_running_loop().time()
        await running
        assert asyncio.get_running_loop().time() - start <= UNANSWERED
    given_up = sum(count for (_, answer), count in load.ledger.items() if answer.startswith("no answer: "))
    assert given_up == CROWD


@slow
def test_missing_extras_are_one_line() -> None:
    """Without the packages of the extra, one line says what to install."""
    program = (
        "import runpy, sys; sys.modules['rich'] = None; runpy.run_module('tracedtimeout.demo', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "The demo needs rich: pip install 'tracedtimeout[demo]'\n")


def test_the_comparison_leaves_out_only_what_strangers_did() -> None:
    """A line agrees if the metrics, less what others asked for, are what the ledger has."""
    answers = [("/search", "200", 5), ("/search", "504", 1), ("/checkout", "402", 1), ("/checkout", "409", 2)]
    metrics = ledger.Ends({("search", "completed"): 7, ("search", "expired"): 2, ("checkout", "failed"): 3})
    lines = ledger.compare(answers, metrics, ledger.Ends({("search", "completed"): 2}))
    assert lines == [
        Line("checkout", "failed", "402, 409", 3, 3),
        Line("search", "completed", "200", 5, 5),
        Line("search", "expired", "504", 1, 2),
    ]
    assert [line.agrees for line in lines] == [True, True, False]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def _answering(url: str, process: subprocess.Popen[str]) -> str:
    """`url`, once the shop answers there."""
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            httpx.get(f"{url}/recent", timeout=PATIENCE)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return url
    pytest.fail(f"the demo did not start: exit status {process.poll()}")


def _children(parent: int) -> dict[str, str]:
    """The child processes of `parent`: command line by process id."""
    if not Path("/proc").exists():
        pytest.skip("child processes are found in /proc, which Linux has")
    pids = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in pids}


def _check_by_promtool(page: str) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt install prometheus")
    done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@slow
async def test_a_caller_s_budget_shows_at_every_hop(tmp_path: Path) -> None:
    """A budget that a caller sends bounds the shop and, from there, payments: each says whose deadline it was."""
    async with shop(tmp_path) as where, httpx.AsyncClient(timeout=PATIENCE) as client:
        await client.post(f"http://{where.shop}/checkout?card=4000")  # a first request takes longer to arrive
        asked = await client.post(f"http://{where.shop}/checkout?card=4009", headers={"deadline-budget": "400"})
        pages = [(await client.get(f"http://{at}/metrics")).text for at in (where.shop, where.payments)]
    assert (asked.status_code, asked.headers["deadline-expired"]) == (504, "1")
    interrupted = [
        sorted(
            re.findall(
                r'^tracedtimeout_interruptions_total\{owner="_remote",timeout="([^"]+)"\} 1\.0$', page, re.MULTILINE
            )
        )
        for page in pages
    ]
    assert interrupted == [["POST /checkout", "charge", "checkout"], ["POST /authorize", "authorize", "bank"]]

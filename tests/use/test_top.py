"""`python -m tracedtimeout top`: another process's live page in the terminal, or a line that says why not."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import socket
import sys
from typing import Any

import pytest
from rich.console import Console

from tests.services.asgi_servers import Receive, Scope, Send, serving
from tracedtimeout import timeout
from tracedtimeout.commands import top
from tracedtimeout.live import live_app

COMMAND = (sys.executable, "-m", "tracedtimeout", "top")

slow = pytest.mark.slow  # a real server and a real client: that the one reads what the other says is the claim


def told(**parts: Any) -> top.Look:
    """The JSON of a live page."""
    return {"at": 0.0, "pid": 7, "in_flight": [], "hidden": 0, "out_of_time": [], "names": [], **parts}


def name(called: str, out_of_time: int = 0) -> dict[str, Any]:
    figures = {"open": 1, "rates": [], "p50": 0.007, "p95": 0.5, "p99": None, "limit": 1.0, "ended": 9}
    return {"name": called, "out_of_time": out_of_time, **figures}


def node(called: str, **facts: Any) -> dict[str, Any]:
    known = {"depth": 0, "used": 0.5, "limit": 2.0, "owner": called, "elapsed": 1.0, "where": "", "unwinding": None}
    return {"name": called, **known, **facts}


def ended(message: str) -> dict[str, Any]:
    return {"at": 0.0, "outcome": "expired", "message": message}


def drawn(look: top.Look, lines: int | None = None, width: int = 100) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(top.picture(look, lines))
    return [line.rstrip() for line in captured.get().splitlines()]


def test_figures_stand_by_name_the_most_troubled_first() -> None:
    """Each name has a line, those that ran out of time most often before the others."""
    head, *rows = drawn(told(names=[name("calm"), name("troubled", out_of_time=3)]))[1:]
    assert head.split("  ")[0] == "timeout"
    assert [row.split() for row in rows] == [
        ["troubled", "1", "7", "ms", "500", "ms", "–", "1.00", "s", "3", "of", "9"],  # noqa: RUF001  # no figure
        ["calm", "1", "7", "ms", "500", "ms", "–", "1.00", "s", "0", "of", "9"],  # noqa: RUF001
    ]


def test_what_is_in_flight_is_a_tree() -> None:
    """A nested timeout stands deeper, with its share of the budget, and whose that is if it is not its own."""
    nodes = [
        node("outer", where="shop:3 in buy"),
        node("inner", depth=1, used=0.25, elapsed=0.5, owner="outer"),
        node("stubborn", unwinding=0.3),
        node("free", limit=None, owner=""),
    ]
    assert drawn(told(in_flight=nodes, hidden=2))[-5:] == [
        "in flight  budget used        elapsed   limit  whose  waiting at",
        "outer      █████       50%     1.00 s  2.00 s         shop:3 in buy",
        "  inner    ██          25%     500 ms  2.00 s  outer",
        "stubborn   expired 0.3 s ago   1.00 s  2.00 s",
        "free                           1.00 s       –",  # noqa: RUF001
    ]


@pytest.mark.parametrize("lines", [8, 12, 24, 50])
def test_a_picture_fits_the_terminal(lines: int) -> None:
    """However much there is to say, it is said in the lines that there are, each of it in one."""
    many = [f"one of many, number {number}" for number in range(40)]
    look = told(names=[*map(name, many)], in_flight=[*map(node, many)], out_of_time=[ended(100 * "long ")] * 40)
    assert len(drawn(look, lines)) <= max(lines, 9)
    assert drawn(look, lines)[1].startswith("timeout, ")
    assert len(drawn(look)) > 100


def test_names_of_another_process_steer_no_terminal() -> None:
    """Control characters are not passed on, and what looks like markup is shown as it is."""
    shown = "\n".join(drawn(told(names=[name("\x1b[2Jcleared")], out_of_time=[ended("[red]is it?[/red]\r\n")])))
    assert "?[2Jcleared" in shown
    assert "[red]is it?[/red]??" in shown


@slow
async def test_once_prints_the_page_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--once`, or without a terminal, the tables are printed as they are now. A scheme may be left out."""
    async with serving(live_app()) as url, timeout(60.0, name="checkout"):
        for arguments in ([url, "--once"], [url.removeprefix("http://") + "/"]):
            assert await asyncio.to_thread(top.main, arguments) == 0
            out = capsys.readouterr().out
            assert out.startswith(f"1 in flight in process {os.getpid()} at ")
            assert "test_once_prints_the_page_and_ends" in out


async def _other(scope: Scope, receive: Receive, send: Send) -> None:
    """Something that is no live page; a page behind a password."""
    path = scope["path"]
    status = 401 if "secret" in path and (b"x-key", b"1 2") not in scope["headers"] else 404 if "none" in path else 200
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"[]" if "list" in path else b'{"at": 1}'})


WHERE = "The URL is that of the page, where live_app() is mounted: http://127.0.0.1:8080/timeouts"


@slow
@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/none", f"/none/json answers 404 Not Found. {WHERE}"),
        ("/secret", f"/secret/json answers 401 Unauthorized. {WHERE}"),
        ("/list", f"/list/json answers, but is no live page. {WHERE}"),
        ("/other", f"/other/json answers, but is no live page. {WHERE}"),
    ],
)
async def test_what_is_no_live_page_is_said_so(path: str, says: str) -> None:
    """Whatever else answers there, one line says what it is and which URL is wanted."""
    async with serving(_other) as url:
        assert await asyncio.to_thread(top.main, [url + path, "--once"]) == f"{url}{says}"


@slow
async def test_a_header_is_sent_along() -> None:
    """A page behind authentication is given what it asks for."""
    async with serving(_other) as url:
        answered = await asyncio.to_thread(top.main, [f"{url}/secret", "--header", "X-Key: 1 2"])
    assert answered == f"{url}/secret/json answers, but is no live page. {WHERE}"


def test_nobody_there_is_one_line() -> None:
    """The line says that nothing listens there, or that this is no URL."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    assert top.main([url]) == f"No answer from {url}: Connection refused"
    assert top.main(["http://localhost:x"]) == "http://localhost:x is no URL: nonnumeric port: 'x'"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ftp://x"], "a URL begins with http:// or https://, not as ftp://x"),
        (["x", "--every", "0"], "seconds between two looks are 0.1 to 3600, not 0"),
        (["x", "--header", "none"], "a header is 'name: value', not 'none'"),
    ],
)
def test_arguments_are_checked_at_the_door(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong argument is said in the words of who wrote it, with exit status 2."""
    with pytest.raises(SystemExit) as ended:
        top.main(arguments)
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@slow
async def test_it_is_redrawn_until_ctrl_c() -> None:
    """In a terminal the picture is drawn anew; a process that is gone is said so, and Ctrl-C ends it with status 0."""
    ours, theirs = pty.openpty()
    async with serving(live_app()) as url:
        command = [*COMMAND, url, "--every", "0.1"]
        watching = await asyncio.create_subprocess_exec(*command, stdin=theirs, stdout=theirs, stderr=theirs)
        await asyncio.to_thread(_read_until, ours, b"0 in flight")
        async with timeout(60.0, name="checkout"):
            await asyncio.to_thread(_read_until, ours, b"1 in flight")
    await asyncio.to_thread(_read_until, ours, b"No answer from")
    watching.send_signal(signal.SIGINT)
    assert await watching.wait() == 0
    os.close(theirs)
    os.close(ours)


def _read_until(terminal: int, words: bytes) -> None:
    seen = b""
    while words not in seen:
        seen += os.read(terminal, 4096)

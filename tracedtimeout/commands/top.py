"""``python -m tracedtimeout top URL``: the live page of a running process as tables in the terminal."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPException, InvalidURL
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tracedtimeout.live._tree import printable
from tracedtimeout.live._view import clock, configured, in_code, seconds

from . import _http

try:
    from rich.console import Console, Group, RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text
except ImportError as _exc:
    _message = f"tracedtimeout.commands.top needs an extra: pip install 'tracedtimeout[top]' ({_exc})"
    raise ImportError(_message, name=_exc.name) from _exc

__all__ = ["Look", "NoLivePageError", "look", "main", "names", "picture", "terminal"]

PATIENCE = 10.0
"""Seconds that a process has to answer."""

MESSAGES = 12
"""Timeouts that ran out of time that are shown where there is room for all."""

BAR = 10

Look = dict[str, Any]
"""The live page's JSON."""


class NoLivePageError(Exception):
    """No live page answers; says what does."""


def main(arguments: list[str]) -> int | str:
    """Show the live page until Ctrl-C; once if asked to, or if there is no terminal. Returns what to exit with."""
    asked = _parser().parse_args(arguments)
    console = terminal()
    try:
        told = look(asked.url, asked.header)
        if asked.once or not console.is_terminal:
            console.print(picture(told))
        else:
            with suppress(KeyboardInterrupt):
                _watch(console, told, asked)
    except NoLivePageError as error:
        return str(error)
    return 0


def look(url: str, headers: Sequence[tuple[str, str]] = ()) -> Look:
    """The JSON of the live page at `url`, now.

    Raises:
        NoLivePageError: none answers there.
    """
    request = Request(f"{url}/json")  # noqa: S310  # http or https: `_url` saw to it
    for name, value in headers:
        request.add_unredirected_header(name, value)  # it may be a secret, for this host alone
    try:
        with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310  # as above
            told = json.load(answer)
    except HTTPError as error:
        error.close()  # it is the answer, too: from 3.14 on, left open it warns
        raise NoLivePageError(f"{request.full_url} answers {error.code} {error.reason}. {_WHERE}") from None
    except URLError as error:
        why = getattr(error.reason, "strerror", None) or error.reason
        raise NoLivePageError(f"No answer from {url}: {why}") from None
    except TimeoutError:
        raise NoLivePageError(f"No answer from {url} in {PATIENCE:.0f} s: is its event loop blocked?") from None
    except (InvalidURL, UnicodeEncodeError) as error:
        raise NoLivePageError(f"{url} is no URL: {error}") from None
    except (OSError, HTTPException, ValueError):
        told = None
    if not isinstance(told, dict) or not told.keys() >= _KEYS:
        raise NoLivePageError(f"{request.full_url} answers, but is no live page. {_WHERE}")
    return told


_KEYS = {"at", "pid", "in_flight", "hidden", "out_of_time", "names"}
_WHERE = "The URL is that of the page, where live_app() is mounted: http://127.0.0.1:8080/timeouts"


def terminal() -> Console:
    """The terminal; or plain lines of 120 columns, which rich would cut at 80."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=120)


def picture(told: Look, lines: int | None = None, *, of: str = "") -> RenderableType:
    """Figures by name, expiries and what is in flight; in so many lines, if they are counted. `of` heads it."""
    open_now = len(told["in_flight"]) + told["hidden"]
    title = Text.assemble((f"{of}{open_now} in flight", "bold"), f" in process {told['pid']} at {clock(told['at'])}")
    room = 10_000 if lines is None else max(3, lines - 6)  # the title, three heads and two gaps
    messages = min(len(told["out_of_time"]), MESSAGES, max(1, room // 5))
    nodes = min(len(told["in_flight"]), room // 4)
    rows = min(len(told["names"]), room - messages - nodes)
    nodes = min(len(told["in_flight"]), room - messages - rows)
    shown: list[RenderableType] = [title, names(told, rows)]
    if messages:
        shown += ["", _out_of_time(told["out_of_time"][:messages], brief=lines is not None)]
    if nodes:
        shown += ["", _in_flight(told["in_flight"][:nodes], brief=lines is not None)]
    return Group(*shown)


def names(told: Look, most: int | None = None) -> Table:
    """A line for each name, those that ran out of time most often first."""
    worst = sorted(told["names"], key=lambda each: (-each["out_of_time"], each["name"]))[:most]
    some = f"timeout, {len(worst)} of {len(told['names'])}" if len(worst) < len(told["names"]) else "timeout"
    shown = _table(some, "open", "rate", "p50", "p95", "p99", "limit", "out of time")
    for each in worst:
        rate = f"{each['rates'][-1]:.1f}/s" if each["rates"] else ""
        p50, p95, p99, limit = (_seconds(each[key]) for key in ("p50", "p95", "p99", "limit"))
        p95.stylize(_tone(each["p95"], each["limit"]))
        limit.append(configured(each.get("configured")))
        troubled = Text(f"{each['out_of_time']} of {each['ended']}", "red" if each["out_of_time"] else "")
        shown.add_row(_text(each["name"]), str(each["open"]), rate, p50, p95, p99, limit, troubled)
    return shown


def _out_of_time(ended: list[dict[str, Any]], *, brief: bool) -> Table:
    shown = _table("at", "ran out of time")
    for each in ended:
        told = Text.assemble((each["outcome"], "red"), " ", _text(each["message"]), **_lines(brief=brief))
        shown.add_row(Text(clock(each["at"]), "dim"), told)
    return shown


def _in_flight(nodes: list[dict[str, Any]], *, brief: bool) -> Table:
    shown = _table("in flight", "budget used", "elapsed", "limit", "whose", "waiting at")
    for node in nodes:
        used, limit = node["used"], node["limit"]
        bar = Text(f"{'█' * round(BAR * used):<{BAR}} {used:4.0%}" if limit is not None else "", _tone(used, 1.0))
        if node["unwinding"] is not None:
            bar = Text(f"expired {node['unwinding']:.1f} s ago", "red")
        name, whose = _text("  " * node["depth"] + node["name"]), "" if node["owner"] == node["name"] else node["owner"]
        where = Text.assemble(_text(node["where"]), **_lines(brief=brief))
        bound = _seconds(limit).append(in_code(node.get("requested")))
        shown.add_row(name, bar, _seconds(node["elapsed"]), bound, _text(whose), where)
    return shown


def _table(*headings: str) -> Table:
    """A table without lines; if there is too little room, its last column has less."""
    shown = Table(box=None, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)
    for heading in headings:
        words = heading in _WORDS or heading == headings[0]
        shown.add_column(heading, justify="left" if words else "right", no_wrap=heading != headings[-1])
    return shown


_WORDS = {"ran out of time", "budget used", "whose", "waiting at"}


def _lines(*, brief: bool) -> dict[str, Any]:
    """Text options for long words: cut to one line, or in as many lines as they need."""
    return {"no_wrap": True, "overflow": "ellipsis"} if brief else {}


def _seconds(value: float | None) -> Text:
    return Text(seconds(math.nan if value is None else value))


def _text(words: str) -> Text:
    """Words of another process, as they are: no markup, no control characters."""
    return Text(printable(words))


def _tone(value: float | None, limit: float | None) -> str:
    if value is None or limit is None or value < 0.5 * limit:
        return ""
    return "red" if value > 0.9 * limit else "yellow"


def _watch(console: Console, told: Look, asked: argparse.Namespace) -> None:
    """Redraw until interrupted; a process that does not answer for a while is said so and asked again."""
    shown = picture(told, console.height - 1)
    with Live(shown, console=console, auto_refresh=False) as live:
        while True:
            live.update(shown, refresh=True)
            time.sleep(asked.every)
            try:
                shown = picture(look(asked.url, asked.header), console.height - 1)
            except NoLivePageError as error:
                shown = Text(str(error), "red")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tracedtimeout top",
        description="Shows the live page of a running process: its timeouts in flight, out of time and by name.",
    )
    parser.add_argument("url", type=_url, help="of the page, where live_app() is mounted")
    parser.add_argument("--once", action="store_true", help="print it once and end")
    parser.add_argument("--every", type=_interval, default=1.0, metavar="SECONDS", help="between two looks (default 1)")
    parser.add_argument(
        "--header", type=_http.header, action="append", default=[], help="to send along, as 'Authorization: Bearer ...'"
    )
    return parser


def _url(text: str) -> str:
    return _http.url(text).removesuffix("/json")


def _interval(text: str) -> float:
    try:
        every = float(text)
    except ValueError:
        every = 0.0
    if not 0.1 <= every <= 3600.0:
        raise argparse.ArgumentTypeError(f"seconds between two looks are 0.1 to 3600, not {text}")
    return every

"""The live page, its JSON and its text: what is open now, what ran out of time, and figures by name."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import math
import os
import re
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from html import unescape
from typing import Any

import httpx
import pytest

from tests.services.asgi_servers import client, until
from tracedtimeout import budget, timeout, wait_for
from tracedtimeout.live import LiveApp, _json, dump_on_signal, live_app
from tracedtimeout.live._figures import GAP, Names
from tracedtimeout.live._page import page
from tracedtimeout.live._tree import Tree, gather, text

EVIL = "<script>alert(1)</script>"

KINDS = {"/": "text/html", "/json": "application/json", "/events": "text/event-stream"}

virtual = pytest.mark.loops("virtual")


def _tree() -> list[tuple[int, str, str, str, float, float]]:
    return [(node.depth, node.name, node.kind, node.owner, node.elapsed, node.limit) for node in gather().nodes]


@virtual
async def test_the_tree_shows_what_is_nested_in_what() -> None:
    """Each row says how deep it is, whose deadline holds, and how much of it has passed."""
    with budget(8.0):
        async with timeout(4.0, name="outer"), timeout(None, name="free"):
            await asyncio.sleep(1.0)
            async with timeout(9.0, name="inner"):
                await asyncio.sleep(1.0)
                seen = _tree()
    assert seen == [
        (0, "_budget", "budget", "_budget", 2.0, 8.0),
        (1, "outer", "timeout", "outer", 2.0, 4.0),
        (2, "free", "timeout", "outer", 2.0, 4.0),
        (3, "inner", "timeout", "outer", 1.0, 3.0),
    ]
    assert _tree() == []


@virtual
async def test_timeouts_of_child_tasks_hang_beneath_what_encloses_them() -> None:
    """A child task's timeout is a row beneath its creator's, the oldest first."""

    async def child(seconds: float) -> None:
        async with timeout(seconds, name=f"child {seconds}"):
            await asyncio.sleep(1.0)

    async with timeout(5.0, name="parent"), asyncio.TaskGroup() as group:
        group.create_task(child(2.0))
        group.create_task(child(3.0))
        await asyncio.sleep(0.5)
        seen = _tree()
    assert [(depth, name) for depth, name, *_ in seen] == [(0, "parent"), (1, "child 2.0"), (1, "child 3.0")]


@virtual
async def test_a_moved_deadline_is_shown_at_once() -> None:
    """The limit is that of the deadline in force now, an outer one's that moved included."""
    async with timeout(4.0, name="outer") as outer, timeout(9.0, name="inner"):
        outer.reschedule(6.0)
        assert [row[5] for row in _tree()] == [6.0, 6.0]


@virtual
async def test_no_limit_is_infinite() -> None:
    """A timeout with no deadline has used nothing of it, and nobody owns it."""
    async with timeout(None, name="free"):
        [node] = gather().nodes
    assert (node.limit, node.used, node.owner) == (math.inf, 0.0, "")


@virtual
async def test_only_so_many_rows_are_gathered() -> None:
    """The oldest are shown and the rest counted."""

    async def one(number: int) -> None:
        async with timeout(9.0, name=f"n{number}"):
            await asyncio.sleep(1.0)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(one(number))
        await asyncio.sleep(0.1)
        tree = gather(2)
    assert ([node.name for node in tree.nodes], tree.hidden) == (["n0", "n1"], 3)


@virtual
async def test_what_has_expired_is_shown_until_it_is_left() -> None:
    """Slow clean-up keeps a row, beneath what encloses it, that says whose deadline fired and how long ago."""
    cleaning = asyncio.create_task(_clean_up(3.0))
    await asyncio.sleep(2.5)
    app = live_app()
    outer, inner, *_ = gather().nodes
    lines = [line.partition(", waiting")[0] for line in text(gather()).splitlines()[1:]]
    shown = [row["cells"][1] for row in app._view()["flight"]]
    told = json.loads(_json(app.look()))["in_flight"]
    app.close()
    with pytest.raises(TimeoutError):
        await cleaning
    assert (outer.name, outer.limit, outer.used, outer.unwinding) == ("outer", 10.0, 0.25, None)
    assert (inner.name, inner.depth, inner.owner, inner.limit, inner.used) == ("inner", 1, "inner", 1.0, 1.0)
    assert inner.where.endswith(" in _clean_up")
    assert lines == [
        "  outer: 2.500 of 10.000 s, 25%",
        "    inner: 2.500 of 1.000 s, 100%, expired, not yet left for 1.500 s",
        "    tidy: 1.500 of 8.000 s, 19%",
    ]
    assert shown[1] == {"text": "expired, not yet left for 1.5 s", "bar": 1.0, "tone": "hot over"}
    assert [row["unwinding"] for row in told] == [None, 1.5, None]
    assert gather().nodes == ()


async def _clean_up(seconds: float) -> None:
    async with timeout(10.0, name="outer"), timeout(1.0, name="inner"):
        try:
            await asyncio.sleep(5.0)
        finally:
            async with timeout(8.0, name="tidy"):
                await asyncio.sleep(seconds)


@virtual
async def test_what_expired_and_was_dropped_is_not_kept_alive() -> None:
    """A task that nobody holds any more goes in the middle of its clean-up, as it does in asyncio."""

    async def never_done() -> None:
        async with timeout(1.0, name="dropped"):
            try:
                await asyncio.sleep(5.0)
            finally:
                await asyncio.get_running_loop().create_future()

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # asyncio says that it was destroyed
    task = asyncio.create_task(never_done())
    await asyncio.sleep(2.0)
    assert [node.name for node in gather().nodes] == ["dropped"]
    del task
    gc.collect()
    assert gather().nodes == ()


@virtual
async def test_where_it_waits_is_named() -> None:
    """The row says the line of the code that it waits at."""

    async def stuck() -> None:
        async with timeout(1.0, name="stuck"):
            await asyncio.sleep(0.5)

    waiting = asyncio.create_task(stuck())
    await asyncio.sleep(0.1)
    [node] = gather().nodes
    await waiting
    assert node.where == f"{__name__}:{stuck.__code__.co_firstlineno + 2} in stuck"


@virtual
async def test_the_text_is_the_tree() -> None:
    """A line each, indented by how deep it is; what would steer a terminal is replaced."""
    async with timeout(4.0, name="outer"):
        await asyncio.sleep(1.0)
        async with timeout(None, name="a\x1b[2Jb"):
            told = [line.partition(", waiting")[0] for line in text(gather()).splitlines()]
    assert told == [
        f"2 timeouts in flight in process {os.getpid()}",
        "  outer: 1.000 of 4.000 s, 25%",
        "    a?[2Jb: 0.000 of 3.000 s, 0%, deadline of outer",
    ]


def test_looking_from_another_thread_while_they_come_and_go_never_raises() -> None:
    """What ends during a look is left out of it."""
    done = threading.Event()
    looks: list[int] = []
    failed: list[BaseException] = []

    def look() -> None:
        try:
            while not done.is_set():
                looks.append(len(gather().nodes))
        except BaseException as exc:
            failed.append(exc)

    async def work() -> None:
        for _ in range(300):
            with suppress(TimeoutError):
                async with timeout(0.0005, name="short"), timeout(1.0, name="long"):
                    await asyncio.sleep(0.0004)

    async def crowd() -> None:
        await asyncio.gather(*(work() for _ in range(10)))

    looking = threading.Thread(target=look)
    looking.start()
    asyncio.run(crowd())
    done.set()
    looking.join()
    assert failed == []
    assert max(looks) > 0


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows has no SIGUSR1")
async def test_a_signal_has_the_tree_written() -> None:
    """A process without a web server shows its timeouts on request, until the handler is taken back."""
    before = signal.getsignal(signal.SIGUSR1)
    out = io.StringIO()
    undo = dump_on_signal(file=out)
    try:
        async with timeout(60.0, name="patient"):
            os.kill(os.getpid(), signal.SIGUSR1)
            await until(lambda: "patient" in out.getvalue())
    finally:
        undo()
    assert out.getvalue().startswith(f"1 timeout in flight in process {os.getpid()}\n  patient: 0.0")
    assert signal.getsignal(signal.SIGUSR1) is before


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows has no SIGUSR1")
def test_a_signal_that_somebody_has_taken_since_is_his() -> None:
    """What gives it back does so once, and only where the signal is still ours."""
    first = signal.getsignal(signal.SIGUSR1)
    try:
        undo = dump_on_signal()
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        undo()
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
        undo = dump_on_signal()
        undo()
        signal.signal(signal.SIGUSR1, signal.default_int_handler)
        undo()
        assert signal.getsignal(signal.SIGUSR1) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGUSR1, first)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="Windows has no SIGUSR1")
def test_a_signal_when_no_thread_can_be_had_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program that a signal interrupts goes on, be there no room for a thread."""

    def full(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("tracedtimeout._shared.signals._thread.start_new_thread", full)
    out = io.StringIO()
    undo = dump_on_signal(file=out)
    signal.raise_signal(signal.SIGUSR1)
    undo()
    assert out.getvalue() == ""


@virtual
async def test_rates_are_what_ended_between_two_looks() -> None:
    """The sparkline holds a rate per look and begins anew after nobody looked for long."""
    times = iter([0.0, 2.0, 3.0, 3.0 + GAP + 1.0])
    names = Names(lambda: next(times))

    async def ends(count: int) -> None:
        for _ in range(count):
            async with timeout(1.0, name="quick"):
                await asyncio.sleep(0.0)

    await ends(1)
    names.look()
    await ends(4)
    names.look()
    await ends(3)
    [figures] = names.look()
    assert (figures.rates, figures.ended, figures.open, figures.limit) == ((2.0, 3.0), 8, 0, 1.0)
    [figures] = names.look()
    assert (figures.rates, figures.ended) == ((), 8)


@asynccontextmanager
async def _page() -> AsyncIterator[tuple[LiveApp, httpx.AsyncClient]]:
    app = live_app(every=0.05)
    async with client(app) as asking:
        yield app, asking
    app.close()


async def _expire(name: str) -> None:
    with suppress(TimeoutError):
        async with timeout(0.02, name=name):
            await wait_for(asyncio.sleep(1.0), 5.0, name="nested")


async def test_the_json_has_the_facts() -> None:
    """What ran out of time comes with its message and what it spent, what is open with its numbers."""
    async with _page() as (_, asking):
        await _expire("short")
        async with timeout(None, name="open"):
            told = (await asking.get("/timeouts/json")).json()
    assert [one["name"] for one in told["in_flight"]] == ["open"]
    assert [one["limit"] for one in told["in_flight"]] == [None]
    assert [(one["name"], one["outcome"], one["owner"]) for one in told["out_of_time"]] == [
        ("short", "expired", "short"),
        ("nested", "inherited", "short"),
    ]
    short = told["out_of_time"][0]
    assert short["message"].startswith("'short' exceeded its 0.020 s deadline after ")
    assert [(spent["name"], spent["unfinished"]) for spent in short["spent"]] == [("nested", True)]
    assert [(one["name"], one["ended"], one["out_of_time"]) for one in told["names"]] == [
        ("nested", 1, 1),
        ("open", 0, 0),
        ("short", 1, 1),
    ]


async def test_what_no_deadline_had_a_part_in_is_not_kept() -> None:
    """Completed, failed and cancelled timeouts leave no row."""
    async with _page() as (app, _):
        async with timeout(1.0, name="fine"):
            await asyncio.sleep(0)
        with pytest.raises(ValueError, match="secret"):
            async with timeout(1.0, name="failed"):
                raise ValueError("secret")
        assert app.look().ended == []


@virtual
async def test_the_words_of_anothers_exception_stay_out() -> None:
    """Of what the body raised in its stead only the type is told; what it swallowed is told too."""
    app = live_app()
    with pytest.raises(ValueError, match="secret"):
        async with timeout(1.0, name="replaced"):
            try:
                await asyncio.sleep(2.0)
            except asyncio.CancelledError:
                raise ValueError("secret") from None
    async with timeout(1.0, name="suppressed"):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(2.0)
    app.close()
    assert [one.message for one in app.look().ended] == [
        "'suppressed' exceeded its 1.000 s deadline after 1.000 s; its body swallowed the cancellation and went on",
        "'replaced' exceeded its 1.000 s deadline after 1.000 s; its body raised ValueError instead",
    ]


async def test_only_the_last_are_kept() -> None:
    """What is remembered is bounded, and numbered on."""
    app = live_app(keep=2)
    for name in ("a", "b", "c"):
        with pytest.raises(TimeoutError):
            async with timeout(0.0, name=name):
                await asyncio.sleep(1.0)
    app.close()
    assert [(one.number, one.name) for one in app.look().ended] == [(3, "c"), (2, "b")]


async def test_the_page_is_a_table_without_any_script() -> None:
    """The server renders every cell, escaped, under a policy that lets nothing else run."""
    async with _page() as (_, asking):
        await _expire(EVIL)
        async with timeout(60.0, name='"><img src=x>'):
            answer = await asking.get("/timeouts")
    html = answer.text
    assert EVIL not in html
    assert "<img" not in html
    # A pause between making and entering it takes from its 0.020 s.
    assert re.search(rf"'{re.escape(EVIL)}' exceeded its 0\.0\d\d s deadline", unescape(html))
    assert '<progress max="1" value="0.0' in html
    assert html.count("<caption>") == 3
    assert 'href="./timeouts/json" data-events="./timeouts/events"' in html
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'sha256-")


async def test_events_are_what_the_page_shows() -> None:
    """Each event holds the rows as they are then; names in it are data."""
    async with _page() as (_, asking), timeout(60.0, name=EVIL):
        async with asking.stream("GET", "/timeouts/events") as stream:
            lines = [line async for line in _first(stream, 2)]
    assert stream.headers["content-type"] == "text/event-stream"
    assert [json.loads(line)["flight"][0]["cells"][0] for line in lines] == [{"text": EVIL, "depth": 0}] * 2


async def _first(stream: httpx.Response, count: int) -> AsyncIterator[str]:
    async for line in stream.aiter_lines():
        if line.startswith("data: "):
            yield line.removeprefix("data: ")
            count -= 1
            if not count:
                return


async def test_a_stream_ends_when_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that is gone costs nothing more, and no stream outlives its time."""
    monkeypatch.setattr("tracedtimeout.live.STREAM", 0.2)
    async with _page() as (app, asking):
        assert len((await asking.get("/timeouts/events")).text.split("\n\n")) >= 3
        app._looked = math.inf
        tasks = len(asyncio.all_tasks())
        async with asking.stream("GET", "/timeouts/events") as stream:
            await anext(_first(stream, 1))
        await until(lambda: len(asyncio.all_tasks()) <= tasks)


async def test_it_is_rendered_off_the_loop_and_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a look is taken the event loop runs, and all who watch get the same rendering."""
    loop = asyncio.get_running_loop()
    threads: list[str] = []

    def gathered() -> Tree:
        ran = threading.Event()
        loop.call_soon_threadsafe(ran.set)
        assert ran.wait(5.0), "the event loop stands still meanwhile"
        threads.append(threading.current_thread().name)
        return gather()

    monkeypatch.setattr("tracedtimeout.live._tree.gather", gathered)
    app = live_app(every=60.0)
    bodies: list[bytes] = []

    async def watch(path: str) -> None:
        async def receive() -> dict[str, Any]:
            await until(lambda: len(bodies) >= 12)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            bodies.append(message.get("body", b""))

        await app({"type": "http", "method": "GET", "path": path, "headers": []}, receive, send)

    await asyncio.gather(*(watch("/events") for _ in range(4)), watch("/json"), watch("/"))
    app.close()
    events = [body for body in bodies if body.startswith(b"retry")]
    assert (threads, len(events), len(set(events))) == (["tracedtimeout-live_0"], 4, 1)


async def test_so_many_watch_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is told to come again; when another is gone, he may watch."""
    monkeypatch.setattr("tracedtimeout.live.WATCHERS", 1)
    async with _page() as (app, asking):
        async with asking.stream("GET", "/timeouts/events") as stream:
            await anext(_first(stream, 1))
            refused = await asking.get("/timeouts/events")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "3")
        await until(lambda: app._watchers == 0)
        async with asking.stream("GET", "/timeouts/events") as stream:
            assert stream.status_code == 200


async def test_names_cannot_break_out_of_an_event_or_the_page() -> None:
    """Line ends in a name stay inside the event's line of data, and what has no encoding is replaced on the page."""
    name = "a\n\ndata: {}\r\n\u2028?<b>"
    async with _page() as (_, asking), timeout(60.0, name=name.replace("?", "\ud800")):
        async with asking.stream("GET", "/timeouts/events") as stream:
            [line] = [line async for line in _first(stream, 1)]
        shown = await asking.get("/timeouts")
        told = (await asking.get("/timeouts/json")).json()
    assert json.loads(line)["flight"][0]["cells"][0]["text"] == name
    assert told["in_flight"][0]["name"] == name
    assert shown.status_code == 200
    assert "<b>" not in shown.text
    assert "\u2028?&lt;b&gt;" in shown.text


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("/timeouts", "./timeouts/json"),
        ("/timeouts/", "json"),
        ("/javascript:alert(1)", "./javascript%3Aalert%281%29/json"),
        ('/x">?#', "./x%22%3E%3F%23/json"),
    ],
)
def test_links_stay_beneath_where_the_page_is(path: str, link: str) -> None:
    """Whatever the path that it was asked for by, the page's links are relative to it, and no scheme of their own."""
    app = live_app()
    html = page(app._view(), path)
    app.close()
    assert f'<a id="json" href="{link}"' in html


@virtual
async def test_ten_thousand_open_ones_are_counted_and_the_oldest_shown() -> None:
    """However many are open, what is sent is bounded."""
    leave = asyncio.Event()

    async def one(number: int) -> None:
        async with timeout(60.0, name=f"n{number % 100}"):
            await leave.wait()

    waiting = [asyncio.create_task(one(number)) for number in range(10_000)]
    await asyncio.sleep(0.1)
    app = live_app()
    view = app._view()
    sizes = [len(json.dumps(view)), len(_json(app.look())), len(page(view, "/"))]
    app.close()
    leave.set()
    await asyncio.gather(*waiting)
    assert (view["count"], len(view["flight"]), view["more"]) == (10_000, 200, "and 9800 more, younger ones")
    assert max(sizes) < 250_000


async def test_who_neither_reads_nor_hangs_up_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that takes nothing holds its stream, and one event, no longer than a stream lasts."""
    monkeypatch.setattr("tracedtimeout.live.STREAM", 0.05)
    sent: list[str] = []

    async def receive() -> dict[str, Any]:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]  # never

    async def send(message: Any) -> None:
        sent.append(message["type"])
        if message["type"] == "http.response.body":
            await asyncio.get_running_loop().create_future()

    app = live_app()
    before = len(asyncio.all_tasks())
    await app({"type": "http", "method": "GET", "path": "/events"}, receive, send)
    app.close()
    await until(lambda: len(asyncio.all_tasks()) == before)
    assert sent == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/", 405), ("HEAD", "/", 200), ("HEAD", "/json", 200), ("HEAD", "/events", 200)],
)
async def test_it_is_for_reading(method: str, path: str, status: int) -> None:
    """GET and HEAD, and no other method; HEAD is told of the same kind of thing."""
    async with _page() as (_, asking):
        answer = await asking.request(method, path)
    assert (answer.status_code, answer.content) == (status, b"")
    if method == "HEAD":
        assert answer.headers["content-type"].partition(";")[0] == KINDS[path]


async def test_other_protocols_are_told_off() -> None:
    """A lifespan is lived, a WebSocket closed, and anything else refused."""
    assert await _spoken("lifespan", "lifespan.startup", "lifespan.shutdown") == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert await _spoken("websocket", "websocket.connect") == ["websocket.close"]
    with pytest.raises(NotImplementedError, match="'smtp'"):
        await _spoken("smtp")


async def _spoken(kind: str, *messages: str) -> list[str]:
    incoming, sent = iter(messages), list[str]()

    async def receive() -> dict[str, Any]:
        return {"type": next(incoming)}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await live_app()({"type": kind}, receive, send)
    return sent


def test_what_ends_well_gets_no_object_of_its_own(run: Callable[..., Any]) -> None:
    """The observer of the page gives every timeout the same closer."""

    async def closers() -> set[int]:
        app = live_app()
        found = set()
        for _ in range(3):
            async with timeout(1.0, name="fine") as it:
                found.add(id(app._recent(it)))
        app.close()
        return found

    assert len(run(closers())) == 1

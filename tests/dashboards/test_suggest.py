"""`python -m tracedtimeout suggest`: what the recording rules suggest, in the form that limits are configured in."""

from __future__ import annotations

import asyncio
import tomllib
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from dashboards import limits
from tests.dashboards.stack import prometheus
from tests.services.asgi_servers import Receive, Scope, Send, serving
from tracedtimeout import install, timeout
from tracedtimeout.commands import suggest
from tracedtimeout.commands.suggest import Suggestion, written
from tracedtimeout.prometheus import start_metrics_server

slow = pytest.mark.slow  # a real server and a real client: that the one reads what the other says is the claim


def lines(*suggested: Suggestion) -> list[str]:
    """The lines of a file, without its head."""
    return list(written(suggested))[2:]


def test_limits_are_written_as_they_are_configured() -> None:
    """A line for each name, sorted, that TOML reads back; a comment says of which job it is, and what holds now."""
    said = [Suggestion("pay", "shop", 0.3125, 2.0, 1), Suggestion('say "hi"', "shop", 0.0101, None, 0)]
    assert lines(*said) == ['"pay" = 0.32  # now 2, of shop', '"say \\"hi\\"" = 0.011  # of shop']
    assert tomllib.loads("\n".join(written(said))) == {"pay": 0.32, 'say "hi"': 0.011}


def test_of_several_jobs_the_greatest_counts() -> None:
    """A limit that fits all of them; the comment names the others."""
    said = [Suggestion("pay", job, seconds, 1.0, 0) for job, seconds in (("a", 0.1), ("b", 0.4), ("c", 0.2))]
    assert lines(*said) == ['"pay" = 0.4  # now 1, of b, above a, c']


@pytest.mark.parametrize("verdict", sorted(suggest.CANNOT_TELL))
def test_what_cannot_be_told_is_a_comment(verdict: int) -> None:
    """A suggestion that is no measurement is shown with its reason, and limits nothing; another job's goes first."""
    unsure = Suggestion("pay", "a", 0.4, 0.5, verdict)
    assert lines(unsure) == [f'# "pay" = 0.4  # now 0.5, of a: {suggest.CANNOT_TELL[verdict]}']
    assert lines(unsure, Suggestion("pay", "b", 0.2, 0.5, 0)) == ['"pay" = 0.2  # now 0.5, of b, above a']


def test_the_words_of_verdicts_are_those_of_the_dashboards() -> None:
    """Each number means there what it means here, and the series are those of the rules."""
    cannot = {int(number): words for number, (words, _) in limits.VERDICTS.items() if int(number) >= 3}
    assert cannot.keys() == suggest.CANNOT_TELL.keys()
    assert [words.split(" ")[:2] for words in cannot.values()] == [
        words.split(" ")[:2] for words in suggest.CANNOT_TELL.values()
    ]
    assert {suggest.SUGGESTED, suggest.LIMIT, suggest.VERDICT} <= {record.record for record in limits.DAY}


async def _other(scope: Scope, receive: Receive, send: Send) -> None:
    """No Prometheus: a web server, and one that is asked for a password."""
    status = 401 if scope["path"].startswith("/secret") and (b"x-key", b"1") not in scope["headers"] else 200
    body = b'{"status": "success", "data": {"result": []}}' if scope["path"].startswith("/empty") else b"{}"
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


@slow
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["/secret"], "{url}/secret answers 401 Unauthorized: is it a Prometheus?"),
        (["/secret", "--header", "X-Key: 1"], "{url}/secret answers, but is no Prometheus"),
        (["/other"], "{url}/other answers, but is no Prometheus"),
        (["/empty/"], suggest.RULES),
    ],
)
async def test_what_gives_no_suggestions_is_said(arguments: list[str], says: str) -> None:
    """One line says what answers there, or what Prometheus lacks."""
    async with serving(_other) as url:
        path, *more = arguments
        assert await asyncio.to_thread(suggest.main, [url + path, *more]) == says.format(url=url)


async def _traffic() -> None:
    """Timeouts far below their limit of 5 s."""
    while True:
        for _ in range(20):
            async with timeout(5.0, name="fetch"):
                pass
        await asyncio.sleep(0.01)


@pytest.mark.long
@pytest.mark.server
@slow
async def test_measured_limits_are_suggested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a service measured comes out of a real Prometheus, by the rules of ours, as a limit that TOML reads."""
    registry = CollectorRegistry()
    undo = install(registry=registry, spans="off")
    busy = asyncio.create_task(_traffic())
    try:
        with start_metrics_server(0, registry=registry) as server:
            async with prometheus({"shop": [f"127.0.0.1:{server.port}"]}, tmp_path, scale=0.01) as asked:
                url = str(asked.client.base_url).removesuffix("/api/v1/")
                for _ in range(900):
                    ended = await asyncio.to_thread(suggest.main, [url, "--job", "shop"])
                    said = capsys.readouterr().out
                    if ended == 0 and '\n"fetch" = ' in said:
                        break
                    await asyncio.sleep(0.1)
    finally:
        busy.cancel()
        undo()
    assert ended == 0
    assert 0.0 < tomllib.loads(said)["fetch"] < 1.0
    assert "now 5, of shop" in said

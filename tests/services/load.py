"""A load of requests of a dozen kinds on a real server: how each was answered, and what is left when all are over."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.support.processes import PATIENCE, SOCKET, module

ROOT = Path(__file__).parents[2]
CLIENTS = 20


@dataclass(frozen=True, slots=True)
class Kind:
    """A request, and how it may be answered: with more than one, by how busy the machine is."""

    path: str
    answers: tuple[str, ...]
    budget: int | None = None
    """Milliseconds."""
    upload: int = 0
    """Bytes."""
    hangs_up: bool = False
    """Its client goes away in the midst of the response."""


IN_TIME = ("200",)
KINDS = {
    "answered": Kind("quick", IN_TIME),
    "expired within": Kind("inner", IN_TIME),
    "expired": Kind("stuck", ("504",), 50),
    "expired, with child tasks": Kind("children", ("504",), 50),
    "spent on arrival": Kind("stuck", ("504",), 0),
    "failed": Kind("failing", ("500",)),
    "streamed": Kind("stream", IN_TIME),
    "streamed, cut": Kind("stream?endless=1", ("cut", "504"), 200),
    "client gone": Kind("stream?endless=1", ("gone",), hangs_up=True),
    "in a thread": Kind("thread", IN_TIME),
    "in a thread, expired": Kind("thread_stuck", ("504",), 50),
    "work behind the response": Kind("background", IN_TIME),
    "work behind the response, ended": Kind("background?endless=1", ("200", "504"), 200),
    "dependency with yield": Kind("dependency", IN_TIME),
    "dependency with yield, expired": Kind("dependency_stuck", ("504",), 50),
    "upload": Kind("upload", IN_TIME, upload=200_000),
    "upload unread, expired": Kind("unread", ("504",), 50, upload=200_000),
}
NOTHING = {"active": 0, "abandoned": 0, "answers": 0, "timeouts": 0, "borrowed": 0}
"""What is to be left of all that were answered."""


@dataclass(slots=True)
class Round:
    """Some thousand requests, and what the server held afterwards."""

    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By kind and answer."""
    left: dict[str, int] = field(default_factory=dict)

    @property
    def faults(self) -> dict[tuple[str, str], int]:
        """Answers that are not as they should be."""
        return {each: times for each, times in self.answered.items() if each[1] not in KINDS[each[0]].answers}


async def load(requests: int, rounds: int, log: Path) -> list[Round]:
    """Send so many requests, of all kinds in turn, in each of some rounds, to a server of its own."""
    environment = {"PYTHONPATH": str(ROOT), "TRACEDTIMEOUT_LOG": "0"}
    async with module("tests.services.loaded", SOCKET, log=log, environment=environment) as where:
        return [await _round(f"http://{where}/", requests) for _ in range(rounds)]


async def _round(url: str, requests: int) -> Round:
    seen = Round()
    before = (await _left(url))["ended"]
    turns = iter(itertools.islice(itertools.cycle(KINDS), requests))

    async def client(session: aiohttp.ClientSession) -> None:
        for name in turns:
            seen.answered[name, await _ask(session, KINDS[name])] += 1

    async with aiohttp.ClientSession(url) as session, asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(client(session))
    seen.left = await _settled(url)
    seen.left["ended"] -= before
    return seen


async def _ask(session: aiohttp.ClientSession, kind: Kind) -> str:
    """How it is answered: the status of a whole response, `cut`, `gone` or the name of an error."""
    headers = {} if kind.budget is None else {"deadline-budget": str(kind.budget)}
    if "500" in kind.answers:
        headers["connection"] = "close"  # uvicorn closes it without a word, which the next request would meet
    method, data = ("POST", bytes(kind.upload)) if kind.upload else ("GET", None)
    try:
        async with asyncio.timeout(PATIENCE), session.request(method, kind.path, headers=headers, data=data) as answer:
            if kind.hangs_up:
                answer.close()
                return "gone"
            await answer.read()
            return str(answer.status)
    except aiohttp.ClientPayloadError:
        return "cut"
    except (aiohttp.ClientError, TimeoutError) as exc:
        return type(exc).__name__


async def _settled(url: str) -> dict[str, int]:
    """What is left when the last has come to its end, or after a while what has not."""
    left = await _left(url)
    for _ in range(100):
        if left.items() >= NOTHING.items():
            break
        await asyncio.sleep(0.1)
        left = await _left(url)
    return left


async def _left(url: str) -> dict[str, int]:
    async with aiohttp.ClientSession(url) as session, session.get("left") as answer:
        left: dict[str, int] = await answer.json()
        return left

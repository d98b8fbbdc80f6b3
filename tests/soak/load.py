"""The load: requests of every sort over plain sockets, and a ledger of what each must have been counted as."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress

Counts = Counter[tuple[str, str]]

SORTS: dict[str, tuple[int, str, Counts]] = {
    "fast": (8, "", Counter({("GET /fast", "completed"): 1})),
    "nested": (4, "", Counter({("GET /nested", "completed"): 1, ("inner", "expired"): 1})),
    "moved": (
        4,
        "",
        Counter({("GET /moved", "completed"): 1, ("moved", "completed"): 1, ("beneath", "completed"): 1}),
    ),
    "spread": (
        2,
        "",
        Counter({("GET /spread", "completed"): 1, ("group", "expired"): 1, ("child", "inherited"): 3}),
    ),
    "awaited": (2, "", Counter({("GET /awaited", "completed"): 1, ("awaited", "expired"): 1})),
    "failing": (1, "", Counter({("GET /failing", "failed"): 1})),
    "cut": (2, "deadline-budget: 20\r\n", Counter({("GET /long", "inherited"): 1})),
    "spent": (1, "deadline-budget: 0\r\n", Counter({("GET /long", "rejected"): 1})),
    "hung up": (2, "", Counter({("GET /begun", "cancelled"): 1})),
}
"""Of each sort: its share, the headers it sends, and the timeouts that it makes the service count."""
PATHS = {"cut": "long", "spent": "long", "hung up": "begun"}
STATUS = {"failing": 500, "cut": 504, "spent": 504}
PAUSE = 0.02
"""Seconds between two requests of one client, at most."""


class Load:
    """Clients that go on until they are told to stop."""

    def __init__(self, port: int, clients: int) -> None:
        self.sent: Counter[str] = Counter()
        self.again = 0
        """Requests sent once more, for their connection was closed before a byte of an answer: a worker that ends
        closes those that are idle."""
        self.faults: list[str] = []
        self.stopped = False
        self.port = port
        self._clients = clients
        self._rng = random.Random(0)

    def expected(self) -> Counts:
        """What the service must have counted."""
        counts: Counts = Counter()
        for sort, times in self.sent.items():
            for what, each in SORTS[sort][2].items():
                counts[what] += each * times
        return counts

    def ended(self, status: int) -> None:
        """A worker ended."""
        if status:
            self.faults.append(f"a worker ended with status {status}")

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._clients):
                group.create_task(self._client(random.Random(self._rng.random())))

    async def _client(self, rng: random.Random) -> None:
        connection: Connection | None = None
        sorts, shares = list(SORTS), [share for share, _, _ in SORTS.values()]
        while not self.stopped:
            await asyncio.sleep(rng.random() * PAUSE)
            sort = rng.choices(sorts, shares)[0]
            connection = connection or await self._connect()
            answered = await self._ask(connection, sort)
            while answered is None:
                self.again += 1
                connection.close()
                connection = await self._connect()
                answered = await self._ask(connection, sort)
            self.sent[sort] += 1
            if sort == "hung up" or answered == 500 or rng.random() < 0.05:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    async def _ask(self, connection: Connection, sort: str) -> int | None:
        """The status of the answer; None if the request came to nobody."""
        connection.send(PATHS.get(sort, sort), SORTS[sort][1])
        status = await (connection.begun() if sort == "hung up" else connection.answer())
        if status is not None and status != STATUS.get(sort, 200):
            self.faults.append(f"{sort} is answered with {status}")
        return status

    async def _connect(self) -> Connection:
        return Connection(*await asyncio.open_connection("127.0.0.1", self.port))


class Connection:
    """HTTP/1.1 as far as it is needed here: it shows whether a byte of an answer has come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, path: str, headers: str) -> None:
        self._writer.write(f"GET /{path} HTTP/1.1\r\nhost: soak\r\n{headers}\r\n".encode())

    async def answer(self) -> int | None:
        """The status of the whole answer; None if the connection was closed instead.

        Raises:
            asyncio.IncompleteReadError: it was closed in the midst of it.
        """
        head = await self._head()
        if head is None:
            return None
        lines = head.lower().split("\r\n")
        length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length:")), 0)
        await self._reader.readexactly(length)
        return int(lines[0].split()[1])

    async def begun(self) -> int | None:
        """The status of an answer of which no more is waited for; None as above."""
        head = await self._head()
        return None if head is None else int(head.split()[1])

    async def _head(self) -> str | None:
        try:
            return (await self._reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError) as exc:
            if getattr(exc, "partial", b""):
                raise
            return None

    def close(self) -> None:
        with suppress(ConnectionError):
            self._writer.close()


async def scrape(port: int) -> str:
    """The text of a worker's page of metrics."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: soak\r\nconnection: close\r\n\r\n")
        answer = await reader.read()
    finally:  # a worker that is replaced resets its connections
        writer.close()
    return answer.partition(b"\r\n\r\n")[2].decode()

"""Connections of HTTP/1.1 and HTTP/2 to a server, byte by byte: they show what a client library would hide."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)

HOST = "127.0.0.1"


@dataclass(slots=True)
class Answer:
    """What has come of a response: as much as there is, and whether that is all."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False

    @property
    def last(self) -> bool:
        """True if no other follows it on its connection: the server says so, or has cut it."""
        return not self.whole or self.headers.get("connection", "").lower() == "close"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. Of its body `sent` bytes are sent, where that is less than `size` the rest never is."""

    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    size: int = 0
    sent: int | None = None

    @property
    def body(self) -> bytes:
        return bytes(self.size if self.sent is None else self.sent)


class Connection(Protocol):
    """One connection, on which requests are answered one by one, or side by side."""

    async def ask(self, ask: Ask) -> Answer:
        """The answer, or what came of it before the connection, or the stream, was cut."""

    async def both(self, first: Ask, second: Ask) -> tuple[Answer, Answer]:
        """The answers to two that are sent at once."""


@asynccontextmanager
async def connected(port: int, *, http2: bool) -> AsyncIterator[Connection]:
    """A connection to the server at `port`, cut at the end of the block."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        if http2:
            streams = Http2(reader, writer)
            pump = asyncio.create_task(streams.pump())
            try:
                yield streams
            finally:
                pump.cancel()
        else:
            yield Http1(reader, writer)
    finally:
        writer.transport.abort()


class Http1:
    """A connection of HTTP/1.1."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, ask: Ask) -> Answer:
        (answer,) = await self._ask(ask)
        return answer

    async def both(self, first: Ask, second: Ask) -> tuple[Answer, Answer]:
        one, other = await self._ask(first, second)
        return one, other

    async def _ask(self, *asks: Ask) -> list[Answer]:
        sending = asyncio.create_task(self._send(b"".join(map(request, asks))))
        try:
            answers = [await self._answer() for _ in asks]
            if not answers[-1].last:
                await sending
        finally:
            sending.cancel()
        return answers

    async def _send(self, data: bytes) -> None:
        with suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    async def _answer(self) -> Answer:
        answer = Answer()
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
            answer.status = int(head[0].split()[1])
            answer.headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
            }
            if answer.headers.get("transfer-encoding") == "chunked":
                while size := int(await self._reader.readline() or b"0", 16):
                    answer.body += await self._reader.readexactly(size)
                    await self._reader.readexactly(2)
                await self._reader.readexactly(2)
            else:
                answer.body = await self._reader.readexactly(int(answer.headers.get("content-length", 0)))
            answer.whole = True
        return answer


def request(ask: Ask) -> bytes:
    """The bytes of a request of HTTP/1.1."""
    headers = {"host": HOST, **ask.headers} | ({"content-length": str(ask.size)} if ask.size else {})
    lines = [f"{ask.method} {ask.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + ask.body


def request_of_http2(ask: Ask) -> bytes:
    """The bytes of a connection of HTTP/2 as far as its first request, which has no body."""
    client = H2Connection(H2Configuration(client_side=True))
    client.initiate_connection()
    client.send_headers(1, _head(ask), end_stream=ask.method != "CONNECT")
    return client.data_to_send()


def _head(ask: Ask) -> list[tuple[str, str]]:
    pseudo = {":method": ask.method, ":path": ask.path, ":scheme": "http", ":authority": HOST}
    return list({**pseudo, **ask.headers}.items())


class Http2:
    """A connection of HTTP/2, without TLS, whose server is known to speak it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._h2.initiate_connection()
        self._answers: dict[int, Answer] = {}
        self._over: dict[int, asyncio.Event] = {}
        self._window = asyncio.Event()
        self._flush()

    async def ask(self, ask: Ask) -> Answer:
        stream = self._h2.get_next_available_stream_id()
        self._answers[stream], self._over[stream] = Answer(), asyncio.Event()
        self._h2.send_headers(stream, _head(ask), end_stream=not ask.size and ask.method != "CONNECT")
        self._flush()
        sending = asyncio.create_task(self._send(stream, ask)) if ask.size else None
        await self._over[stream].wait()
        if sending is not None:
            sending.cancel()
        return self._answers[stream]

    async def both(self, first: Ask, second: Ask) -> tuple[Answer, Answer]:
        one, other = await asyncio.gather(self.ask(first), self.ask(second))
        return one, other

    async def _send(self, stream: int, ask: Ask) -> None:
        body = ask.body
        while body:
            size = min(len(body), self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)
            if size:
                self._h2.send_data(stream, body[:size], end_stream=size == len(body) and ask.sent is None)
                body = body[size:]
                self._flush()
            else:
                self._window.clear()
                await self._window.wait()

    async def pump(self) -> None:
        """Read until the connection ends."""
        with suppress(ConnectionError):
            while data := await self._reader.read(1 << 16):
                for event in self._h2.receive_data(data):
                    self._see(event)
                self._flush()
        for over in self._over.values():
            over.set()

    def _see(self, event: Event) -> None:
        if isinstance(event, WindowUpdated):
            self._window.set()
        elif isinstance(event, ResponseReceived):
            answer = self._answers[event.stream_id]
            answer.headers = {str(name): str(value) for name, value in event.headers}
            answer.status = int(answer.headers[":status"])
        elif isinstance(event, DataReceived):
            self._answers[event.stream_id].body += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self._answers[event.stream_id].whole = True
            self._over[event.stream_id].set()
        elif isinstance(event, StreamReset):
            self._over[event.stream_id].set()
        elif isinstance(event, ConnectionTerminated):
            for over in self._over.values():
                over.set()

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())

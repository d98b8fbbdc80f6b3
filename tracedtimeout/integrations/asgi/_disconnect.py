"""Cancelling the work for a client that has gone: `receive()` read ahead, and put between the server and the app."""

from __future__ import annotations

import asyncio
from typing import Any

from tracedtimeout import detach
from tracedtimeout._shared.asgi import Message, Receive

from ._answers import Response


class Watch:
    """Reads the messages of the client, one message ahead of the app, and cancels its own task on a disconnect.

    Not once the answer is complete: a server reports a disconnect then, too. While a body is read more slowly than it
    arrives, a disconnect is seen only when the app has read up to it.
    """

    def __init__(self, receive: Receive, answer: Response) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._receive = receive
        self._answer = answer
        self._task: Any = task
        self._cancelling = task.cancelling()
        self._ahead: asyncio.Queue[Message | Exception] = asyncio.Queue(maxsize=1)
        self._last: Message | Exception | None = None
        self._cancelled = False  # the task was, and has not been uncancelled yet
        self._over = False  # the task was, or there is nothing more to cancel
        self._reader: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read."""
        with detach():
            self._reader = asyncio.create_task(self._read())
        self._reader.add_done_callback(self._read_no_more)

    async def receive(self) -> Message:
        """The next message for the application; after a disconnect that message again and again, as servers do."""
        message = await self._ahead.get()
        if self._last is not None and self._ahead.empty():
            self._ahead.put_nowait(self._last)  # for the next, who may be waiting already
        if isinstance(message, Exception):
            raise message
        return message

    def accounts_for(self, exc: BaseException) -> bool:
        """True if `exc` is the cancellation for the disconnect and no other's; the task is then as it was."""
        if not self._cancelled or not isinstance(exc, asyncio.CancelledError):
            return False
        # fmt: off
        self._cancelled = False; left = self._task.uncancel()  # one step
        # fmt: on
        return bool(left <= self._cancelling)

    def stop(self) -> None:
        """Watch no longer: whoever still listens, such as a task that the application left, is told that it is over."""
        if self._reader is not None:
            self._reader.cancel()
        if self._cancelled:
            # fmt: off
            self._cancelled = False; self._task.uncancel()  # one step
            # fmt: on
        self._reader, self._task, self._over = None, None, True  # those may end with exceptions that lead back here
        if self._last is None:
            self._last = {"type": "http.disconnect"}
            if self._ahead.empty():
                self._ahead.put_nowait(self._last)

    async def _read(self) -> None:
        while self._last is None:
            try:
                message: Message | Exception = await self._receive()
            except Exception as exc:
                message = exc
            if isinstance(message, Exception) or message["type"] == "http.disconnect":
                self._end(message)
            else:
                await self._ahead.put(message)

    def _read_no_more(self, reader: asyncio.Task[None]) -> None:
        """The reader has ended. If it failed, of memory say, the application must not wait for ever."""
        if not reader.cancelled() and isinstance(exc := reader.exception(), Exception):
            self._end(self._last or exc)

    def _end(self, last: Message | Exception) -> None:
        self._last = last
        if self._ahead.empty():
            self._ahead.put_nowait(last)  # the app may be waiting for it
        if not (self._over or isinstance(last, Exception) or self._answer.complete):
            # fmt: off
            self._over = self._cancelled = True; self._task.cancel()  # one step
            # fmt: on

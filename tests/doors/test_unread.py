"""A 504 that its server does not take is given up, and the connection cut: real time, for it waits for a second."""

from __future__ import annotations

import pytest

from tests.services.asgi_servers import SPENT, Message, Receive, Scope, Send, forever, middleware, outcomes, stuck
from tracedtimeout import DeadlineExceeded
from tracedtimeout.integrations.asgi import _answers
from tracedtimeout.integrations.asgi._overdue import answers


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_answers, "_PATIENCE", 0.05)


def scope_of(*headers: tuple[bytes, bytes]) -> Scope:
    return {"type": "http", "method": "POST", "path": "/", "root_path": "", "headers": headers, "http_version": "1.1"}


async def never() -> Message:
    await forever()
    return {}


async def send_never(message: Message) -> None:
    await forever()


@pytest.mark.parametrize("spent", [True, False], ids=["on arrival", "at the deadline"])
async def test_a_504_that_is_not_taken(spent: bool) -> None:
    """The request ends all the same, raising to the server, which cuts the connection; nothing of it is left."""
    headers = [(name.encode(), value.encode()) for name, value in SPENT.items()] if spent else []
    with pytest.raises(DeadlineExceeded):
        await middleware(stuck, default=0.01)(scope_of(*headers), never, send_never)
    assert outcomes() == {("POST /", "rejected" if spent else "expired"): 1}
    assert not answers


async def test_a_server_that_fails() -> None:
    """An error of the server's own, a TimeoutError even, is not taken for a 504 that waits for its reader."""

    async def broken(message: Message) -> None:
        raise TimeoutError("the server's own")

    with pytest.raises(TimeoutError, match="the server's own"):
        await middleware(stuck, default=0.01)(scope_of(), never, broken)


async def test_a_server_that_keeps_its_close_codes() -> None:
    """A WebSocket is closed with 3008 where the server refuses 1011 of an application, as daphne does."""
    codes = []

    async def daphne(message: Message) -> None:
        if message["type"] == "websocket.close":
            codes.append(message["code"])
            if not (message["code"] == 1000 or 3000 <= message["code"] <= 4999):
                raise ValueError("invalid close code")

    async def accepting(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        await forever()

    scope = {**scope_of((b"deadline-budget", b"20")), "type": "websocket"}
    await middleware(accepting)(scope, never, daphne)
    assert codes == [1011, 3008]

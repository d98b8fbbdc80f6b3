"""Plain functions of Flask that run on after their 504 are counted until they end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from tests.frameworks.apps import a2wsgi, flask
from tests.services.asgi_servers import SHORT, client, figures
from tracedtimeout._core.figures._metrics import THREADS_ABANDONED
from tracedtimeout.integrations.asgi import DeadlineMiddleware

pytestmark = pytest.mark.slow  # threads and real sockets, so the real clock

ADAPTERS: dict[str, Callable[[Any], Any]] = {
    "asgiref": import_module("asgiref.wsgi").WsgiToAsgi,
    "a2wsgi": a2wsgi.WSGIMiddleware,
}


@pytest.mark.parametrize("adapter", ADAPTERS)
async def test_threads_behind_flask(adapter: str) -> None:
    """One from the 504 on, none once its function has returned."""
    may_end = threading.Event()
    app = flask.Flask("shop")

    def stuck() -> str:
        may_end.wait()
        return "too late"

    app.get("/stuck")(stuck)
    async with client(DeadlineMiddleware(ADAPTERS[adapter](app), default=30.0)) as http:
        try:
            assert (await http.get("/stuck", headers=SHORT)).status_code == 504
            assert figures(THREADS_ABANDONED) == {("GET /stuck",): 1}
        finally:
            may_end.set()
        while any(figures(THREADS_ABANDONED).values()):
            await asyncio.sleep(0.01)

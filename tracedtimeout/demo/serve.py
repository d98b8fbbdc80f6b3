"""One service of the demo in a process of its own: an ASGI application on a socket its parent opened."""

from __future__ import annotations

import logging
import signal
import socket

import uvicorn
from starlette.types import ASGIApp

from .lifeline import on_parent_gone

KEEP_ALIVE = 600
"""Seconds. Longer than any client of the demo keeps a connection: none finds it closed just as it asks."""


def serve(app: ASGIApp, descriptor: int) -> None:
    """Serve `app` on the listening socket `descriptor` until the parent closes our standard input or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = uvicorn.Config(
        app,
        http="h11",
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    on_parent_gone(lambda: setattr(server, "should_exit", True))
    server.run(sockets=[socket.socket(fileno=descriptor)])

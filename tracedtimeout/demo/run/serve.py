"""One service of the demo in a process of its own, on a socket that its parent opened."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Callable, Mapping

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tracedtimeout.demo.service import payments, shop
from tracedtimeout.integrations.asgi import DeadlineMiddleware
from tracedtimeout.live import live_app
from tracedtimeout.prometheus import metrics_app

from . import faults
from .lifeline import on_parent_gone
from .telemetry import Telemetry

SERVICES: Mapping[str, tuple[Callable[..., ASGIApp], float]] = {
    "shop": (shop.application, 2.5),
    "payments": (lambda: payments.application(faults.pace), 10.0),
}
"""The application of each, and the seconds that it gives any request; its caller may give less."""

KEEP_ALIVE = 600
"""Seconds. Longer than any client of the demo keeps a connection: none finds it closed just as it asks."""


def main(name: str, descriptor: str, *arguments: str) -> None:
    """Serve `name` on the listening socket `descriptor` until the parent closes our standard input or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    application, patience = SERVICES[name]
    telemetry = Telemetry(name)
    app = application(*arguments)
    within = faults.suffering(app) if name == "shop" else app
    door = DeadlineMiddleware(within, default=patience, maximum=patience, cancel_on_disconnect=True)
    _serve(_with_pages(app, telemetry.entered(door), telemetry), int(descriptor))


def _with_pages(app: ASGIApp, door: ASGIApp, telemetry: Telemetry) -> ASGIApp:
    """The pages about the service beside the service, so that reading them is neither timed nor counted."""
    pages = Starlette(
        routes=[
            Route("/metrics", metrics_app()),
            Route("/timeouts{below:path}", live_app()),
            Route("/recent", telemetry.recent),
            Mount("/", door),
        ],
    )

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        await (app if scope["type"] == "lifespan" else pages)(scope, receive, send)

    return served


def _serve(app: ASGIApp, descriptor: int) -> None:
    config = uvicorn.Config(
        app,
        loop="asyncio",  # the same wherever it runs, whatever else is installed
        http="h11",
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    on_parent_gone(lambda: setattr(server, "should_exit", True))
    server.run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    main(*sys.argv[1:])

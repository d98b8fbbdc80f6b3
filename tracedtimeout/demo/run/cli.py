"""The command line of the demo."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys

from .demo import Options, run

BUSY = 2
INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Run the demo; returns the exit status."""
    options = _parse(arguments)
    try:
        shop = socket.create_server(("127.0.0.1", options.port), backlog=256)  # clients wait from now on
    except OSError as error:
        why = os.strerror(error.errno or 0)
        print(f"Port {options.port} of 127.0.0.1: {why}. Choose another: --port N", file=sys.stderr)
        return BUSY
    try:
        return asyncio.run(run(options, shop))
    except (KeyboardInterrupt, asyncio.CancelledError):  # Ctrl-C again while it was ending
        return INTERRUPTED


def _parse(arguments: list[str]) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m tracedtimeout demo",
        description="A shop, its payments service and a load of customers, with a table of what their timeouts do.",
    )
    parser.add_argument("--port", type=_port, default=8080, help="of the shop (default 8080; 0 takes a free one)")
    parser.add_argument("--seconds", type=_seconds, help="end after so many (default: at Ctrl-C)")
    parser.add_argument("--quiet", action="store_true", help="show the summary only")
    parser.add_argument("--no-load", dest="load", action="store_false", help="send no requests: you do, with curl")
    return Options(**vars(parser.parse_args(arguments)))


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"a port is 0 to 65535, not {text}")
    return port


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"seconds are more than 0 and less than a million, not {text}")
    return seconds

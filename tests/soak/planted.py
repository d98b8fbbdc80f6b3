"""The service with a fault planted: a worker ends without a word of what it counted last."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import tracedtimeout

from . import service

install = tracedtimeout.install


def _install(**options: Any) -> Any:
    install(**options)
    return lambda: os._exit(0)


if __name__ == "__main__":
    tracedtimeout.install = _install
    with asyncio.Runner(loop_factory=service.CountingLoop) as runner:
        runner.run(service.main(int(sys.argv[1])))

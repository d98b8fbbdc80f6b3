"""A loop at work while the garbage collector closes dropped work, in this thread or in another, as fast as it can.

``python -m tests.faults.collector here 40`` prints a line for each thing that is not as it should be. One that hangs is
ended by a watchdog, with its stacks on standard error.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from .dropped import FAR, droppable
from .libraries import LIBRARIES, Library
from .loops import RealLoop, pause
from .trial import active

PATIENCE = 30.0
"""Seconds for what takes two or three."""

OFTEN = range(7, 97)
"""Allocations from one collection to the next: another number in each round."""


async def work(lib: Library, rounds: int) -> None:
    """Drop work, then enter, leave, nest, adopt, move and fire: whatever may be collected at any of it."""

    async def child(number: int) -> None:
        with suppress(TimeoutError):
            async with lib.timeout(0.1 if number % 4 == 0 else FAR), lib.timeout(2 * FAR):
                await pause(0.2 if number % 2 else 0)

    for number in range(rounds):
        if gc.isenabled():
            gc.set_threshold(OFTEN[number % len(OFTEN)], 5, 5)
        for _ in range(3):
            (await droppable(lib)).clear()
        async with lib.timeout(3 * FAR) as parent, asyncio.TaskGroup() as group:
            for each in range(20):
                group.create_task(child(each))
            await pause(0)
            parent.reschedule(asyncio.get_running_loop().time() + 40)
            await lib.wait_for(pause(0.1), FAR)


def main(where: str, rounds: int) -> None:
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    logging.disable()
    wrong: list[str] = []
    sys.unraisablehook = lambda args: wrong.append(f"nobody can catch {args.exc_value!r}")
    _run(rounds, wrong, elsewhere=where == "elsewhere")
    gc.collect()
    if active():
        wrong.append(f"{active():g} are active")
    sys.stdout.write("\n".join(wrong))


def _run(rounds: int, wrong: list[str], *, elsewhere: bool) -> None:
    loop = RealLoop()
    loop.unit = 0.001

    def told(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "Task was destroyed" not in context["message"]:  # as it should: nobody holds it
            wrong.append(f"the loop is told of {context.get('exception')!r}: {context['message']}")

    loop.set_exception_handler(told)
    with _collecting() if elsewhere else nullcontext():
        loop.run_until_complete(work(LIBRARIES["ours"], rounds))
    gc.collect()  # an exit in another thread is handed over: it is counted if its loop has a turn left, as from here on
    loop.run_until_complete(pause(5))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


@contextmanager
def _collecting() -> Iterator[None]:
    """Have another thread collect, and no other."""
    over = threading.Event()
    thread = threading.Thread(target=_collect, args=(over,))
    gc.disable()
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _collect(over: threading.Event) -> None:
    while not over.wait(0.0005):
        gc.collect()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""Memory that runs out, by a limit of the system's: MemoryError wherever it comes, and what is left of it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import resource
import sys
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.faults.libraries import LIBRARIES, Library
from tests.faults.loops import SpinsError, VirtualLoop, pause
from tests.faults.trial import active

from .signals import SCENES, later

ROOM = 4 << 20
"""Bytes that the process may take beyond what it has; they are filled up, but for a few pieces."""


Pieces = tuple[bytes, Any] | tuple[()]


def filled() -> Pieces:
    """All the memory that is to be had, in pieces down to the smallest; a chain, which grows without a larger one."""
    pieces: Pieces = ()
    for size in (1 << 20, 1 << 16, 1 << 12, *range(472, -1, -16)):
        with contextlib.suppress(MemoryError):
            while True:
                pieces = (bytes(size), pieces)
    return pieces


class Trial:
    """Work in a full memory, of which so many of the smallest pieces are given back."""

    def __init__(self, lib: Library, spare: int) -> None:
        self.lib, self.spare = lib, spare
        self.left: Counter[str] = Counter()
        self.pieces: Pieces = ()

    def run(self) -> Counter[str]:
        loop = VirtualLoop()
        loop.set_exception_handler(self._reported)
        loop.run_until_complete(asyncio.wait_for(pause(1), 2))  # all is imported
        task = loop.create_task(self._work())
        try:
            loop.run_until_complete(task)
        except MemoryError:
            self.left["MemoryError"] += 1
        except SpinsError:
            self.left["the loop spins"] += 1
        except BaseException as exc:
            self.left[f"it ends with {type(exc).__name__}"] += 1
        self.pieces = ()
        for each in asyncio.all_tasks(loop):
            each.cancel()
        with contextlib.suppress(BaseException):
            loop.run_until_complete(pause(100))
        try:
            loop.run_until_complete(later(self.lib, self._note))
        except BaseException as exc:
            self._note(f"a later timeout ends with {exc!r}")
        loop.close()
        gc.collect()
        return self.left

    async def _work(self) -> None:
        self.pieces = filled()
        for _ in range(self.spare):
            self.pieces = self.pieces[1] if self.pieces else ()
        try:
            for scene in SCENES:
                with contextlib.suppress(TimeoutError):
                    await scene(self.lib)
        finally:
            self.pieces = ()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                self._note("cancelling() is not 0")

    def _note(self, what: str) -> None:
        self.left[what] += 1

    def _reported(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        exc = context.get("exception")
        if exc is not None and not isinstance(exc, MemoryError):
            self._note(f"the loop is told of {type(exc).__name__}")


def tried(who: str, spare: int) -> Counter[str]:
    """What a trial leaves, in a fork: the last MemoryError that Python has is one object, and never forgets."""
    listening, telling = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _be_child(who, spare, telling)
        finally:
            os._exit(0)
    os.close(telling)
    with open(listening, "rb") as told:  # noqa: PTH123  # a pipe
        said = told.read()
    os.waitpid(child, 0)
    return Counter(json.loads(said)) if said else Counter({"the interpreter itself ends": 1})


def _be_child(who: str, spare: int, telling: int) -> None:
    gc.disable()  # nothing is freed in between
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + ROOM, resource.RLIM_INFINITY))
    left = Trial(LIBRARIES[who], spare).run()
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    if active():
        left["active is off"] += 1
    os.write(telling, json.dumps(left).encode())


def plant() -> None:
    """Have a timeout that there was no memory for make all later ones late."""
    ours, broken = LIBRARIES["ours"], 0

    def planted(delay: float | None, **options: Any) -> Any:
        nonlocal broken
        try:
            return ours.timeout(None if delay is None else delay + broken, **options)
        except MemoryError:
            broken = 1
            raise

    LIBRARIES["ours"] = replace(ours, timeout=planted)


WORST = ("the loop spins", "the loop does not sleep", "a later timeout")


def main(*words: str) -> int:
    """Print what is left; the status is 1 if that is more than MemoryError may leave. A number: of trials."""
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    logging.disable()
    if "planted" in words:
        plant()
    trials = int(next((word for word in reversed(words) if word.isdigit()), "60"))
    wrong: list[str] = []
    for who in LIBRARIES:
        left: Counter[str] = Counter()
        for spare in range(trials):
            left += tried(who, 3 * spare)
        print(
            f"{who}: {trials} times no memory: {', '.join(f'{times} x {what}' for what, times in left.most_common())}"
        )
        if who == "ours":
            wrong = [what for what in left if what.startswith(WORST)]
    print(*wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

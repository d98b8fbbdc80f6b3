"""Signals by a timer of the system's, in the midst of timeouts: their handlers raise, or call what is ours.

Time is virtual, so that no signal comes while nothing is done; the system's timer is real.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import json
import logging
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import tracedtimeout
from tests.faults.libraries import LIBRARIES, Library
from tests.faults.loops import SpinsError, VirtualLoop, pause, running
from tests.faults.trial import active
from tracedtimeout._core.figures import _process
from tracedtimeout._shared import build

SHORT, LONG = 300e-6, 1300e-6
"""Seconds between signals, at least and at most: a round of the work takes about as long as the latter."""

EACH = 500
"""The most signals that one process gets."""


class Interrupt(BaseException):
    """What a handler raises."""


class Break(KeyboardInterrupt):
    """The same, which the loop passes on."""


async def work(lib: Library, ended: Callable[[], bool], note: Callable[[str], None]) -> None:
    """Enter, leave, move, wait and expire, over and over."""
    task = asyncio.current_task()
    assert task is not None
    while not ended():
        for scene in SCENES:
            with contextlib.suppress(TimeoutError):
                await scene(lib)
        if task.cancelling():
            note("cancelling() is not 0")
            return


async def _nested(lib: Library) -> None:
    async with lib.timeout(2):
        async with lib.timeout(5):
            pass
        async with lib.timeout(1):
            await pause(60)


async def _moved(lib: Library) -> None:
    async with lib.timeout(5) as timeout:
        timeout.reschedule(asyncio.get_running_loop().time() + 1)
        await pause(60)


async def _waiting(lib: Library) -> None:
    await lib.wait_for(pause(1), 2)
    await lib.wait_for(pause(60), 1)


async def _decorated(lib: Library) -> None:
    async def body() -> None:
        await pause(1)

    await lib.with_timeout(2, body)()


async def _child(lib: Library) -> None:
    async with lib.timeout(3):
        await asyncio.create_task(_nested(lib))


SCENES = (_nested, _moved, _waiting, _decorated, _child)


class Signals:
    """A process that is signalled so many times while it works."""

    def __init__(self, lib: Library, times: int, seed: int) -> None:
        self.lib, self.times = lib, times
        self.random = random.Random(seed)
        self.come = 0
        self.left: Counter[str] = Counter()
        self.loop = VirtualLoop()
        self.loop.set_exception_handler(self._reported)

    def run(self, act: Callable[[], None]) -> Counter[str]:
        """What is left by all of them."""
        signal.signal(signal.SIGALRM, lambda _, frame: self._signalled(frame, act))
        task = self._begun()
        while self.come < self.times:
            if task.done() or not self._go_on(task):
                task = self._begun()
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        self._look_for_what_is_left()
        return self.left

    def _begun(self) -> asyncio.Task[None]:
        return self.loop.create_task(work(self.lib, lambda: self.come >= self.times, self._note))

    def _go_on(self, task: asyncio.Task[None]) -> bool:
        """Until it is interrupted, or ends; False if it never will."""
        try:
            self._arm()
            self.loop.run_until_complete(task)
        except (Interrupt, Break):
            pass
        except asyncio.CancelledError:
            self._note("a stray cancellation")
        except SpinsError:
            self._note("the loop spins")
        except AssertionError as exc:  # as asyncio's: it was struck as it was left
            self._note(f"the work ends with {exc!r}")
        except RuntimeError as exc:
            self._note("a task waits for ever" if "cannot happen" in str(exc) else repr(exc))
            task.cancel()
            return False
        return True

    def _arm(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, self.random.uniform(SHORT, LONG))

    def _signalled(self, frame: FrameType | None, act: Callable[[], None]) -> None:
        """Act in callbacks and tasks: between them the loop itself would be lost, ours or not."""
        while frame is not None and frame.f_code is not asyncio.Handle._run.__code__:
            frame = frame.f_back
        try:
            if frame is not None and self.come < self.times:
                self.come += 1
                act()
        finally:
            self._arm()

    def _note(self, what: str) -> None:
        self.left[what] += 1

    def _reported(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        exc = context.get("exception")
        if exc is not None and not isinstance(exc, Interrupt | Break):
            self._note(f"the loop is told of {exc!r}")

    def _cancel_all(self) -> None:
        for each in asyncio.all_tasks(self.loop):
            each.cancel()  # nobody else may hold the last one, and who waits for it

    def _look_for_what_is_left(self) -> None:
        self._cancel_all()
        with contextlib.suppress(BaseException):
            self.loop.run_until_complete(pause(100))
        try:
            self.loop.run_until_complete(later(self.lib, self._note))
        except BaseException as exc:
            self._note(f"a later timeout ends with {exc!r}")
        self.loop.close()
        gc.collect()
        if active():
            self.left["active is off by"] += int(active())


async def later(lib: Library, note: Callable[[str], None]) -> None:
    """Note what a later timeout does that it should not."""
    started = running().time()
    with contextlib.suppress(TimeoutError):
        async with lib.timeout(5):
            await pause(60)
    if running().time() - started != 5.0:
        note("a later timeout fires at another time")
    turns = running().turns
    await pause(50)
    if running().turns - turns > 5:
        note("the loop does not sleep")


def raising(times: int, who: str, seed: int) -> Counter[str]:
    """What exceptions of handlers leave of so many signals."""
    signals = Signals(LIBRARIES[who], times, seed)

    def act() -> None:
        raise signals.random.choice((Interrupt, Break))

    return signals.run(act)


def calling(times: int, seed: int) -> Counter[str]:
    """What handlers leave that install, undo, read the figures and ask for the budget, and raise nothing."""
    undo = tracedtimeout.install(spans="off")

    def act() -> None:
        nonlocal undo
        tracedtimeout.remaining()
        build.snapshot()
        undo()
        undo = tracedtimeout.install(spans="off")

    signals = Signals(LIBRARIES["ours"], times, seed)
    signals.loop.call_soon(_reading, signals)
    return signals.run(act)


def _reading(signals: Signals) -> None:
    """Read and install in the loop's thread, over and over, so that signals come in the midst of it."""
    build.snapshot()
    tracedtimeout.install(spans="off")
    if signals.come < signals.times:
        signals.loop.call_later(1, _reading, signals)


def plant() -> None:
    """Have readers of the figures hold a lock that their own thread waits for."""
    _process._folding = threading.Lock()  # type: ignore[assignment]
    faulthandler.dump_traceback_later(10, exit=True)


WORST = ("the loop spins", "the loop does not sleep", "a later timeout")
"""They would take the loop's other work with them, which no interrupt may."""


def in_processes(times: int, who: str) -> tuple[Counter[str], list[str]]:
    """What so many signals leave, at most `EACH` in a process; and the words of processes that came to no end."""
    left: Counter[str] = Counter()
    broken = []
    for seed, begun in enumerate(range(0, times, EACH)):
        command = [sys.executable, "-m", __spec__.name, "here", str(min(EACH, times - begun)), who, str(seed)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            broken.append(f"{who}, seed {seed}: status {done.returncode}: {done.stderr[-2000:]}")
        else:
            left.update(json.loads(done.stdout.splitlines()[-1]))
    return left, broken


def main(how: str, *words: str) -> int:
    """Print what signals leave; the status is 1 if that is more than an interrupt may.

    Args:
        how: `raising`, ours and then bare asyncio; `calling`; `here`, in this process.
        words: how many signals, the last number counts; ``planted``.
    """
    warnings.simplefilter("ignore")  # of coroutines that an interrupt kept from being awaited
    sys.unraisablehook = lambda _: None  # it may come while one is told of
    logging.disable()
    numbers = [int(word) for word in words if word.isdigit()]
    if how == "here":
        print(json.dumps(raising(numbers[0], words[1], numbers[-1])))
        return 0
    if how == "calling":
        if "planted" in words:
            plant()
        left = calling(numbers[-1], 0)
        print(f"{numbers[-1]} signals whose handlers read, install and undo: {_told(left)}")
        return bool(left)
    wrong: list[str] = []
    for who in LIBRARIES:
        left, broken = in_processes(numbers[-1], who)
        print(f"{who}: {numbers[-1]} signals whose handlers raise left {left.total()}: {_told(left)}")
        if who == "ours":
            wrong = [*broken, *(what for what in left if what.startswith(WORST))]
    print(*wrong, sep="\n")
    return bool(wrong)


def _told(left: Counter[str]) -> str:
    return ", ".join(f"{times} x {what.partition('(')[0]}" for what, times in left.most_common()) or "nothing"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

"""One scene, struck at one line; and what must hold afterwards, looked at as a user could."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

from prometheus_client.registry import CollectorRegistry

from tracedtimeout.prometheus import Collector

from .dropped import droppable
from .libraries import Library
from .loops import CountedLoop, SpinsError, VirtualLoop, pause, running
from .scenes import FOR_EVER, Scene
from .strikes import Line, Strikes

How = Literal["interrupt", "memory", "collect", "elsewhere"]
"""An exception as a signal's handler raises it; MemoryError; a garbage collection with dropped work at hand, in this
thread; the same in another."""

STUCK = 4.0
"""Real seconds after which a trial of some milliseconds waits for ever."""


class Interrupt(BaseException):
    """What a signal's handler raises."""


@dataclass
class Trial:
    """A scene with a strike at line number `at`, or with none."""

    scene: Scene
    library: Library
    how: How
    make_loop: Callable[[], CountedLoop]
    at: int | None = None
    stuck: Callable[[Trial], None] = lambda trial: None
    """Called when it has been waiting for long; then nothing in this process is of use any more."""
    left: list[str] = field(default_factory=list)
    """Everything that is not as it should be."""

    def run(self) -> None:
        self.strikes = Strikes(self.library.prefix, self.at, self._act)
        self.raised: BaseException | None = None
        self.seen: list[BaseException] = []
        self.in_task = False
        self._kept: list[object] = []
        hook, sys.unraisablehook = sys.unraisablehook, lambda args: self._see(args.exc_value, "nobody can catch")
        before = active()
        gc.disable()
        gc.collect()  # of what the trials before have made
        gc.freeze()  # only what is made from here on is looked at, and collected
        loop = self.make_loop()
        loop.set_exception_handler(lambda loop, context: self._reported(context))
        alarm = signal.signal(signal.SIGALRM, self._stuck)
        signal.setitimer(signal.ITIMER_REAL, STUCK if loop.unit == VirtualLoop.unit else 5 * STUCK)
        try:
            loop.run_until_complete(self._main())
        except SpinsError:
            self.note("the loop spins")
        except RuntimeError as exc:
            self.note(f"the loop hangs: {exc}" if "cannot happen" in str(exc) else f"the loop raises {exc!r}")
        finally:
            self.strikes.stop()
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, alarm)
            self._look_for_what_is_left(before)
            loop.close()
            gc.enable()
            sys.unraisablehook = hook

    def note(self, what: str) -> None:
        if what not in self.left:
            self.left.append(what)

    async def _main(self) -> None:
        for _ in range(2):  # so that the limit is the usual one
            await self.scene(self.library)
        await asyncio.create_task(self._struck())
        await asyncio.create_task(self._on_time())
        turns = running().turns
        await pause(5)
        if running().turns - turns > 5:
            self.note("the loop does not sleep")

    async def _struck(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self.at is not None and self.how in ("collect", "elsewhere"):
            self._kept += await droppable(self.library)
        self.strikes.start()
        try:
            await self.scene(self.library)
        except (Exception, Interrupt, asyncio.CancelledError) as exc:
            self._see(exc, "the scene ends with")
        finally:
            self.strikes.stop()
        if self.raised is not None and self.in_task and not self.seen:
            self.note("the exception is lost")
        if task.cancelling():
            self.note("cancelling() is not 0")
        try:
            await pause(2 * FOR_EVER)
        except asyncio.CancelledError:
            self.note("a stray cancellation")

    async def _on_time(self) -> None:
        """A timeout of the same limit, and one of another, fire when they should."""
        loop = running()
        for delay in (5.0, 3.0):
            started = loop.time()
            try:
                async with self.library.timeout(delay):
                    await pause(3 * delay)
                self.note("a later timeout never fires")
            except TimeoutError:
                late = (loop.time() - started) / loop.unit - delay
                if late > (1e-6 if loop.unit == 1.0 else 20):
                    self.note("a later timeout fires late")

    def _act(self) -> None:
        self.in_task = _running_task() is not None
        match self.how:
            case "interrupt":
                self.raised = Interrupt()
                raise self.raised
            case "memory":
                self.raised = MemoryError()
                raise self.raised
            case "collect":
                self._kept.clear()
                gc.collect()
            case "elsewhere":
                self._kept.clear()
                thread = threading.Thread(target=gc.collect)
                thread.start()
                thread.join()

    def _see(self, exc: BaseException | None, where: str) -> None:
        """Ours is what should be seen, and is seen once; anything else should not be."""
        if exc is None or exc is not self.raised:
            self.note(f"{where} {type(exc).__name__}" + (f": {exc}" if isinstance(exc, AssertionError) else ""))
        else:
            self.seen.append(exc)

    def _reported(self, context: dict[str, Any]) -> None:
        if "Task was destroyed" not in context["message"]:  # as it should: nobody holds it
            self._see(context.get("exception"), "the loop is told of")

    def _stuck(self, number: int, frame: FrameType | None) -> None:
        self.note("a deadlock")
        self.stuck(self)

    def _look_for_what_is_left(self, before: float) -> None:
        self.raised = None
        self.seen.clear()
        self._kept.clear()
        gc.collect()
        if "the loop spins" in self.left:
            return  # all else follows from that
        if any(isinstance(each, self.library.kind) for each in gc.get_objects()):
            self.note("a timeout is kept after its deadline")
        if active() != before:
            self.note("active is off")


def active() -> float:
    """How many timeouts of this process are open, as Prometheus would be told."""
    registry = CollectorRegistry()
    registry.register(Collector())
    return sum(
        sample.value
        for family in registry.restricted_registry(["tracedtimeout_active"]).collect()
        for sample in family.samples
    )


def _running_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def census(scene: Scene, library: Library, make_loop: Callable[[], CountedLoop]) -> list[Line]:
    """The lines that a scene executes."""
    trial = Trial(scene, library, "collect", make_loop)
    trial.run()
    assert not trial.left, trial.left
    return trial.strikes.lines

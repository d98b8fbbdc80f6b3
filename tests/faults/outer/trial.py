"""One scene of a room, struck at one line; and what must hold afterwards."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from opentelemetry import trace

import tracedtimeout
from tests.faults.loops import SpinsError, VirtualLoop
from tests.faults.scenes import FOR_EVER
from tests.faults.strikes import Line, Strikes

from .stage import Stage

How = Literal["error", "memory", "interrupt"]
"""RuntimeError, MemoryError, and KeyboardInterrupt, as a signal's handler raises it."""

RAISED: dict[How, type[BaseException]] = {
    "error": RuntimeError,
    "memory": MemoryError,
    "interrupt": KeyboardInterrupt,
}

STRUCK = ("struck",)

Scene = Callable[[Stage], Coroutine[Any, Any, object]]
PACKAGE = Path(tracedtimeout.__file__).parent

EXITS = ("__aexit__", "__exit__", "aexit", "leave", "left_by", "_afterwards")


@dataclass(frozen=True)
class Room:
    """A part of the package."""

    files: tuple[str, ...]
    """Its folders and files, from the package's own folder on."""
    scenes: tuple[Scene, ...]
    quiet: bool = False
    """True of telemetry: an Exception in there does not come out, and is logged once."""
    loud: tuple[str, ...] = ()
    """Of a quiet room, the files that an Exception may come out of: no user's code or exporter's runs in them."""
    stage: Callable[[], Stage] = Stage
    often: str = "few"
    """``few``: of its scenes' lines each once, in the first scene that comes to it; ``twice``: in each scene the first
    time and the last that it is come to; ``always``."""
    loop: Callable[[], asyncio.AbstractEventLoop] = VirtualLoop
    settled: float = 2 * FOR_EVER
    """Seconds of the loop after which all that was to happen has."""

    @property
    def prefix(self) -> tuple[str, ...]:
        return tuple(str(PACKAGE / each) for each in self.files)


@dataclass
class Facts:
    """What one run of a scene showed."""

    result: object = None
    spans: object = None
    figures: object = None

    def differs(self, other: Facts) -> list[str]:
        return [what for what, value in vars(self).items() if value != getattr(other, what)]


@dataclass
class Trial:
    """A scene with a strike at line number `at`, or with none; `expected` are its runs with none."""

    room: Room
    scene: Scene
    how: How = "error"
    at: int | None = None
    expected: tuple[Facts, Facts] | None = None
    """The first run of the scene on a stage, and the second."""
    left: list[str] = field(default_factory=list)
    """Everything that is not as it should be."""

    def run(self) -> None:
        self.strikes = Strikes(self.room.prefix, self.at, self._act)
        self.raised: BaseException | None = None
        self.came_out = 0
        hook, sys.unraisablehook = sys.unraisablehook, lambda args: self._see(args.exc_value, "nobody can catch")
        gc.disable()
        gc.collect()  # of what the trials before have made
        gc.freeze()  # only what is made from here on is looked at, and collected
        self.stage = self.room.stage()
        before = self.stage.active()
        loop = self.room.loop()
        loop.set_exception_handler(lambda loop, context: self._reported(context.get("exception")))
        try:
            self._drive(loop)
        except SpinsError:
            self.note("the loop spins")
        except RuntimeError as exc:
            self.note(f"the loop hangs: {exc}" if "cannot happen" in str(exc) else f"the loop raises {exc!r}")
        finally:
            self.strikes.stop()
            try:
                self._look_for_what_is_left(before)
            finally:
                loop.close()
                gc.enable()
                sys.unraisablehook = hook

    def note(self, what: str) -> None:
        if what not in self.left:
            self.left.append(what)

    def _drive(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run to the end. A KeyboardInterrupt in a callback or in another task comes out of the loop: it is run on."""
        main = loop.create_task(self._main())
        while True:
            try:
                loop.run_until_complete(main)
            except KeyboardInterrupt as exc:
                self._see(exc, "out of the loop comes")
                if not main.done():
                    continue
            break

    async def _main(self) -> None:
        first = await asyncio.create_task(self._struck())
        self._judge()
        second = await asyncio.create_task(self._again())
        self.facts = first, second
        if self.expected is not None:
            for what in second.differs(self.expected[1]):
                self.note(f"the next time it shows other {what}")
            silent = self.came_out == 0 and (self.room.quiet or not self.was_logged)
            if silent and first.result != self.expected[0].result:
                self.note("the program sees something else")
            if silent and self.room.quiet and first.figures != self.expected[0].figures:
                self.note("figures are not right")
        turns = getattr(asyncio.get_running_loop(), "turns", 0)
        await asyncio.sleep(5)
        if getattr(asyncio.get_running_loop(), "turns", 0) - turns > 5:
            self.note("the loop does not sleep")

    async def _struck(self) -> Facts:
        task = asyncio.current_task()
        assert task is not None
        facts, before = Facts(), self.stage.figures()
        with trace.get_tracer("program").start_as_current_span("program") as outside:
            self.strikes.start()
            try:
                facts.result = await self.scene(self.stage)
            except BaseException as exc:  # whatever it is, it is looked at
                self._see(exc, "the scene ends with")
            finally:
                self.strikes.stop()
            for what in self.stage.check():
                self.note(what)
            if trace.get_current_span() is not outside:
                self.note("another span is current")
        if tracedtimeout.remaining() != float("inf"):
            self.note("a deadline is in force")
        if task.cancelling():
            self.note("cancelling() is not 0")
        try:
            await asyncio.sleep(self.room.settled)
        except asyncio.CancelledError:
            self.note("a stray cancellation")
        facts.figures, facts.spans = self.stage.since(before), self.stage.ended_spans()
        return facts

    async def _again(self) -> Facts:
        before = self.stage.figures()
        facts = Facts()
        try:
            facts.result = await self.scene(self.stage)
        except BaseException as exc:
            self.note(f"the next time it raises {type(exc).__name__}: {exc}")
        facts.figures, facts.spans = self.stage.since(before), self.stage.ended_spans()
        return facts

    def _judge(self) -> None:
        """Whether the exception was seen by whom it should be, and by nobody else."""
        self.was_logged = False
        if self.raised is None:
            return
        logged, struck = self.stage.logged(self.raised), self.strikes.struck
        assert struck is not None
        self.was_logged = logged > 0
        if self.how == "interrupt":
            if not self.came_out:
                self.note("the interrupt is lost")
        elif self.room.quiet and struck.file not in self.room.loud:
            if self.came_out:
                self.note("telemetry's error comes out")
            elif logged != 1:
                self.note(f"it is logged {logged} times")

    def _act(self) -> None:
        self.raised = RAISED[self.how](*STRUCK)
        raise self.raised

    def _see(self, exc: BaseException | None, where: str) -> None:
        """Ours is what may be seen; anything else is not."""
        if exc is None or exc is not self.raised:
            self.note(f"{where} {type(exc).__name__}: {exc}")
        else:
            self.came_out += 1

    def _reported(self, exc: BaseException | None) -> None:
        """The loop is told of `exc`: of ours again, as the task of a server that it has ended is collected."""
        if not (self.raised is None and type(exc) is RAISED[self.how] and exc.args == STRUCK):
            self._see(exc, "the loop is told of")

    def _look_for_what_is_left(self, before: int) -> None:
        self.raised = None
        if "the loop spins" in self.left:
            return  # all else follows from that
        self.stage.forget_exceptions()
        gc.collect()
        if any(isinstance(each, tracedtimeout.Timeout) for each in gc.get_objects()):
            self.note("a timeout is kept after its deadline")
        if self.stage.active() != before:
            self.note("active is off")
        if open_spans := self.stage.open_spans():
            self.note(f"spans are open: {open_spans}")
        for what in self.stage.close():
            self.note(what)

    @property
    def excused(self) -> bool:
        """True at the instant of the call of an exit: nothing of it has run, so nothing is left; as asyncio's."""
        struck = self.strikes.struck
        return struck is not None and struck.begins and struck.function in EXITS


def census(room: Room, scene: Scene) -> tuple[list[Line], tuple[Facts, Facts]]:
    """The lines that a scene executes, and what its two runs show."""
    for _ in range(2):  # the first fills what is filled once in a process
        trial = Trial(room, scene)
        trial.run()
        assert not trial.left, (scene.__name__, trial.left)
    return trial.strikes.lines, trial.facts

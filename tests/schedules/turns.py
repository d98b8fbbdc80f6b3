"""Event loops in virtual time whose ready callbacks, and whose threads, take turns in an order chosen by a seed."""

from __future__ import annotations

import heapq
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import tracedtimeout
from tests.core.virtual import VirtualLoop

CORE = str(Path(tracedtimeout.__file__).parent / "_core") + "/"

EAGER = (0.0, 0.01, 0.05, 0.3)
"""How likely a thread is to be put aside at a line of the core."""


class Turns:
    """One clock for all loops, and the right to run, which one thread has at a time."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.now = 0.0
        self.over = False
        self.still = False
        """No thread is put aside now: somebody looks at two things that belong together."""
        self.players: list[Player] = []
        self.runs: Player | None = None
        self.eager = rng.choice(EAGER)

    def play(self) -> None:
        """Run all players, each in a thread of its own, until none of them has anything left to do."""
        for player in self.players:
            player.thread.start()
        self._pass_to(self.rng.choice(self.players))
        for player in self.players:
            player.thread.join()

    def switch(self, me: Player) -> None:
        """Let somebody else run, if anybody can."""
        others = self._ready_beside(me)
        if others:
            self._pass_to(self.rng.choice(others))
            me.baton.acquire()

    def wait(self, me: Player) -> bool:
        """Wait until `me` has something to do; whether it ever will."""
        while not self.over:
            if me.has_work():
                return True
            me.idle = True
            if self._ready_beside(me):
                self.switch(me)
            else:
                self._go_on()
            me.idle = False
        return False

    def leave(self, me: Player) -> None:
        """`me` runs no more."""
        me.gone = True
        others = [player for player in self.players if not player.gone]
        if others:
            self._pass_to(self.rng.choice(others))

    def trace(self, frame: FrameType, event: str, arg: object) -> Any:
        """For `sys.settrace`: at a line of the core, the thread may be put aside."""
        return self._at_line if frame.f_code.co_filename.startswith(CORE) else None

    def _at_line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line" and not self.still and self.rng.random() < self.eager:
            assert self.runs is not None
            self.switch(self.runs)
        return self._at_line

    def _ready_beside(self, me: Player) -> list[Player]:
        return [each for each in self.players if each is not me and not each.gone and not each.waits()]

    def _go_on(self) -> None:
        """Nobody can run now: the clock goes to the next timer, if there is one."""
        whens = [when for player in self.players if not player.gone and (when := player.next_at()) is not None]
        if whens:
            self.now = max(self.now, min(whens))
        else:
            self.over = True

    def _pass_to(self, player: Player) -> None:
        self.runs = player
        player.baton.release()


class Player:
    """One thread and what it does."""

    def __init__(self, turns: Turns, run: Callable[[], None]) -> None:
        self.baton = threading.Semaphore(0)
        self.idle = False
        self.gone = False
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(run,))
        self._turns = turns
        turns.players.append(self)

    def has_work(self) -> bool:
        """Whether it can run on, once it waits."""
        return True

    def next_at(self) -> float | None:
        """When it can, at the latest."""
        return None

    def waits(self) -> bool:
        return self.idle and not self.has_work()

    def _run(self, run: Callable[[], None]) -> None:
        self.baton.acquire()
        if self._turns.eager:
            sys.settrace(self._turns.trace)
        try:
            run()
        except BaseException as exc:
            self.error = exc
            self._turns.over = True
        finally:
            if self._turns.eager:
                sys.settrace(None)
            self._turns.leave(self)


class Loop(VirtualLoop):
    """A loop that takes what is ready in any order. Another thread's `call_soon_threadsafe` must wake it, as it must a
    real one."""

    def __init__(self, turns: Turns, origin: float) -> None:
        self.turns = turns
        self.origin = origin
        self.player: Player | None = None
        self.woken = False
        self.blocked = False
        super().__init__()

    @property
    def now(self) -> float:
        return self.turns.now + self.origin

    @now.setter
    def now(self, now: float) -> None:
        if now > self.turns.now + self.origin:
            self.turns.now = now - self.origin

    def block(self, seconds: float) -> None:
        super().block(seconds)
        self.blocked = self.blocked or seconds > 0

    def has_work(self) -> bool:
        when = self.next_at()
        return self.woken or (when is not None and when <= self.turns.now)

    def next_at(self) -> float | None:
        timers = self._scheduled
        while timers and timers[0].cancelled():
            heapq.heappop(timers)
        return timers[0].when() - self.origin if timers else None

    def _run_once(self) -> None:
        if not self._ready and not self._wait():
            self.stop()
            return
        self.woken = False
        timers = self._scheduled
        while timers and timers[0].when() <= self.now:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            self._ready.append(timer)
        batch = list(self._ready)
        self._ready.clear()
        self.turns.rng.shuffle(batch)
        self._left = len(batch)
        for handle in batch:
            self._left -= 1
            if self.player is not None:
                self.turns.switch(self.player)
            if not handle.cancelled():
                handle._run()

    def _wait(self) -> bool:
        if self.player is not None:
            return self.turns.wait(self.player)
        when = self.next_at()
        self.turns.now = max(self.turns.now, when or 0.0)
        return when is not None

    def _write_to_self(self) -> None:
        self.woken = True


class LoopPlayer(Player):
    """A thread with a loop."""

    def __init__(self, turns: Turns, loop: Loop, run: Callable[[], None]) -> None:
        super().__init__(turns, run)
        self.loop = loop
        loop.player = self

    def has_work(self) -> bool:
        return self.loop.has_work()

    def next_at(self) -> float | None:
        return self.loop.next_at()

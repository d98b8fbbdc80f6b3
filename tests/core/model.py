"""A small model of what the budget adds to asyncio: who bounds whom, and which timeouts end with one that fired.

It is written for reading, with none of the core's ways: every timeout has its own timer, and who is beneath whom is
found by looking at all that are open.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

from .programs import Library
from .reference import Reference, after, wait_for
from .virtual import VirtualLoop


class OverdueError(TimeoutError):
    """A TimeoutError that says whose it is and whose deadline it was."""

    def __init__(self, name: str, owner: str) -> None:
        super().__init__()
        self.name, self.owner = name, owner


class Bare:
    """A budget: a deadline with no timer of its own."""

    name = "_budget"

    def __init__(self, when: float) -> None:
        self.deadline: float | None = when
        self.around = binding(innermost.get())
        self.binds = True


innermost: ContextVar[Model | Bare | None] = ContextVar("innermost", default=None)


def binding(link: Model | Bare | None) -> Model | Bare | None:
    """The first from `link` outwards that has neither fired nor been left: those bind what is opened now."""
    while link is not None and not link.binds:
        link = link.around
    return link


class Model(Reference):
    """A timeout that is bounded by those around it."""

    def __init__(self, when: float | None, name: str) -> None:
        super().__init__(when)
        self.name = name
        self.owner = ""
        self.around: Model | Bare | None = None
        self.within: Model | Bare | None = None
        """What it was opened in; `around` may be further out while it cleans up."""
        self.joined: Model | None = None
        """The nearest timeout around it, past bare budgets and what had fired before it was entered."""

    @property
    def binds(self) -> bool:
        return self._state == "active"

    @property
    def deadline(self) -> float | None:
        return self._when

    async def __aenter__(self) -> Self:
        self.around = self.within = binding(innermost.get())
        innermost.set(self)
        link = self.around
        while isinstance(link, Bare):
            link = binding(link.around)
        self.joined = link
        _loop().open.append(self)
        return await super().__aenter__()

    async def __aexit__(self, exc_type: object, exc: BaseException | None, exc_tb: object) -> None:
        try:
            await super().__aexit__(exc_type, exc, exc_tb)
        finally:
            if self.around is not self.within:
                self.around = self.within
                innermost.set(self)
            _loop().open.remove(self)
            end_the_unsupervised()

    def _timed(self) -> float | None:
        """Its own deadline, or that of a bare budget directly around it."""
        when = [self._when]
        link = self.around
        while isinstance(link, Bare) or (link is not None and link._state == "finished"):
            when += [link.deadline] * link.binds
            link = link.around
        return min((each for each in when if each is not None), default=None)

    def _fire(self) -> None:
        timed = self._timed()
        if timed is not None and timed <= _loop().now:
            self.owner = self._whose()
            self._pass_by_budgets()
            super()._fire()
        else:  # it was timed for a budget that has been left
            self._start_timer()

    def _whose(self) -> str:
        if self._when is not None and self._when <= _loop().now:
            return self.name
        soonest, owner = math.inf, ""
        link = self.around
        while link is not None:
            if link.binds and link.deadline is not None and link.deadline < soonest:
                soonest, owner = link.deadline, link.name
            link = link.around
        return owner

    def _pass_by_budgets(self) -> None:
        """Its timer was also that of the bare budgets around it: those that have passed bind its clean-up no more."""
        bare = []
        link = self.around
        while isinstance(link, Bare):
            bare.append(link)
            link = link.around
        passed = [each for each in bare if not each.binds or (each.deadline or 0.0) <= _loop().now]
        self.around = passed[-1].around if passed else self.around

    def supervised_by(self) -> Model | None:
        """The nearest timeout that it, and those around it, joined that has not been left without firing."""
        link = self.joined
        while link is not None and link._state == "finished":
            link = link.joined
        return link

    def end(self, owner: str) -> None:
        """End it for `owner`, unless somebody else has asked its task to end since it was entered."""
        if self._state != "active":
            return
        mine = [each for each in _loop().open if each._task is self._task and each._state == "expiring"]
        inside = [each for each in mine if _loop().open.index(each) > _loop().open.index(self)]
        if self._task.cancelling() - len(inside) <= self._count:
            if self._timer is not None:
                self._timer.cancel()
            self.owner = owner
            self._pass_by_budgets()
            super()._fire()

    def _error(self) -> TimeoutError:
        return OverdueError(self.name, self.owner)


def end_the_unsupervised() -> None:
    """When a timeout that fired is left, those of other tasks still open beneath it end, on the loop's next turn."""
    loop, ending = _loop(), []
    for each in loop.open:
        outer = each.supervised_by()
        if outer is not None and outer._state == "expired" and not each.owner:
            each.owner = outer.owner
            ending.append(each)
    for each in loop.in_order(ending):
        loop.call_soon(each.end, each.owner)


@contextmanager
def detach() -> Iterator[None]:
    token = innermost.set(None)
    try:
        yield
    finally:
        innermost.reset(token)


@contextmanager
def budget(seconds: float) -> Iterator[None]:
    bare = Bare(_loop().now + seconds)
    innermost.set(bare)
    try:
        yield
    finally:
        bare.binds = False


def _wait_for(awaitable: Awaitable[Any], delay: float | None, name: str) -> Any:
    return wait_for(awaitable, delay, Model(after(delay), name), lambda: OverdueError(name, name))


def _loop() -> VirtualLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


MODEL = Library(
    timeout=lambda delay, name: Model(after(delay), name),
    timeout_at=Model,
    wait_for=_wait_for,
    detach=detach,
    budget=budget,
    owners=True,
)

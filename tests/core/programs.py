"""Programs as data: what runs them, and the trace of what they saw."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Protocol

from .virtual import Order, VirtualLoop

Event = tuple[object, ...]
Tree = tuple[object, ...] | None


class AnyTimeout(Protocol):
    """What `asyncio.Timeout` and those compared with it have in common."""

    def when(self) -> float | None: ...
    def reschedule(self, when: float | None) -> None: ...
    def expired(self) -> bool: ...
    async def __aenter__(self) -> Any: ...
    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> object: ...


@dataclass(frozen=True)
class Library:
    """The functions that a program runs with."""

    timeout: Callable[[float | None, str], AnyTimeout]
    timeout_at: Callable[[float | None, str], AnyTimeout]
    wait_for: Callable[[Awaitable[Any], float | None, str], Coroutine[Any, Any, Any]]
    detach: Callable[[], AbstractContextManager[object]]
    budget: Callable[[float], AbstractContextManager[object]]
    owners: bool = False
    """Whether its exceptions say who ran out of time."""


class Program(Protocol):
    """A statement."""

    async def run(self, here: Here) -> None: ...


Body = tuple[Program, ...]


@dataclass
class Trace:
    """What one run of a program showed."""

    library: Library
    loop: VirtualLoop
    events: list[Event] = field(default_factory=list)
    timeouts: list[AnyTimeout] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    names: int = 0
    actors: int = 0
    """The tasks, and the timers that cancel one from outside: where there is but one, order is all its own."""

    over: bool = False
    """Whether the loop has stopped: what is closed after that is not part of it."""

    def note(self, *what: object) -> None:
        """Write down an event: when, who, what, and the state of everything."""
        task = asyncio.current_task()
        assert task is not None
        expired = tuple(timeout.expired() for timeout in self.timeouts)
        self.loop.progress += 1
        self.events.append((self.loop.now, task.get_name(), *what, task.cancelling(), expired))

    def name(self) -> str:
        self.names += 1
        return f"t{self.names}"


@dataclass(frozen=True)
class Here:
    """Where a statement stands: the trace, the timeouts around it and the tasks around it, innermost first."""

    trace: Trace
    timeouts: tuple[AnyTimeout, ...] = ()
    tasks: tuple[asyncio.Task[Any], ...] = ()

    async def body(self, statements: Body) -> None:
        for statement in statements:
            await statement.run(self)

    def start(self, statements: Body, create: Callable[..., asyncio.Task[None]] | None = None) -> asyncio.Task[None]:
        trace = self.trace
        coroutine = self._task(statements)
        try:
            task = (create or trace.loop.create_task)(coroutine, name=f"task {len(trace.tasks)}")
        except RuntimeError:  # a group that an eager child has ended takes no other
            coroutine.close()
            raise
        trace.tasks.append(task)
        trace.actors += 1
        task.add_done_callback(_retrieve)
        return task

    async def _task(self, statements: Body) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await replace(self, tasks=(task, *self.tasks)).body(statements)
        except BaseException as exc:
            self.trace.note("ends with", tree(exc, self.trace.library))
            raise
        self.trace.note("ends")


def execute(
    program: Body, library: Library, orders: Mapping[int, Order] | None = None, *, eager: bool = False
) -> Trace:
    """Run `program` as the only task of a new virtual loop, until nothing is left to do; `eager` needs Python 3.12."""
    loop = VirtualLoop(orders)
    loop.set_task_factory(_Numbered.create_eagerly if eager else _Numbered.create)
    trace = Trace(library, loop)
    loop.set_exception_handler(lambda loop, context: trace.events.append((loop.time(), "loop", context["message"])))
    try:
        Here(trace).start(program)
        loop.run_forever()
        trace.over = True
    finally:
        loop.close()
    trace.events.append(("nothing is left to wait for", loop.now))
    for number, timeout in enumerate(trace.timeouts):
        trace.events.append((number, repr(timeout), timeout.expired(), timeout.when()))
    for task in trace.tasks:
        trace.events.append((task.get_name(), task.done(), task.cancelling()))
    return trace


def tree(exc: BaseException | None, library: Library, seen: tuple[int, ...] = ()) -> Tree:
    """An exception with its cause, context and members, as data to compare."""
    if exc is None or id(exc) in seen:
        return None
    seen = (*seen, id(exc))
    kind, args = type(exc).__name__, exc.args
    if hasattr(exc, "owner"):
        kind, args = "TimeoutError", (exc.name, exc.owner) if library.owners else ()  # type: ignore[attr-defined]  # ours
    if isinstance(exc, BaseExceptionGroup):
        args = (exc.message, *(tree(member, library, seen) for member in exc.exceptions))
    linked = (tree(exc.__cause__, library, seen), tree(exc.__context__, library, seen), exc.__suppress_context__)
    return (kind, args, *linked)


class _Numbered(asyncio.Task[Any]):
    """A task with the same hash and the same name in each run: a TaskGroup cancels its children in the order of a set,
    and who closes a dropped generator is given no name by anybody."""

    @classmethod
    def create(cls, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> _Numbered:
        return cls(coro, loop=loop, **options)

    @classmethod
    def create_eagerly(cls, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> _Numbered:
        return cls(coro, loop=loop, **{"eager_start": True} | options)

    def __init__(self, coro: Any, *, loop: asyncio.AbstractEventLoop, name: str | None = None, **options: Any) -> None:
        assert isinstance(loop, VirtualLoop)
        loop.created += 1
        self.number = loop.created
        super().__init__(coro, loop=loop, name=name or f"nobody's {self.number}", **options)

    def __hash__(self) -> int:
        return self.number


def _retrieve(task: asyncio.Task[None]) -> None:
    """Keep asyncio from logging, whenever it is collected, that nobody looked at its exception."""
    task.cancelled() or task.exception()

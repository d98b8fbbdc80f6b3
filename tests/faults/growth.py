"""The cost of one step beside n others, counted in instructions of the interpreter: the same figure on any machine.

Functions written in C count as the one instruction that calls them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from types import CodeType, FrameType
from typing import Any

from .libraries import LIBRARIES, Library
from .loops import VirtualLoop, pause

TOOL = 3
"""One of `sys.monitoring`'s free tool numbers, not that of `strikes`."""

LONG = 1000.0

Cost = Callable[[Library, int], Coroutine[Any, Any, float]]


class Instructions:
    """How many instructions were executed between `start` and `stop`."""

    def __init__(self) -> None:
        self.count = 0

    def start(self) -> None:
        if sys.version_info >= (3, 12):
            monitoring = sys.monitoring
            monitoring.use_tool_id(TOOL, "tests.faults.growth")
            monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, self._executes)
            monitoring.set_events(TOOL, monitoring.events.INSTRUCTION)
        else:
            sys.settrace(self._trace)

    def stop(self) -> None:
        if sys.version_info >= (3, 12):
            sys.monitoring.set_events(TOOL, 0)
            sys.monitoring.free_tool_id(TOOL)
        else:
            sys.settrace(None)

    def _executes(self, code: CodeType, offset: int) -> None:
        self.count += 1

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        elif event == "opcode":
            self.count += 1
        return self._trace


@contextmanager
def counting() -> Iterator[Instructions]:
    instructions = Instructions()
    instructions.start()
    try:
        yield instructions
    finally:
        instructions.stop()


def cost(case: Cost, who: str, n: int) -> float:
    """Instructions of one step of `case` at size n."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(case(LIBRARIES[who], n))


async def one(lib: Library) -> int:
    """Instructions of entering a timeout and leaving it, once its name and limit are known."""
    for _ in range(3):
        async with lib.timeout(LONG / 2):
            pass
    with counting() as instructions:
        async with lib.timeout(LONG / 2):
            pass
    return instructions.count


@asynccontextmanager
async def nest(lib: Library, n: int) -> AsyncIterator[Any]:
    """n timeouts, one in another; gives the outermost."""
    async with AsyncExitStack() as stack:
        nested = [await stack.enter_async_context(lib.timeout(LONG + n - depth)) for depth in range(n)]
        yield nested[0]


@asynccontextmanager
async def open_in_tasks(lib: Library, n: int, **options: float) -> AsyncIterator[None]:
    """n tasks, each with a timeout that is open."""
    done = asyncio.Event()

    async def work() -> None:
        async with lib.timeout(None if options else LONG, **options):
            await done.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(n):
            group.create_task(work())
        await pause(1)
        yield
        done.set()


async def at_depth(lib: Library, n: int) -> float:
    """Enter and leave, n deep."""
    async with nest(lib, n):
        return await one(lib)


async def at_depth_in_a_child(lib: Library, n: int) -> float:
    """Enter and leave in a child task, n deep."""
    async with nest(lib, n):
        return await asyncio.create_task(one(lib))


async def leaving_a_nest(lib: Library, n: int) -> float:
    """Leave one of n that were nested."""
    async with AsyncExitStack() as stack:
        for depth in range(n):
            await stack.enter_async_context(lib.timeout(LONG + n - depth))
        with counting() as instructions:
            await stack.aclose()
    return instructions.count / n


async def beside_siblings(lib: Library, n: int) -> float:
    """Enter and leave beside n open ones of other tasks."""
    async with open_in_tasks(lib, n):
        return await one(lib)


async def beside_other_limits(lib: Library, n: int) -> float:
    """Enter and leave beside n open ones, each with a limit of its own, in no order."""
    async with AsyncExitStack() as stack:
        for each in range(n):
            await stack.enter_async_context(lib.timeout(LONG + each * 7919 % n))
        return await asyncio.create_task(one(lib))


async def another_child(lib: Library, n: int) -> float:
    """Enter and leave in one more child of a parent with n."""
    async with lib.timeout(LONG), open_in_tasks(lib, n):
        return await asyncio.create_task(one(lib))


async def leaving_children(lib: Library, n: int) -> float:
    """Leave a parent with n children open, which live on."""
    async with AsyncExitStack() as stack, lib.timeout(2 * LONG):
        async with lib.timeout(LONG):
            await stack.enter_async_context(open_in_tasks(lib, n))
            counting_exit = counting()
            instructions = counting_exit.__enter__()
        counting_exit.__exit__(None, None, None)
        return instructions.count


async def beside_reserves(lib: Library, n: int) -> float:
    """Enter and leave beside n open ones with a reserve."""
    async with lib.timeout(LONG), open_in_tasks(lib, n, reserve=1.0):
        return await one(lib)


async def _moving(timeout: Any) -> float:
    now = asyncio.get_running_loop().time()
    timeout.reschedule(now + 2 * LONG)
    with counting() as instructions:
        timeout.reschedule(now + 3 * LONG)
    return instructions.count


async def moving_a_nest(lib: Library, n: int) -> float:
    """Reschedule the outermost of n."""
    async with nest(lib, n) as outermost:
        return await _moving(outermost)


async def moving_children(lib: Library, n: int) -> float:
    """Reschedule a parent of n children."""
    async with lib.timeout(LONG) as parent, open_in_tasks(lib, n):
        return await _moving(parent)


async def one_tick(lib: Library, n: int) -> float:
    """Expire, one of n in a tick."""

    async def work() -> None:
        with suppress(TimeoutError):
            async with lib.timeout_at(at):
                await pause(LONG)

    at = asyncio.get_running_loop().time() + 10.0
    tasks = [asyncio.create_task(work()) for _ in range(n)]
    await pause(5)
    with counting() as instructions:
        await asyncio.wait(tasks)
    return instructions.count / n


async def group_expires(lib: Library, n: int) -> float:
    """Expire over a TaskGroup of n children with timeouts of their own, for each of them."""

    async def work() -> None:
        async with lib.timeout(LONG):
            await pause(LONG)

    async def over() -> None:
        with suppress(TimeoutError):
            async with lib.timeout(10), asyncio.TaskGroup() as group:
                for _ in range(n):
                    group.create_task(work())

    task = asyncio.create_task(over())
    await pause(5)
    with counting() as instructions:
        await task
    return instructions.count / n


async def nest_expires(lib: Library, n: int) -> float:
    """Expire as the outermost of n, for each of them."""

    async def over() -> None:
        with suppress(TimeoutError):
            async with AsyncExitStack() as stack:
                for depth in range(n):
                    await stack.enter_async_context(lib.timeout(10 + depth))
                await pause(LONG)

    task = asyncio.create_task(over())
    await pause(5)
    with counting() as instructions:
        await task
    return instructions.count / n


async def nest_is_cancelled(lib: Library, n: int) -> float:
    """Be cancelled, one of n nested, with an expiry meanwhile that had others beneath it."""

    async def over() -> None:
        async with AsyncExitStack() as stack:
            for depth in range(n):
                await stack.enter_async_context(lib.timeout(LONG + depth))
            await pause(LONG)

    task = asyncio.create_task(over())
    with suppress(TimeoutError):
        async with lib.timeout(5), lib.timeout(LONG):
            await pause(LONG)
    task.cancel()
    with counting() as instructions:
        await asyncio.wait([task])
    return instructions.count / n


async def _all_expire(lib: Library, n: int, delays: list[float]) -> float:
    """Expire all of n nested timeouts: each cuts the body off once more, until the last."""

    async def over() -> None:
        with suppress(TimeoutError):
            async with AsyncExitStack() as stack:
                nested = [await stack.enter_async_context(lib.timeout_at(at + delay)) for delay in delays]
                while not all(each.expired() for each in nested[:: n - 1]):
                    with suppress(asyncio.CancelledError):
                        await pause(LONG)
                await pause(LONG)

    at = asyncio.get_running_loop().time() + 10.0
    task = asyncio.create_task(over())
    await pause(5)
    with counting() as instructions:
        await task
    return instructions.count / n


async def nest_expires_at_once(lib: Library, n: int) -> float:
    """Expire, one of n nested whose deadlines are the same."""
    return await _all_expire(lib, n, [0.0] * n)


async def nest_expires_outermost_first(lib: Library, n: int) -> float:
    """Expire, one of n nested, the outermost first and the others one by one."""
    return await _all_expire(lib, n, [float(depth) for depth in range(n)])


async def nest_expires_innermost_first(lib: Library, n: int) -> float:
    """Expire, one of n nested, the innermost first and the others one by one."""
    return await _all_expire(lib, n, [float(n - depth) for depth in range(n)])


async def each_of_a_nest_expires(lib: Library, n: int) -> float:
    """Expire, one of n nested, each left before the next outwards fires."""

    async def over(depth: int) -> None:
        with suppress(TimeoutError):
            async with lib.timeout_at(at + depth):
                if depth:
                    await over(depth - 1)
                await pause(LONG)

    at = asyncio.get_running_loop().time() + 10.0
    task = asyncio.create_task(over(n - 1))
    await pause(5)
    with counting() as instructions:
        await task
    return instructions.count / n


async def chain_of_tasks_expires(lib: Library, n: int) -> float:
    """Expire, one of n of one deadline, each in a task that the one around waits for."""

    async def over(depth: int) -> None:
        async with lib.timeout_at(at):
            await (asyncio.create_task(over(depth - 1)) if depth else pause(LONG))

    at = asyncio.get_running_loop().time() + 10.0
    task = asyncio.create_task(over(n - 1))
    await pause(5)
    with counting() as instructions:
        await asyncio.wait([task])
    assert isinstance(task.exception(), TimeoutError)
    return instructions.count / n


async def after_others(lib: Library, n: int) -> float:
    """Enter and leave after n others in the same task."""
    for _ in range(n):
        async with lib.timeout(LONG):
            pass
    return await one(lib)


async def after_expired_ones(lib: Library, n: int) -> float:
    """Enter and leave after n others in the same task that expired."""
    for _ in range(n):
        with suppress(TimeoutError):
            async with lib.timeout(1):
                await pause(2)
    return await one(lib)


async def _generations(lib: Library, n: int, *, started: bool, expiring: bool = False) -> float:
    last: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    tasks: set[asyncio.Task[None]] = set()

    async def generation(number: int) -> None:
        with suppress(TimeoutError):
            async with lib.timeout(1 if expiring else LONG):
                if expiring:
                    with suppress(asyncio.CancelledError):
                        await pause(LONG)
                if number:
                    tasks.add(asyncio.create_task(generation(number - 1)))
                    await pause(0.001 * started)
                else:
                    last.set_result(await one(lib))

    tasks.add(asyncio.create_task(generation(n)))
    return await last


async def generations(lib: Library, n: int) -> float:
    """Enter and leave in the n-th of tasks each created inside the timeout of the one before, which is left at once."""
    return await _generations(lib, n, started=False)


async def overlapping_generations(lib: Library, n: int) -> float:
    """The same, where the one before is left when the next has begun."""
    return await _generations(lib, n, started=True)


async def expired_generations(lib: Library, n: int) -> float:
    """The same, where the one before has fired."""
    return await _generations(lib, n, started=False, expiring=True)


async def open_generations(lib: Library, n: int) -> float:
    """Enter and leave in the n-th of tasks each created inside the timeout of the one before, all of them open."""
    last: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    tasks: set[asyncio.Task[None]] = set()
    done = asyncio.Event()

    async def generation(number: int) -> None:
        async with lib.timeout(LONG):
            if number:
                tasks.add(asyncio.create_task(generation(number - 1)))
            else:
                last.set_result(await one(lib))
            await done.wait()

    tasks.add(asyncio.create_task(generation(n)))
    instructions = await last
    done.set()
    await asyncio.wait(tasks)
    return instructions


CASES: dict[str, Cost] = {
    case.__name__: case
    for case in (
        at_depth,
        at_depth_in_a_child,
        leaving_a_nest,
        beside_siblings,
        beside_other_limits,
        another_child,
        leaving_children,
        beside_reserves,
        moving_a_nest,
        moving_children,
        one_tick,
        group_expires,
        nest_expires,
        nest_is_cancelled,
        nest_expires_at_once,
        nest_expires_outermost_first,
        nest_expires_innermost_first,
        each_of_a_nest_expires,
        chain_of_tasks_expires,
        after_others,
        after_expired_ones,
        generations,
        overlapping_generations,
        expired_generations,
        open_generations,
    )
}

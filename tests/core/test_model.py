"""Random trees of timeouts, in many tasks, moved about: every deadline is the least of those around it, always."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

import tracedtimeout
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout.testing import run


@dataclass
class Node:
    """A timeout as the model has it."""

    timeout: tracedtimeout.Timeout
    when: float | None
    around: Node | None
    live: bool = True

    def deadline(self) -> float | None:
        """The least of its own and those of its live ancestors."""
        whens = [self.when]
        node = self.around
        while node is not None:
            whens += [node.when] * node.live
            node = node.around
        return min((when for when in whens if when is not None), default=None)


class Worker:
    """A task that does what it is told, each time in its own context."""

    def __init__(self, innermost: Node | None) -> None:
        self.innermost = innermost
        self._orders: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self.task = asyncio.create_task(self._work())

    async def do(self, order: Callable[[], Awaitable[None]]) -> None:
        self._orders.put_nowait(order)
        await self._orders.join()

    async def _work(self) -> None:
        while True:
            await (await self._orders.get())()
            self._orders.task_done()


@dataclass
class Tree:
    """The timeouts of one run, and who opened them."""

    workers: list[Worker] = field(default_factory=list)
    nodes: list[tuple[Worker, Node]] = field(default_factory=list)

    def live(self) -> list[tuple[Worker, Node]]:
        return [(worker, node) for worker, node in self.nodes if node.live]

    async def open(self, worker: Worker, delay: float | None) -> None:
        async def order() -> None:
            timeout = tracedtimeout.timeout(delay, name=f"model {delay}")
            await timeout.__aenter__()
            worker.innermost = Node(timeout, timeout.when(), worker.innermost)
            self.nodes.append((worker, worker.innermost))
            assert_least_of(worker.innermost, tracedtimeout.remaining())

        await worker.do(order)

    async def spawn(self, worker: Worker) -> None:
        async def order() -> None:
            self.workers.append(Worker(worker.innermost))

        await worker.do(order)

    async def close(self, worker: Worker, node: Node) -> None:
        async def order() -> None:
            await node.timeout.__aexit__(None, None, None)
            node.live = False

        await worker.do(order)

    def check(self) -> None:
        for _, node in self.live():
            assert node.timeout.when() == node.when
            assert_least_of(node, node.timeout.remaining())
            assert node.around is None or not node.around.live or no_later(node.timeout, node.around.timeout)
        table = _process.snapshot()
        closed = [each for each in table.get(_metrics.DURATION, {}).values() if isinstance(each, _process.Histogram)]
        assert sum(sum(each.counts) for each in closed) == len(self.nodes) - len(self.live())
        active = [each for each in table.get(_metrics.ACTIVE, {}).values() if isinstance(each, int)]
        assert sum(active) == len(self.live())


def assert_least_of(node: Node, remaining: float) -> None:
    assert node.timeout.deadline() == node.deadline()
    deadline = node.deadline()
    assert remaining == (math.inf if deadline is None else deadline - asyncio.get_running_loop().time())


def no_later(inner: tracedtimeout.Timeout, outer: tracedtimeout.Timeout) -> bool:
    return (inner.deadline() or math.inf) <= (outer.deadline() or math.inf)


Step = tuple[Literal["open", "spawn", "close", "move", "wait"], int, float | None]
delays = st.one_of(st.none(), st.integers(100, 110).map(float))
kinds = st.sampled_from(["open", "open", "spawn", "close", "move", "wait"])
steps = st.tuples(kinds, st.integers(0, 99), delays)


async def grow(taken: list[Step]) -> None:
    """Take the steps, and check after each of them."""
    tree = Tree()
    tree.workers.append(Worker(None))
    for kind, which, delay in taken:
        worker = tree.workers[which % len(tree.workers)]
        live = tree.live()
        if kind == "open":
            await tree.open(worker, delay)
        elif kind == "spawn":
            await tree.spawn(worker)
        elif kind == "wait":
            await asyncio.sleep(0.125)
        elif live and kind == "close":
            await tree.close(*live[which % len(live)])
        elif live:
            _, node = live[which % len(live)]
            node.when = None if delay is None else asyncio.get_running_loop().time() + delay
            node.timeout.reschedule(node.when)
        tree.check()
    for worker, node in tree.live()[::-1]:
        await tree.close(worker, node)
        tree.check()
    for worker in tree.workers:
        worker.task.cancel()
    await asyncio.wait([worker.task for worker in tree.workers])


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=40))
def test_every_deadline_is_the_least_of_those_around_it(taken: list[Step]) -> None:
    """However timeouts nest over tasks, move, and are left in any order: the deadline of each is the least of its own
    and its live ancestors', no budget outlasts the one around it, and opened is closed and active."""
    _process.reset()
    run(grow(taken))

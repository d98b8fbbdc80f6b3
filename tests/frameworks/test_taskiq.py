"""docs/doors.md: the door for taskiq works as it stands there, in taskiq's own receiver."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Any

import pytest

from tests.doors.test_door_docs import shown
from tests.services.asgi_servers import outcomes
from tracedtimeout import budget, remaining

pytestmark = pytest.mark.slow  # jobs that run out of time, on the real clock

taskiq: Any = import_module("taskiq")


async def quick() -> float:
    return remaining()


async def slow() -> float:
    await asyncio.sleep(60.0)
    return remaining()


def in_thread() -> float:
    return remaining()


class Jobs:
    """Jobs whose broker sends them, and receives them, by the page's door."""

    def __init__(self) -> None:
        page = shown("taskiq")
        self._broker = taskiq.InMemoryBroker(await_inplace=True).with_middlewares(page["SendsDeadline"]())
        self._broker.receiver = page["DeadlineReceiver"](self._broker, executor=self._broker.executor)
        jobs = {"quick": quick, "slow": slow, "in_thread": in_thread}  # taskiq renames the functions themselves
        self._tasks = {job: self._broker.register_task(job, task_name=name) for name, job in jobs.items()}

    async def result(self, job: Any, seconds: float | None, waits: float = 0.0) -> Any:
        """The result of a job that is sent with so many seconds, and received after a while."""
        with budget(seconds):
            message = self._tasks[job].kicker()._prepare_message()
            for middleware in self._broker.middlewares:
                message = middleware.pre_send(message)
        await asyncio.sleep(waits)
        return await self._broker.receiver.run_task(job, message)

    async def kiq(self, job: Any, seconds: float) -> Any:
        """The same, by taskiq's own way."""
        with budget(seconds):
            sent = await self._tasks[job].kiq()
        return await sent.wait_result(timeout=20.0)


async def test_a_job_has_its_senders_budget() -> None:
    """In the loop and in a thread: what is left of it, or of `default` where there was none."""
    jobs = Jobs()
    for job in (quick, in_thread):
        with_budget, without = await jobs.result(job, 5.0), await jobs.result(job, None)
        assert 0.0 < with_budget.return_value <= 5.0 < without.return_value <= 60.0


async def test_a_job_is_cut_or_refused() -> None:
    """The error of its result says so; one that waited for longer than its budget does not begin."""
    jobs = Jobs()
    cut, refused = await jobs.result(slow, 0.1), await jobs.result(slow, 0.01, waits=0.03)
    assert [(type(each.error).__name__, each.error.owner, each.error.rejected) for each in (cut, refused)] == [
        ("DeadlineExceeded", "_remote", False),
        ("DeadlineExceeded", "_remote", True),
    ]
    assert outcomes() == {("slow", "inherited"): 1, ("slow", "rejected"): 1}


async def test_by_taskiqs_own_way() -> None:
    """Sent by `kiq` and received by the broker, a job ends by the budget that it was sent with."""
    answer = await Jobs().kiq(slow, 0.1)
    assert (answer.is_err, type(answer.error).__name__) == (True, "DeadlineExceeded")

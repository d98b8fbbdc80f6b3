"""CPython's own tests of timeouts and wait_for pass against us, and its other asyncio tests with us in asyncio."""

from __future__ import annotations

import asyncio
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import FLAVOURS, available, cpython, missing

FILES = ("test_timeouts.py", "test_waitfor.py")

LOOPS = tuple(filter(available, ("plain", "uvloop", "eager")))

VERSIONS = tuple(dict.fromkeys((cpython.RUNNING, cpython.NEWEST)))

NOT_OURS = {
    # The version whose file it is ("" for any), the loop ("" for any) and the test: why it does not hold for us.
    ("3.11", "", "test_wait_for_self_cancellation"): "pins the extra task that 3.11 made of the awaitable",
    ("", "eager", "test_wait_for_timeout_less_then_0_or_0_coroutine_do_not_started"): "eager tasks start at once",
}

OTHER_SUITES = (
    "test_context",
    "test_futures",
    "test_locks",
    "test_pep492",
    "test_queues",
    "test_runners",
    "test_streams",
    "test_taskgroups",
    "test_tasks",
    "test_threads",
)


class Case(NamedTuple):
    """One test of CPython's, on one loop."""

    version: str
    loop: str
    test: unittest.TestCase | None

    @property
    def name(self) -> str:
        return self.test.id().rpartition(".")[2] if self.test is not None else "missing"

    @property
    def reason(self) -> str | None:
        """Why it does not hold for us, if it does not."""
        keys = ((version, loop, self.name) for version in ("", self.version) for loop in ("", self.loop))
        return next((NOT_OURS[key] for key in keys if key in NOT_OURS), None)


def all_cases() -> Iterator[Case]:
    for version in VERSIONS:
        found = cpython.directory(version)
        for loop in LOOPS:
            if found is None:
                yield Case(version, loop, None)
                continue
            for file in FILES:
                for test in cpython.cases(cpython.load(Path(found, file))):
                    yield Case(version, loop, test)


def parameters() -> list[object]:
    found: list[object] = []
    for case in all_cases():
        marks = [pytest.mark.xfail(reason=case.reason, strict=True)] if case.reason else []
        found.append(pytest.param(case, id=f"{case.version}-{case.loop}-{case.name}", marks=marks))
    return found


def run_on(flavour: str, test: unittest.TestCase) -> unittest.TestResult:
    """Runs one of CPython's asynchronous tests on a loop of that flavour."""

    def set_up() -> None:  # as unittest's own does; its public `loop_factory` is of 3.13
        test._asyncioRunner = asyncio.Runner(debug=True, loop_factory=FLAVOURS[flavour])  # type: ignore[attr-defined]  # private

    test._setupAsyncioRunner = set_up  # type: ignore[attr-defined]  # private
    result = unittest.TestResult()
    test.run(result)
    return result


@pytest.mark.parametrize("case", parameters())
def test_cpythons_own_tests_pass(case: Case) -> None:
    """asyncio.timeout, timeout_at, Timeout and wait_for can be replaced by ours: by CPython's own tests."""
    if case.test is None:
        missing(
            f"CPython {case.version}'s test package", f"pyenv install {case.version} (a Debian package has no tests)"
        )
    result = run_on(case.loop, case.test)
    problems = [trace for _, trace in (*result.failures, *result.errors)]
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
    assert result.testsRun == 1


def test_the_newest_files_are_whole() -> None:
    """No test of the newest version's is lost on the way: 34 of timeouts and 19 of wait_for, on each loop."""
    found = cpython.directory(cpython.NEWEST)
    if found is None:
        missing(f"CPython {cpython.NEWEST}'s test package", f"pyenv install {cpython.NEWEST}")
    counts = [len(cpython.cases(cpython.load(found / file))) for file in FILES]
    assert counts[0] >= 34
    assert counts[1] >= 19


@pytest.mark.slow  # CPython's own tests, on the real clock, in processes of their own
def test_the_other_asyncio_suites_pass_with_us_in_asyncio() -> None:
    """Tasks, groups, locks, queues, runners, streams and futures do not notice whose timeouts they are given."""
    if cpython.directory(cpython.RUNNING) is None:
        missing(f"CPython {cpython.RUNNING}'s test package", f"pyenv install {cpython.RUNNING}")
    ran, failed = cpython.failing([*OTHER_SUITES], patched=True)
    if failed:  # perhaps of this machine's doing
        suites = sorted({name.split(".")[2] for name in failed})
        failed = sorted({*failed} - {*cpython.failing(suites, patched=False)[1]})
    assert (failed, ran > 1000) == ([], True)

"""Tries tests on mutants, each in a fork of a process that has imported the package and collected the tests.

The fork puts the mutant's code in the place of the function's, and runs the tests that come to the line, one after
another until one fails. First all tests run once with nothing changed: that says which come to which line. A mutant of
what runs as the module is imported is tried in a process of its own, by the module's tests alone.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any, NoReturn

import pytest

from .mutants import Mutant, mutants
from .reach import Line, Reach, functions, outermost, place
from .rewritten import rewrite
from .targets import ALSO, EACH, ENOUGH, FORKS, LEFT_OUT, LIKE, LONGEST, QUICK, RANDOM, TESTS, WITHOUT, of

PACKAGE = Path(__file__).parents[2] / "tracedtimeout"
ENVIRONMENT = {
    "TRACEDTIMEOUT_PROGRAMS": "60",
    "TRACEDTIMEOUT_SEEDS": "120",
    "TRACEDTIMEOUT_NO_EXTENSIONS": "1",
    "CI": "1",
    "PYTHONHASHSEED": "0",
}
"""The size of the random tests, no choice of their own, and the hot path in Python."""
OPTIONS = (
    "-x",
    "-q",
    "-s",
    "-p",
    "no:cacheprovider",
    "-W",
    "ignore:Module already imported:pytest.PytestAssertRewriteWarning",
    "-m",
    "not long and not server",
    "-k",
    WITHOUT,
    *(f"--ignore={each}" for each in LEFT_OUT),
)
SILENCE = 8.0
"""Seconds without a test that is over, after which a mutant is one that hangs."""
MEMORY = 3 << 30
"""Bytes of address space for who allocates without end."""


@dataclass
class Found:
    """Test by test, as it goes with nothing changed."""

    seconds: dict[str, float] = field(default_factory=dict)
    tests: dict[Line, list[str]] = field(default_factory=dict)
    failed: str = ""


def file_of(module: str) -> Path:
    """The file of a module of the core, by its name there: ``_lanes``, ``figures._series``."""
    return (PACKAGE / "_core" / Path(*module.split("."))).with_suffix(".py")


def source_of(module: str) -> str:
    return file_of(module).read_text()


def mutants_of(module: str) -> list[Mutant]:
    return mutants(source_of(module))


def can_be_put_in(module: str, mutant: Mutant) -> bool:
    """True if a function's code can be replaced by the mutant's; one without `super()` has another closure."""
    return mutant.called and ("super()" not in mutant.was or bool(changed(module, mutant)))


def changed(module: str, mutant: Mutant) -> list[CodeType]:
    """The functions that the mutant has otherwise; none if it is of what runs at the import."""
    path = str(file_of(module))
    pairs = zip(outermost(compile(source_of(module), path, "exec")), outermost(mutant.code(path)), strict=False)
    return [now for was, now in pairs if was != now and was.co_freevars == now.co_freevars]


def try_all(
    chosen: dict[str, list[Mutant]], say: Callable[[str, Mutant, str], None], tests: Sequence[str] = TESTS
) -> str:
    """Try the mutants of these modules; tells of each which test failed, or nothing.

    Returns the test that fails with nothing changed, in which case no mutant is tried.
    """
    os.environ |= ENVIRONMENT
    for module, made in chosen.items():  # with nothing of the package imported in this process
        for mutant in made:
            if not can_be_put_in(module, mutant):
                say(module, mutant, _alone(module, mutant))
    return _in_a_fork(lambda tell: _session(chosen, tests, tell), lambda told: say(*_named(chosen, told)))


def _named(chosen: dict[str, list[Mutant]], told: Any) -> tuple[str, Mutant, str]:
    module, number, killer = told
    return module, chosen[module][number], killer


def _in_a_fork(do: Callable[[Callable[[Any], None]], str], hear: Callable[[Any], None], silence: float = 600.0) -> str:
    """What `do` returns in a child of this process, whose words are heard one by one as they come."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        _child(do, write)
    os.close(write)
    left, last = b"", "it hangs"
    while select.select([read], [], [], silence)[0]:
        if not (said := os.read(read, 65536)):
            break
        *lines, left = (left + said).split(b"\n")
        for line in lines:
            word = json.loads(line)
            if "end" in word:
                last = word["end"]
            else:
                hear(word["told"])
    else:
        last = "it hangs"
    os.close(read)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # who hangs, and what a test has left
    _, status = os.waitpid(child, 0)
    if last == "it hangs" and os.WIFEXITED(status):
        last = f"it ends with status {os.waitstatus_to_exitcode(status)}"
    return last


def _child(do: Callable[[Callable[[Any], None]], str], write: int) -> NoReturn:
    def tell(**word: Any) -> None:
        os.write(write, json.dumps(word).encode() + b"\n")

    try:
        with suppress(PermissionError):
            os.setsid()
        tell(end=do(lambda told: tell(told=told)))
    except BaseException as exc:
        tell(end=f"{exc!r}")
    finally:
        os._exit(0)


def _silent() -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _alone(module: str, mutant: Mutant) -> str:
    """The test of the module's own that fails with the mutant imported in the module's place, if one does."""

    def imported(tell: Callable[[Any], None]) -> str:
        _silent()
        rewrite({f"tracedtimeout._core.{module}": lambda _: mutant.source()})
        first = _First()
        status = pytest.main([*OPTIONS, *_tests_of(module)], plugins=[first])
        return first.failed or (f"status {int(status)}" if status else "")

    return _in_a_fork(imported, lambda _: None, silence=30.0)


def _tests_of(module: str) -> list[str]:
    files = dict.fromkeys([*_files_of(module), "test_timeout.py", "test_wait_for.py"])
    return [str(path) for path in map(Path("tests/core").joinpath, files) if path.exists()]


def _files_of(module: str) -> tuple[str, ...]:
    return (of(module), *ALSO.get(module, ()))


class _First:
    """The first test that failed, or module that could not be collected."""

    failed = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


def _session(chosen: dict[str, list[Mutant]], tests: Sequence[str], tell: Callable[[Any], None]) -> str:
    trial = _Trial(chosen, tell)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    status = pytest.main([*OPTIONS, *tests], plugins=[trial])
    return trial.failed or (f"status {int(status)}" if status else "")


class _Trial:
    """In the place of pytest's loop over the tests: one round with nothing changed, and then the mutants."""

    def __init__(self, chosen: dict[str, list[Mutant]], tell: Callable[[Any], None]) -> None:
        self._chosen = chosen
        self._tell = tell
        self.failed = ""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        whose = functions(str(PACKAGE / "_core"))
        items = {item.nodeid: item for item in session.items}
        found = Found()
        end = _in_a_fork(lambda tell: _control(session.items, whose, tell), lambda told: _note(found, told))
        self.failed = end or found.failed
        if self.failed:
            return True
        for module, made in self._chosen.items():
            for number, mutant in enumerate(made):
                if can_be_put_in(module, mutant):
                    now = changed(module, mutant)
                    tests = [items[name] for name in _asked(module, mutant, found, now)]
                    self._tell([module, number, _killer(tests, now, whose)])
        return True


def _control(items: list[pytest.Item], whose: dict[Any, list[FunctionType]], tell: Callable[[Any], None]) -> str:
    _silent()
    reach, first = Reach(whose), _listening(items)
    for item, following in _in_turn(items):
        reach.anew()
        began = time.monotonic()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        tell([item.nodeid, time.monotonic() - began, sorted(reach.lines)])
        if first.failed:
            return f"with nothing changed {first.failed} fails"
    return ""


def _note(found: Found, told: Any) -> None:
    name, seconds, lines = told
    found.seconds[name] = seconds
    for file, line in lines:
        found.tests.setdefault((file, line), []).append(name)


def _asked(module: str, mutant: Mutant, found: Found, now: list[CodeType]) -> list[str]:
    """The tests that come to the mutant's lines: the module's own, quick ones, and of others what time allows."""
    file = str(file_of(module))
    reached = {name for line in mutant.lines for name in found.tests.get((file, line), ())}
    if not reached:  # a line that is no step of its own
        reached = {name for code in now for name in found.tests.get((file, code.co_firstlineno + 1), ())}
    if not reached:  # in a child of a test's, from which nobody hears
        reached = {name for name in found.seconds if _file(name) in FORKS}

    own = _files_of(module)

    def order(name: str) -> tuple[int, float]:
        test, seconds = _file(name), found.seconds[name]
        return 0 if test in own else 1 if seconds < QUICK else 2 if test in RANDOM else 3, seconds

    taken, left, times = list[str](), ENOUGH, Counter[str]()
    for name in sorted(reached, key=order):
        rank, seconds = order(name)
        times[name.partition("[")[0]] += 1
        few = times[name.partition("[")[0]] <= LIKE or _file(name) in EACH
        if few and seconds < (3 * LONGEST if rank == 2 else LONGEST) and left > 0:
            taken.append(name)
            left -= seconds if rank > 1 else 0.0
    return taken


def _file(name: str) -> str:
    return name.partition("::")[0].rpartition("/")[2]


def _killer(tests: list[pytest.Item], now: list[CodeType], whose: dict[Any, list[FunctionType]]) -> str:
    """The first of the tests that fails, if one does."""

    def tried(tell: Callable[[Any], None]) -> str:
        _silent()
        for code in now:
            for function in whose[place(code)]:
                function.__code__ = code
        first = _listening(tests)
        for item, following in _in_turn(tests):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            tell(None)
            if first.failed:
                return first.failed
        return ""

    return _in_a_fork(tried, lambda _: None, silence=SILENCE)


def _listening(items: list[pytest.Item]) -> _First:
    first = _First()
    for item in items[:1]:
        item.config.pluginmanager.register(first)
    return first


def _in_turn(items: list[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    return zip_longest(items, items[1:])

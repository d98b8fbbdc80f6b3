"""CPython's own asyncio tests, read from the installed interpreters at run time and run against us.

``python -m tests.support.cpython [--patched] test_tasks ...`` runs whole suites of the running interpreter and
prints the tests that fail, one a line.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import asyncio.tasks
import asyncio.timeouts
import gc
import importlib.util
import io
import os
import shutil
import subprocess
import sys
import sysconfig
import types
import unittest
import warnings
from collections.abc import Iterator
from pathlib import Path

import tracedtimeout

RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
NEWEST = max(RUNNING, "3.13")
"""The newest version whose files run here: those of 3.14 and 3.15 hold the same tests, and ask asyncio for functions
that older Pythons lack."""

REPLACED = ("Timeout", "timeout", "timeout_at", "wait_for")


def directory(version: str) -> Path | None:
    """Where the interpreter of that version keeps its asyncio tests, or None if none is found.

    Looked for in ``CPYTHON_3_13_TESTS`` (a directory ``test_asyncio``), the running interpreter, pyenv and PATH.
    """
    return next((found for found in _candidates(version) if (found / "test_timeouts.py").is_file()), None)


def _candidates(version: str) -> Iterator[Path]:
    if named := os.environ.get(f"CPYTHON_{version.replace('.', '_')}_TESTS"):
        yield Path(named)
    if version == RUNNING:
        yield Path(sysconfig.get_paths()["stdlib"], "test", "test_asyncio")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for installed in sorted(pyenv.glob(f"versions/{version}*/lib/python{version}"), reverse=True):
        yield installed / "test" / "test_asyncio"
    if program := shutil.which(f"python{version}"):
        ask = "import sysconfig; print(sysconfig.get_paths()['stdlib'])"
        answer = subprocess.run([program, "-c", ask], capture_output=True, text=True, check=False)
        if answer.returncode == 0:
            yield Path(answer.stdout.strip(), "test", "test_asyncio")


def load(path: Path) -> types.ModuleType:
    """The test module in that file, with an `asyncio` of its own in which the timeouts are ours."""
    spec = importlib.util.spec_from_file_location(f"{path.stem}_of_{path.parts[-3]}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.asyncio = ours()  # type: ignore[attr-defined]  # the namespace of a test module
    return module


def ours() -> types.ModuleType:
    """A copy of the module `asyncio` whose timeouts are ours."""
    copy = _copy(asyncio)
    copy.timeouts = _copy(asyncio.timeouts)  # type: ignore[attr-defined]  # a copy of a module
    copy.tasks = _copy(asyncio.tasks)  # type: ignore[attr-defined]  # as above
    for module in (copy, copy.timeouts, copy.tasks):
        _replace(module)
    return copy


def newest_asyncio() -> types.SimpleNamespace | None:
    """The newest version's timeout, timeout_at and wait_for, to run on any Python; None if it is not installed."""
    found = directory(NEWEST)
    if found is None:
        return None
    library = found.parents[1] / "asyncio"
    timeouts = types.ModuleType("asyncio.timeouts")
    timeouts.__package__ = "asyncio"
    exec(compile((library / "timeouts.py").read_text(), "timeouts.py", "exec"), timeouts.__dict__)  # noqa: S102
    gc.collect()  # tasks that nobody asked are told of, with a traceback: amidst parsing, 3.11 fails (gh-106905)
    tree = ast.parse((library / "tasks.py").read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.AsyncFunctionDef) and node.name == "wait_for"]
    tasks = {**vars(asyncio.tasks), "timeouts": timeouts}
    exec(compile(tree, "tasks.py", "exec"), tasks)  # noqa: S102  # CPython's own code, as above
    return types.SimpleNamespace(timeout=timeouts.timeout, timeout_at=timeouts.timeout_at, wait_for=tasks["wait_for"])


def patch() -> None:
    """Replace the timeouts of the process's asyncio by ours, for good."""
    for module in (asyncio, asyncio.timeouts, asyncio.tasks):
        _replace(module)


def _copy(module: types.ModuleType) -> types.ModuleType:
    copy = types.ModuleType(module.__name__)
    copy.__dict__.update(module.__dict__)
    return copy


def _replace(module: types.ModuleType) -> None:
    for name in REPLACED:
        if hasattr(module, name):
            setattr(module, name, getattr(tracedtimeout, name))


def cases(module: types.ModuleType) -> list[unittest.TestCase]:
    """Every test of a module, one by one."""

    def flat(suite: unittest.TestSuite | unittest.TestCase) -> Iterator[unittest.TestCase]:
        if isinstance(suite, unittest.TestCase):
            yield suite
        else:
            for each in suite:
                yield from flat(each)

    return list(flat(unittest.defaultTestLoader.loadTestsFromModule(module)))


def failing(suites: list[str], *, patched: bool) -> tuple[int, list[str]]:
    """How many tests of the running interpreter's suites ran, and which failed, each in a process of its own.

    Raises RuntimeError if a suite does not end as a suite does.
    """
    command = [sys.executable, "-m", __name__, *(["--patched"] if patched else [])]
    root = Path(__file__).parents[2]
    running = [
        subprocess.Popen([*command, suite], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root)
        for suite in suites
    ]
    ran, failed = 0, []
    for suite, process in zip(suites, running, strict=True):
        out, err = process.communicate(timeout=400)
        *lines, last = out.splitlines() or [""]
        if process.returncode != 0 or not last.startswith("ran "):
            raise RuntimeError(f"{suite} broke off:\n{err[-3000:]}")
        ran += int(last.removeprefix("ran "))
        failed += lines
    return ran, failed


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patched", action="store_true")
    parser.add_argument("suites", nargs="+")
    options = parser.parse_args(arguments)
    if options.patched:
        patch()
    warnings.simplefilter("ignore")  # CPython's tests warn on purpose
    names = [f"test.test_asyncio.{name}" for name in options.suites]
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    result = unittest.TextTestRunner(stream=io.StringIO(), verbosity=0).run(suite)
    for case, trace in [*result.failures, *result.errors]:
        print(case.id())  # noqa: T201  # the answer
        print(trace, file=sys.stderr)  # noqa: T201  # for whoever looks
    print("ran", result.testsRun)  # noqa: T201  # as above


if __name__ == "__main__":
    main(sys.argv[1:])

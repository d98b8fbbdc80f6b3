"""The pytest plugin, in projects of its users: each is written to a folder of its own, and tested there by pytest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.imports import PACKAGE
from tests.support.pages import blocks

pytestmark = pytest.mark.slow  # pytest runs in processes of its own: what it loads as it starts is the subject

PLUGIN = "_tracedtimeout_pytestplugin"

FILES = {block.title.removesuffix(".py"): block.code for block in blocks("docs/testing.md") if block.title}
"""The project of the page about testing: an application, and its tests with pytest-asyncio."""

ANYIO = """
    import pytest


    @pytest.fixture
    def anyio_backend():
        return "asyncio"
"""

INI = r"""
[pytest]
addopts = --strict-markers -ra
filterwarnings =
    error
    ignore:.*asyncio_default_fixture_loop_scope. is unset
"""

Project = Callable[..., str]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Runs pytest on the files given by name, with the plugin; returns what it says."""

    def run(*arguments: str, plugin: bool = True, **files: str) -> str:
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        (tmp_path / "pytest.ini").write_text(INI)
        named = ["-p", PLUGIN] if plugin else []  # by its module, in place of its entry point: installed it need not be
        command = [sys.executable, "-m", "pytest", "-p", "no:tracedtimeout", *named, "-p", "no:cacheprovider"]
        ended = subprocess.run(
            [*command, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return ended.stdout + ended.stderr

    return run


def outcomes(said: str) -> str:
    """The last line of pytest's, without the seconds."""
    return re.sub(r" in [\d.]+s.*", "", said.splitlines()[-1].strip("= ")) if said else ""


@pytest.mark.parametrize("plugin", ["asyncio", "anyio"])
def test_a_project_tests_its_own_timeouts(project: Project, plugin: str) -> None:
    """In virtual time, with aiosqlite and a FastAPI `def` endpoint, on pytest-asyncio and on the plugin of anyio."""
    tests = FILES["test_shop"].replace("pytest.mark.asyncio", f"pytest.mark.{plugin}")
    said = project(shop=FILES["shop"], conftest=ANYIO, test_shop=tests)
    assert outcomes(said) == "5 passed", said


def test_an_expiry_on_demand_ends_with_its_test(project: Project) -> None:
    """What one test has expire, the next one finds at work."""
    said = project(
        test_it="""
            import asyncio
            import pytest
            from tracedtimeout import timeout
            from tracedtimeout.testing import expire

            async def work():
                async with timeout(1, name="work"):
                    await asyncio.sleep(0)

            def test_expiring():
                expire("work")
                with pytest.raises(TimeoutError):
                    asyncio.run(work())

            def test_working():
                asyncio.run(work())
        """,
    )
    assert outcomes(said) == "2 passed", said


def test_nothing_is_imported_before_a_test_asks(project: Project) -> None:
    """The plugin loads nothing of the package, and none of the plugins for asyncio."""
    said = project(
        "-p", "no:asyncio", "-p", "no:anyio",
        test_it="""
            import sys

            def test_it():
                assert "_tracedtimeout_pytestplugin" in sys.modules
                assert [name for name in sys.modules if name.split(".")[0] == "tracedtimeout"] == []
        """,
    )  # fmt: skip
    assert outcomes(said) == "1 passed", said


def test_it_is_an_entry_point_of_pytest() -> None:
    """Whoever installs the package has it, under the name that `-p no:tracedtimeout` leaves out."""
    assert f'[project.entry-points.pytest11]\ntracedtimeout = "{PLUGIN}"\n' in (
        (PACKAGE.parent / "pyproject.toml").read_text()
    )


def test_virtual_time_needs_no_plugin(project: Project) -> None:
    """`asyncio.run` in a test that is marked is virtual, in one that is not it is real."""
    said = project(
        "-p", "no:asyncio", "-p", "no:anyio",
        test_it="""
            import asyncio
            import unittest
            import pytest

            async def clock():
                return type(asyncio.get_running_loop()).__name__

            @pytest.mark.virtual_time
            def test_marked():
                assert asyncio.run(clock()) == "VirtualClockLoop"

            def test_unmarked():
                assert asyncio.run(clock()) != "VirtualClockLoop"

            @pytest.mark.virtual_time
            class Tests(unittest.IsolatedAsyncioTestCase):
                async def test_it(self):
                    assert await clock() == "VirtualClockLoop"
        """,
    )  # fmt: skip
    assert outcomes(said) == "3 passed", said


def test_the_test_client_keeps_virtual_time(project: Project) -> None:
    """Starlette's TestClient runs the application in a thread of its own: on a virtual clock, plain endpoints too."""
    said = project(
        "-p", "no:asyncio", "-p", "no:anyio",
        test_it="""
            import asyncio
            import threading
            import time
            import pytest
            from starlette.applications import Starlette
            from starlette.responses import PlainTextResponse
            from starlette.routing import Route
            from starlette.testclient import TestClient
            from tracedtimeout import timeout

            async def slow(request):
                try:
                    async with timeout(60, name="slow"):
                        await asyncio.sleep(3600)
                except TimeoutError:
                    return PlainTextResponse("gave up")

            def plain(request):
                time.sleep(0.02)
                return PlainTextResponse("done")

            app = Starlette(routes=[Route("/slow", slow), Route("/plain", plain)])

            @pytest.fixture
            def client():
                with TestClient(app) as client:
                    yield client

            @pytest.mark.virtual_time
            def test_in_a_fixture(client, timeouts):
                assert client.get("/slow").text == "gave up"
                assert client.get("/plain").text == "done"
                assert [closed.elapsed for closed in timeouts.closed()] == [60.0]

            @pytest.mark.virtual_time
            def test_for_each_request(timeouts):
                assert TestClient(app).get("/slow").text == "gave up"
                assert timeouts.outcomes() == ["expired"]

            @pytest.fixture(scope="module")
            def before():
                begin, loops = threading.Event(), []

                async def clock():
                    loops.append(type(asyncio.get_running_loop()).__name__)

                def run():
                    begin.wait()
                    asyncio.run(clock())

                thread = threading.Thread(target=run)
                thread.start()
                return begin, thread, loops

            @pytest.mark.virtual_time
            def test_threads_of_others_are_left_alone(before):
                begin, thread, loops = before
                asyncio.run(asyncio.sleep(60))
                begin.set()
                thread.join()
                assert loops == ["_UnixSelectorEventLoop"]
        """,
    )  # fmt: skip
    assert outcomes(said) == "3 passed", said


def test_a_mark_without_effect_is_an_error(project: Project) -> None:
    """A test that is marked, and runs on a loop that it shares with others or on none, fails, and says what to do."""
    said = project(
        test_it="""
            import pytest

            @pytest.mark.virtual_time
            def test_none():
                pass

            @pytest.mark.asyncio(loop_scope="module")
            @pytest.mark.virtual_time
            async def test_shared():
                pass

            @pytest.mark.virtual_time(thread=False)
            def test_misspelt():
                pass
        """,
    )
    assert outcomes(said) == "2 failed, 1 error", said
    assert said.count("virtual_time had no effect: this test made no event loop by asyncio.run() or Runner.") >= 2
    assert "virtual_time takes threads=False and nothing else" in said


def test_loops_that_a_project_chose_give_way(project: Project) -> None:
    """A marked test has a virtual loop where pytest-asyncio's hook gives others; the others have those."""
    said = project(
        conftest="""
            import asyncio

            class Ours(asyncio.SelectorEventLoop):
                pass

            def pytest_asyncio_loop_factories(config, item):
                return {"ours": Ours}
        """,
        test_it="""
            import asyncio
            import pytest

            @pytest.mark.asyncio
            @pytest.mark.virtual_time
            async def test_marked():
                assert type(asyncio.get_running_loop()).__name__ == "VirtualClockLoop"

            @pytest.mark.asyncio
            async def test_unmarked():
                assert type(asyncio.get_running_loop()).__name__ == "Ours"
        """,
    )
    assert outcomes(said) == "2 passed", said


def test_virtual_time_that_waits_for_no_thread(project: Project) -> None:
    """With `threads=False` the clock jumps past work in a thread."""
    said = project(
        test_it="""
            import asyncio
            import threading
            import pytest
            from tracedtimeout import timeout

            @pytest.mark.asyncio
            @pytest.mark.virtual_time(threads=False)
            async def test_it():
                loop, seen = asyncio.get_running_loop(), threading.Event()

                def work():
                    while not seen.is_set():
                        pass

                try:
                    with pytest.raises(TimeoutError):
                        async with timeout(1):
                            await asyncio.to_thread(work)
                finally:
                    seen.set()
        """,
    )
    # asyncio's own wait: to_thread's future is cancelled, its thread goes on until the test says so.
    assert outcomes(said) == "1 passed", said


def test_without_telemetry_nobody_is_told(project: Project) -> None:
    """In a test marked `no_telemetry`, observers rest and `install` wires nothing; the next test has them again."""
    said = project(
        conftest="""
            import pytest
            from tracedtimeout import install

            seen = []
            install(observers=[seen.append], spans="off", registry=None)

            @pytest.fixture
            def told():
                seen.clear()
                return seen
        """,
        test_it="""
            import asyncio
            import pytest
            from tracedtimeout import install, timeout

            async def work():
                async with timeout(1, name="work"):
                    pass

            @pytest.mark.no_telemetry
            def test_off(told, timeouts):
                install(observers=[told.append], spans="off", registry=None)
                with pytest.raises(ValueError, match="spans must be"):
                    install(spans="on")
                asyncio.run(work())
                assert (told, timeouts.outcomes()) == ([], ["completed"])

            def test_on(told):
                asyncio.run(work())
                assert [each.name for each in told] == ["work"]
        """,
    )
    assert outcomes(said) == "2 passed", said

"""The pytest plugin: fixtures `timeouts` and `expire`, markers `virtual_time` and `no_telemetry`.

It stands beside the package: in it, pytest would import all of that as it starts, for everybody, before coverage
measures and before a conftest.py has set an environment variable. So nothing of ours is imported until a test asks.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tracedtimeout.testing import Timeouts, VirtualClockLoop, expire

__all__: list[str] = []

NewLoop = Callable[[], asyncio.AbstractEventLoop]

_NO_EFFECT = (
    "virtual_time had no effect: this test made no event loop by asyncio.run() or Runner. It needs one of its own: "
    'with pytest-asyncio 1.0 or later loop_scope="function"; with the anyio plugin no async fixture of a wider scope, '
    "and neither trio nor use_uvloop"
)


def pytest_configure(config: pytest.Config) -> None:
    for marker in (
        "virtual_time(threads=True): on a clock that jumps to the next timer; threads=False: also while threads work",
        "no_telemetry: no exporter, span or observer is told of timeouts, and install() wires nothing",
    ):
        config.addinivalue_line("markers", marker)


@pytest.fixture
def timeouts() -> Iterator[Timeouts]:
    """The timeouts that open and close in this test: `tracedtimeout.testing.Timeouts`."""
    from tracedtimeout.testing import recorded  # noqa: PLC0415  # not before a test asks

    with recorded() as seen:
        yield seen


@pytest.fixture(name="expire")
def _expire() -> type[expire]:
    """`expire("fetch")`: timeouts of that name fire at their next await. `tracedtimeout.testing.expire`."""
    from tracedtimeout.testing import expire  # noqa: PLC0415  # as above

    return expire


# Without telemetry

_blocks = pytest.StashKey[ExitStack]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_blocks] = ExitStack()
    if item.get_closest_marker("no_telemetry") is not None:
        from tracedtimeout.testing import no_telemetry  # noqa: PLC0415  # as above

        item.stash[_blocks].enter_context(no_telemetry())
    if (marker := item.get_closest_marker("virtual_time")) is not None:
        item.stash[_virtual] = _Virtual(**_arguments(marker))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    if (expiring := sys.modules.get("tracedtimeout.testing._expire")) is not None:
        expiring.end_all()
    item.stash[_blocks].close()


# In virtual time


class _Virtual:
    """The event loops of one test."""

    def __init__(self, *, threads: bool = True) -> None:
        self.threads = threads
        self.made = 0

    def loop(self) -> VirtualClockLoop:
        from tracedtimeout.testing import VirtualClockLoop  # noqa: PLC0415  # as above

        self.made += 1
        return VirtualClockLoop(threads=self.threads)


_virtual = pytest.StashKey[_Virtual]()
_real: NewLoop = asyncio.events.new_event_loop


@contextmanager
def _new_loops(make: NewLoop) -> Iterator[None]:
    """A block in which `make` makes the loops that `asyncio.Runner` would: all plugins use that.

    Those of this thread, and of threads that are begun in the block: Starlette's TestClient has one. Others have the
    loops of others.
    """
    before, others = asyncio.events.new_event_loop, {*threading.enumerate()} - {threading.current_thread()}
    asyncio.events.new_event_loop = lambda: before() if threading.current_thread() in others else make()
    try:
        yield
    finally:
        asyncio.events.new_event_loop = before


def _arguments(marker: pytest.Mark) -> Mapping[str, Any]:
    if marker.args or not set(marker.kwargs) <= {"threads"}:
        pytest.fail(f"virtual_time takes threads=False and nothing else, not {marker}", pytrace=False)
    return marker.kwargs


@pytest.hookimpl(hookwrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, None, None]:
    """A loop that a fixture of a test makes is virtual; one that other tests share is not."""
    item = getattr(request, "_pyfuncitem", None)
    virtual = None if item is None else item.stash.get(_virtual, None)
    if virtual is None:
        yield
        return
    with _new_loops(virtual.loop if fixturedef.scope == "function" else _real):
        yield


@pytest.hookimpl(hookwrapper=True, tryfirst=True, specname="pytest_runtest_call")
def pytest_call_in_virtual_time(item: pytest.Item) -> Generator[None, None, None]:
    virtual = item.stash.get(_virtual, None)
    if virtual is None:
        yield
        return
    with _new_loops(virtual.loop):
        yield


@pytest.hookimpl(trylast=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    virtual = item.stash.get(_virtual, None)
    if virtual is not None and not virtual.made:
        pytest.fail(_NO_EFFECT, pytrace=False)


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None, None, None]:
    """Loops of pytest-asyncio's hook give way, where there are any: it is asked as tests are collected."""
    plugins = metafunc.config.pluginmanager
    marker = metafunc.definition.get_closest_marker("virtual_time")
    hook = getattr(metafunc.definition.ihook, "pytest_asyncio_loop_factories", None)
    if marker is None or hook is None or not hook.get_hookimpls():
        yield
        return
    giving_way = _GivingWay()
    plugins.register(giving_way)
    try:
        yield
    finally:
        plugins.unregister(giving_way)


class _GivingWay:
    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_asyncio_loop_factories(self) -> Mapping[str, NewLoop]:
        return {"virtual": _new_loop}


def _new_loop() -> asyncio.AbstractEventLoop:
    return asyncio.events.new_event_loop()  # asked when the loop is made

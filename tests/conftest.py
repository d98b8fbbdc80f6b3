"""What all tests share: loops of every flavour, figures that start from zero, skips that CI does not accept."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeVar

import pytest

from tests.support import FLAVOURS, LoopFactory, available
from tracedtimeout import testing
from tracedtimeout._core import _observers, _series, _warn

T = TypeVar("T")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"loops(*flavours): run on these event loops, once on each: {', '.join(FLAVOURS)}. Default: plain"
    )


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, LoopFactory]:
    """The loops a test asks for with ``pytest.mark.loops``; what this Python cannot have is not run at all."""
    marker = item.get_closest_marker("loops")
    asked = marker.args if marker is not None else ("plain",)
    return {flavour: FLAVOURS[flavour] for flavour in asked if available(flavour)}


@pytest.fixture
def run() -> Callable[[Coroutine[Any, Any, T]], T]:
    """Runs a coroutine in virtual time."""
    return testing.run


@pytest.fixture(autouse=True)
def _from_zero() -> Iterator[None]:
    """Each test starts with no figures, no observers and no warnings given, and leaves none."""
    observers = _observers.installed
    _series.reset()
    _warn._warned.clear()
    yield
    _observers.remove(*(left for left in _observers.installed if left not in observers))
    _series.reset()


@pytest.fixture
def loop_time() -> Callable[[], float]:
    """The time on the running loop's clock."""
    return lambda: asyncio.get_running_loop().time()

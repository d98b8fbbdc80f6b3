"""All that is a timeout shows the same facts: ours, the one switched off, and asyncio's where it is watched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.support.telemetry import block
from tracedtimeout import DeadlineExceeded, Timeout, View, _disabled
from tracedtimeout.instrument._calls import Call
from tracedtimeout.instrument._watched import Watched
from tracedtimeout.testing import run

FACTS = sorted(name for name in vars(View) if not name.startswith("_"))

Made = Callable[[float | None], View]


def watched(when: float | None) -> View:
    return Watched(when, Call("t", "timeout_at", __name__.partition(".")[0]))


MAKES: dict[str, Made] = {
    "ours": lambda when: Timeout(when, name="t"),
    "switched off": lambda when: _disabled.Timeout(when, name="t"),
    "watched": watched,
}


class _All:
    """Watches everything, and tells nobody."""

    def name_of(self, caller: object) -> str:
        return "t"

    def observers(self) -> list[Any]:
        return []


@pytest.fixture(autouse=True)
def _watching(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tracedtimeout.instrument._calls.watcher", _All())


def facts(view: View) -> dict[str, object]:
    """Each fact that `view` shows, where it waited apart."""
    shown = {name: getattr(view, name) for name in FACTS if name != "where"}
    return {name: fact() if callable(fact) else fact for name, fact in shown.items()}


def of_each(make: Made, body: Callable[[], Coroutine[Any, Any, object]], when: float | None) -> list[dict[str, object]]:
    """The facts before entering, inside, at the end and a while later."""

    async def main() -> list[dict[str, object]]:
        view: Any = make(when)
        is_view = isinstance(view, View)
        assert is_view
        seen = [facts(view)]
        try:
            async with view:
                seen.append(facts(view))
                await body()
        except (TimeoutError, KeyError):
            pass
        seen.append(facts(view))
        await asyncio.sleep(0.25)
        return [*seen, facts(view)]

    return run(main())


async def fail() -> None:
    raise KeyError


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
@pytest.mark.parametrize("when", [1.0, None], ids=["a second", "no deadline"])
@pytest.mark.parametrize(
    "body",
    [lambda: asyncio.sleep(0.5), lambda: asyncio.sleep(9.0), lambda: block(1.5), fail],
    ids=["in time", "too long", "blocks", "fails"],
)
def test_each_shows_the_same(make: Made, when: float | None, body: Callable[[], Any]) -> None:
    """Not entered, open, ended and long ended, each of them shows what ours does, and nothing changes once it ended."""
    seen = of_each(make, body, when)
    assert seen == of_each(MAKES["ours"], body, when)
    assert seen[3] == seen[2]


def test_ours_raises_its_own() -> None:
    """What is switched off, or watched, raises what asyncio does."""

    async def main(make: Made) -> type:
        view: Any = make(1.0)
        with pytest.raises(TimeoutError) as raised:
            async with view:
                await asyncio.sleep(9.0)
        return type(raised.value)

    assert [run(main(make)) for make in MAKES.values()] == [DeadlineExceeded, TimeoutError, TimeoutError]

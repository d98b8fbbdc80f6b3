"""Scenes of `install()`, of its undoing, and of what reads settings again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.registry import CollectorRegistry

from tracedtimeout import Observer, install, timeout
from tracedtimeout._core import _limits, _observers
from tracedtimeout._core.figures import _process
from tracedtimeout._install import _installation
from tracedtimeout._shared import trust

from .stage import Stage
from .trial import Room


class Bare(Stage):
    """Nothing is installed but what the scene installs; afterwards that is all in place, or nothing of it."""

    def install(self) -> Callable[[], None]:
        self.registry = CollectorRegistry()
        return lambda: None

    def check(self) -> Iterator[str]:
        """What is half in place."""
        current = _installation._current
        if current is None:
            expected: tuple[object, ...] = ((), 200, trust.HEADERS, None, {})
        else:
            limits = dict(current.limits.seconds)
            expected = (current.observers, current.max_names, current.accept, current.maximum, limits)
        found = (_observers.installed, _process.max_names, trust.accept, trust.maximum, dict(_limits.configured))
        names = ("observers", "max_names", "accept", "maximum", "limits")
        for name, is_, to_be in zip(names, found, expected, strict=True):
            if is_ != to_be:
                yield f"half installed: {name}"
        registered = getattr(current and current.prometheus, "registry", None)
        for registry in (self.registry, *self.kept.values()):
            if bool(registry._names_to_collectors) != (registry is registered):
                yield "half installed: in a registry"
        if current is not None and current not in current.meters.askers:
            yield "half installed: meters"

    def close(self) -> Iterator[str]:
        yield from [*self.half, *self.check()]
        if _installation._current is not None:
            yield "it stays installed"
            _installation._current.undo()
        _observers.remove(*_observers.installed)
        yield from super().close()


def told_by(stage: Stage) -> Observer:
    return lambda view: stage.told.append(view.name)


async def used(stage: Stage, registry: CollectorRegistry) -> object:
    """What is seen of a timeout: by the observer, and in the registry."""
    stage.told.clear()
    async with timeout(5, name="limited") as view:
        await asyncio.sleep(0)
    shown = sorted({sample.name for family in registry.collect() for sample in family.samples})
    return view.limit, list(stage.told), len(shown) > 10


async def undone(undo: Callable[[], None]) -> None:
    """Undone, in a second attempt if the first is broken off."""
    try:
        undo()
    except BaseException:
        undo()
        raise


async def installing(stage: Stage) -> object:
    limits, observer = {"limited": 2.0}, told_by(stage)
    undo = install(
        registry=stage.registry, spans="late", observers=[observer], max_names=50, accept=(), maximum=5, limits=limits
    )
    try:
        shown = await used(stage, stage.registry)
    finally:
        await undone(undo)
    return shown, await used(stage, stage.registry)


async def replacing(stage: Stage) -> object:
    """The second takes the place of the first, whose undoing then does nothing. Broken off, it is as if there were none
    or nothing has changed."""
    other = stage.keep("other", CollectorRegistry)
    first = install(registry=stage.registry, spans="off", observers=[told_by(stage)], max_names=60)
    try:
        second = install(registry=other, spans="off", observers=[told_by(stage)], limits={"limited": 3.0}, max_names=70)
    except BaseException:
        stage.half += stage.check()
        await undone(first)
        if _installation._current is not None:  # nobody was given the means
            _installation._current.undo()
        raise
    first()
    try:
        shown = await used(stage, other), await used(stage, stage.registry)
    finally:
        await undone(second)
    return shown


async def again_in_the_same_registry(stage: Stage) -> object:
    shown = []
    try:
        for _ in range(2):
            install(registry=stage.registry, spans="off", observers=[told_by(stage)])
            shown.append(await used(stage, stage.registry))
    finally:
        if _installation._current is not None:
            await undone(_installation._current.undo)
    return shown


async def refused(stage: Stage) -> object:
    """Bad input, and a registry that has others' names: nothing has changed then."""
    seen = []
    wrong: dict[str, Any] = {"max_names": 0, "limits": {"limited": -1}, "spans": "never", "maximum": -1}
    for name, value in wrong.items():
        try:
            install(registry=stage.registry, **{name: value})
        except (ValueError, TypeError) as exc:
            seen.append(str(exc))
    return seen


FILES = (
    "_install/", "prometheus/__init__.py", "otlp/", "spans/", "_shared/", "_core/_observers.py", "_core/_limits.py",
    "_core/_delays.py",
)  # fmt: skip

INSTALLING = Room(FILES, (installing, replacing, again_in_the_same_registry, refused), stage=Bare, often="twice")

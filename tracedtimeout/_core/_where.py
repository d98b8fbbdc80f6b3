"""Places where tasks wait: the frames of their awaits, from a task's own coroutine to the innermost.

After an expiry that is where the cancellation hit, which the CancelledError's traceback tells when somebody asks. Only
a gather or a TaskGroup is looked through in the timer's callback, for the error does not pass through their children.
The public attributes ``cr_await``, ``gi_yieldfrom`` and ``ag_await`` lead from a coroutine to what it awaits. From a
future to the task behind it there is no public way: `_waited_for` looks at private ones with `getattr`, and without
them the walk just ends sooner.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import operator
import sysconfig
import types
from collections.abc import Iterable, Iterator
from itertools import repeat
from types import CodeType, CoroutineType, FrameType, FunctionType, TracebackType
from typing import Any, NamedTuple

from ._exceeded import Where
from ._tuples import importing

_DEEPEST = 200
"""Frames that are looked at: deeper is a recursion, and its first frames say as much."""

_STDLIB = tuple({sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["platstdlib"]})
_SITE = tuple({sysconfig.get_paths()["purelib"], sysconfig.get_paths()["platlib"]})
_OURS = tuple(f"{__package__.partition('.')[0]}.{room}." for room in ("_core", "instrument", "integrations"))


_WITH_FRAMES = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)


_OPAQUE = {"anext_awaitable", "async_generator_asend", "async_generator_athrow", "coroutine_wrapper"}
"""Builtin types, which have no public name."""


@importing
class Place(NamedTuple):
    """A frame, taken down before it goes."""

    module: str
    code: CodeType
    line: int

    def where(self) -> Where:
        return Where(self.module, self.line, self.code.co_name, self.code.co_filename)


_Gathering: Any = getattr(asyncio.tasks, "_GatheringFuture", None)
_GROUP = {id(each.__code__): each for each in vars(asyncio.TaskGroup).values() if isinstance(each, FunctionType)}
"""The functions of a TaskGroup, by the `id` of their code, which takes 2,600 instructions to hash."""


def through_children(task: asyncio.Task[Any]) -> list[Place] | None:
    """`places` where `task` waits in a gather or a TaskGroup, for the oldest of its children; else None, in 0.3 us."""
    waits_for = getattr(task, "_fut_waiter", None)
    if waits_for is None:  # or it is done: 3.12.1 dies of the get_coro() of some of these (gh-122332)
        return None
    if waits_for.__class__ is not _Gathering:
        step: Any = task.get_coro()
        if step.__class__ is not CoroutineType:
            return None
        for _ in _A_FEW:
            inner = step.cr_await
            if inner.__class__ is not CoroutineType:
                break
            step = inner
        else:
            step = _deep_inside(step)
            while (inner := step.cr_await).__class__ is CoroutineType:
                step = inner
        if id(step.cr_code) not in _GROUP:
            return None
    return places(task)


_FAR = 16
_A_FEW = range(_FAR)
_far_inside = operator.attrgetter(".".join(["cr_await"] * _FAR))


def _deep_inside(step: Any) -> Any:
    """A coroutine that `step` awaits, or `step`: as far inwards as may be, in strides (9 instructions a frame less)."""
    with contextlib.suppress(AttributeError):
        while (inner := _far_inside(step)).__class__ is CoroutineType:
            step = inner
    return step


def in_traceback(exc: BaseException | None, package: str | None) -> Where | None:
    """`innermost` of the frames that `exc` has passed through; with no `package`, by that of the outermost of them."""
    found = []
    step: TracebackType | None = None if exc is None else exc.__traceback__
    while step is not None:
        frame = step.tb_frame
        found.append(Place(str(frame.f_globals.get("__name__", "?")), frame.f_code, step.tb_lineno))
        step = step.tb_next
    return innermost(found, package)


def places(task: asyncio.Task[Any]) -> list[Place]:
    """The frames `task` is waiting in, outermost first, through the tasks that it waits for. Never raises."""
    found: list[Place] = []
    seen: set[int] = set()
    try:
        next_task: asyncio.Future[Any] | None = task
        while isinstance(next_task, asyncio.Task) and id(next_task) not in seen and len(found) < _DEEPEST:
            seen.add(id(next_task))
            if next_task.done():  # 3.12.1 dies of get_coro() of a task that ended as it was created (gh-122332)
                break
            frames = list(_frames(next_task.get_coro()))
            found += [_place(frame) for frame in frames]
            next_task = _waited_for(next_task, frames)
    except Exception:  # a foreign awaitable may raise anything when looked at; what was found stands
        return found
    return found


def innermost(found: Iterable[Place], package: str | None) -> Where | None:
    """The innermost place in the top-level `package`, else the innermost outside the standard library, else None.

    With None for `package`, the first place outside the standard library is in it.
    """
    outside = [place for place in found if not _is_library(place)]
    if package is None and outside:
        package = outside[0].module.partition(".")[0]
    inside = [place for place in outside if package and place.module.partition(".")[0] == package]
    return (inside or outside)[-1].where() if outside else None


_ours: dict[int, tuple[bool, CodeType]] = {}
_MOST = 10_000


def opener(frame: FrameType | None) -> Place | None:
    """The place of the code that awaits, from `frame` outwards past ourselves and the standard library."""
    while frame is not None:
        if not _is_of_library(frame):
            return _place(frame)
        frame = frame.f_back
    return None


def passed_opener(exc: BaseException, frame: FrameType) -> bool:
    """True if the first frame that `exc` has passed through tells what `opener` of `frame` would: it is that one."""
    passed = exc.__traceback__
    return passed is not None and passed.tb_frame is frame and not _is_of_library(frame)


def _is_of_library(frame: FrameType) -> bool:
    """True if `frame` runs the standard library's code, or ours."""
    code = frame.f_code
    known = _ours.get(id(code))  # by id: slow to hash; kept alive, so that its id stays its own
    if known is None:
        known = (_is_library(_place(frame)), code)
        if len(_ours) < _MOST:
            _ours[id(code)] = known
    return known[0]


def _frames(awaitable: object) -> Iterator[FrameType]:
    """The frames from `awaitable` inwards, as far as they can be seen."""
    for _ in range(_DEEPEST):
        frame = _frame_of(awaitable)
        if frame is not None:
            yield frame
        awaitable = _awaited_by(awaitable)
        if awaitable is None:
            return


def _frame_of(awaitable: object) -> FrameType | None:
    for attribute in ("cr_frame", "gi_frame", "ag_frame"):
        frame = getattr(awaitable, attribute, None)
        if isinstance(frame, FrameType):
            return frame
    return None


def _awaited_by(awaitable: object) -> object:
    for attribute in ("cr_await", "gi_yieldfrom", "ag_await"):
        inner = getattr(awaitable, attribute, None)
        if inner is not None:
            return inner
    return _behind(awaitable)


def _behind(step: object) -> object:
    """The coroutine or generator that an opaque step of it belongs to: asend(), anext(), ``coroutine.__await__()``.

    These have no attribute that tells, but the garbage collector knows what they refer to.
    """
    if type(step).__name__ not in _OPAQUE or type(step).__module__ != "builtins":
        return None
    inner = (it for it in gc.get_referents(step) if isinstance(it, _WITH_FRAMES) or type(it).__name__ in _OPAQUE)
    return next(inner, None)


def _waited_for(task: asyncio.Task[Any], frames: list[FrameType]) -> asyncio.Future[Any] | None:
    """The oldest unfinished task that `task` waits for: awaited, in a gather or in a TaskGroup; None if not told."""
    future = getattr(task, "_fut_waiter", None)
    if isinstance(future, asyncio.Task):
        return future
    while children := getattr(future, "_children", None):  # a gather's, in order; they may be gathers
        future = next((child for child in children if not child.done()), None)
        if isinstance(future, asyncio.Task):
            return future
    if not frames or not frames[-1].f_code.co_qualname.startswith("TaskGroup."):
        return None
    group = frames[-1].f_locals.get("self")
    if isinstance(group, asyncio.TaskGroup):
        return _oldest(getattr(group, "_tasks", ()))
    return None


def _oldest(tasks: Iterable[asyncio.Task[Any]]) -> asyncio.Task[Any] | None:
    """The first created of a set: told by the number in the default names, or because there is only one."""
    waiting = [task for task in tasks if not task.done()]
    if len(waiting) < 2:
        return waiting[0] if waiting else None
    names = [task.get_name() for task in waiting]
    if not all(map(str.startswith, names, repeat("Task-"))):
        return None
    try:
        numbers = [int(name[5:]) for name in names]
    except ValueError:
        return None
    return waiting[numbers.index(min(numbers))]


def _place(frame: FrameType) -> Place:
    return Place(str(frame.f_globals.get("__name__", "?")), frame.f_code, frame.f_lineno)


def _is_library(place: Place) -> bool:
    """True if the code is the standard library's or ours."""
    path = place.code.co_filename
    if place.module.startswith(_OURS):
        return True
    return (path.startswith(_STDLIB) and not path.startswith(_SITE)) or path.startswith("<frozen ")

"""Random programs, as Hypothesis draws them."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from . import statements as p
from .programs import Body, Program

Statement = st.SearchStrategy[Program]

# Few values, so that equal instants are common; one is a hair after another.
delays = st.sampled_from([1.0, 2.0, 3.0, 0.0, 4.0, 0.5, 2.0004, 6.0])
limits = st.sampled_from([1.0, 2.0, 3.0, 0.0, 0.5, 2.0004, -1.0, None])
levels = st.integers(0, 2)
starts = st.sampled_from([p.Spawn, p.Shield, p.Await])


def _bodies(statement: Statement) -> st.SearchStrategy[Body]:
    return st.lists(statement, min_size=1, max_size=3).map(tuple)


def _children(body: st.SearchStrategy[Body]) -> st.SearchStrategy[tuple[Body, ...]]:
    return st.lists(body, min_size=1, max_size=3).map(tuple)


_sleep: Statement = st.builds(p.Sleep, delays)

# Most of what happens to a timeout happens while its body sleeps.
_leaf: Statement = st.one_of(
    *[_sleep] * 9,
    st.builds(p.Raise, st.sampled_from(["ValueError", "TimeoutError", "CancelledError", "Cancelled"])),
    st.builds(p.Reschedule, levels, limits),
    st.builds(p.Reschedule, levels, limits),
    st.builds(p.Cancel, levels, limits),
    st.builds(p.Block, delays),
)


def _same_task(inner: Statement) -> list[Statement]:
    body = _bodies(inner)
    return [
        st.builds(p.Within, limits, body, st.booleans()),
        st.builds(p.Within, limits, body, st.booleans()),
        st.builds(_caught, st.builds(p.Within, limits, body), body),
        st.builds(_caught, st.builds(p.WaitFor, limits, body), body),
        st.builds(p.WaitFor, limits, body),
        st.builds(
            p.Try,
            body,
            st.sampled_from(["CancelledError", "TimeoutError", "Exception", "BaseException"]),
            body,
            st.sampled_from(["swallow", "raise", "replace"]),
            st.booleans(),
        ),
        st.builds(p.Finally, body, body),
    ]


def _broken_off(inner: Statement) -> list[Statement]:
    body = _bodies(inner)
    ends = st.sampled_from(["finish", "close", "drop", "drop"])
    return [
        *[st.builds(p.Iterate, limits, body, body, body, ends)] * 2,
        st.builds(_caught, st.builds(p.Iterate, limits, body, body, body, ends), body),
        st.builds(p.Step, st.lists(limits, min_size=1, max_size=3).map(tuple), body, st.booleans()),
    ]


def _forgotten(inner: Statement) -> list[Statement]:
    return [st.builds(p.Forget, limits), st.builds(p.Forget, limits), st.builds(p.Collect)]


def _awaited(inner: Statement) -> list[Statement]:
    body = _bodies(inner)
    return [
        st.builds(p.Group, _children(body), body),
        st.builds(p.Gather, _children(body), st.booleans()),
        st.builds(p.Await, body),
        st.builds(p.WaitFor, limits, body, st.just(True)),
    ]


def _unsupervised(inner: Statement) -> list[Statement]:
    body = _bodies(inner)
    return [
        st.builds(p.Spawn, body),
        st.builds(p.Shield, body),
        st.builds(p.Wait, _children(body)),
        st.builds(p.Gather, _children(body), st.booleans(), st.just(False)),
        st.builds(p.Detach, body),
        st.builds(p.Bare, delays, body),
        st.builds(_scene, limits, starts, limits, body, body),
        st.builds(_scene, limits, starts, limits, body, body),
        st.builds(_slow_scene, limits, starts, limits, limits, body),
        st.builds(_gather_scene, limits, limits, body),
    ]


def _caught(statement: Program, handler: Body) -> Program:
    """So that the program goes on after an expiry."""
    return p.Try((statement,), "TimeoutError", handler, "swallow")


def _scene(
    limit: float | None, start: type[p.Spawn | p.Shield | p.Await], childs: float | None, child: Body, body: Body
) -> Program:
    """A timeout with a task in it, which has one of its own that outlasts it; random programs seldom come to that."""
    lasting = _caught(p.Within(childs, (*child, p.Sleep(3.0), p.Sleep(8.0))), child)
    return _caught(p.Within(limit, (start((lasting,)), *body, p.Sleep(4.0))), body)


def _slow_scene(
    limit: float | None,
    start: type[p.Spawn | p.Shield | p.Await],
    childs: float | None,
    inner: float | None,
    cleanup: Body,
) -> Program:
    """The same, and its child may be cleaning up after an expiry of its own when it is to end with another."""
    slow = _caught(p.Within(inner, (p.Finally((p.Sleep(8.0),), (*cleanup, p.Sleep(4.0))),)), ())
    return _caught(p.Within(limit, (start((p.Within(childs, (slow, p.Sleep(8.0))),)), p.Sleep(4.0))), ())


def _gather_scene(limit: float | None, childs: float | None, cleanup: Body) -> Program:
    """A gather that is done with its first child while another is cleaning up."""
    slow = p.Within(childs, (p.Finally((p.Sleep(8.0),), (*cleanup, p.Sleep(4.0))),))
    return _caught(p.Within(limit, (p.Gather(((slow,), (p.Sleep(8.0),)), to_the_end=False),)), ())


def _programs(*compounds: Callable[[Statement], list[Statement]], depth: int = 3) -> st.SearchStrategy[Body]:
    statement = _leaf
    for _ in range(depth):
        statement = st.one_of(_leaf, _sleep, *(made for compound in compounds for made in compound(statement)))
    return _bodies(statement)


one_task = _programs(_same_task)
"""Programs of one task."""

broken_off = _programs(_same_task, _broken_off)
"""Programs of one task, with generators and coroutines that are not run to their end."""

forgotten = _programs(_same_task, _forgotten)
"""Programs of one task, which starts others that nobody holds, and collects."""

structured = _programs(_same_task, _awaited)
"""Programs whose child tasks are awaited by their creator."""

unsupervised = _programs(_same_task, _awaited, _unsupervised)
"""Programs with tasks that may outlive what started them."""

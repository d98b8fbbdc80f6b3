"""Random programs, as Hypothesis draws them."""

from __future__ import annotations

from hypothesis import strategies as st

from . import programs as p

# Few values, so that equal instants are common; one is a hair after another.
delays = st.sampled_from([1.0, 2.0, 3.0, 0.0, 4.0, 0.5, 2.0004, -1.0, 6.0])
limits = st.one_of(delays, st.none())
levels = st.integers(0, 2)


def _bodies(statement: st.SearchStrategy[p.Program], most: int = 3) -> st.SearchStrategy[p.Body]:
    return st.lists(statement, max_size=most).map(tuple)


_leaves: st.SearchStrategy[p.Program] = st.one_of(
    st.builds(p.Sleep, delays.map(abs)),
    st.builds(p.Sleep, delays.map(abs)),
    st.builds(p.Raise, st.sampled_from(["ValueError", "TimeoutError", "CancelledError", "Cancelled"])),
    st.builds(p.Reschedule, levels, limits),
    st.builds(p.Cancel, levels, limits),
    st.builds(p.Block, delays.map(abs)),
)


def _same_task(inner: st.SearchStrategy[p.Program]) -> list[st.SearchStrategy[p.Program]]:
    body = _bodies(inner)
    return [
        st.builds(p.Within, limits, body, st.booleans()),
        st.builds(p.Within, limits, body, st.booleans()),
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


def _awaited(inner: st.SearchStrategy[p.Program]) -> list[st.SearchStrategy[p.Program]]:
    body = _bodies(inner)
    children = st.lists(body, min_size=1, max_size=3).map(tuple)
    return [
        st.builds(p.Group, children, body),
        st.builds(p.Gather, children, st.booleans()),
        st.builds(p.Await, body),
        st.builds(p.WaitFor, limits, body, st.just(True)),
    ]


def _unsupervised(inner: st.SearchStrategy[p.Program]) -> list[st.SearchStrategy[p.Program]]:
    body = _bodies(inner)
    children = st.lists(body, min_size=1, max_size=3).map(tuple)
    return [
        st.builds(p.Spawn, body),
        st.builds(p.Shield, body),
        st.builds(p.Wait, children),
        st.builds(p.Gather, children, st.booleans(), st.just(False)),
        st.builds(p.Detach, body),
        st.builds(p.Bare, delays, body),
    ]


one_task = _bodies(st.recursive(_leaves, lambda inner: st.one_of(_same_task(inner)), max_leaves=12), 4)
"""Programs of one task."""

structured = _bodies(
    st.recursive(_leaves, lambda inner: st.one_of(_same_task(inner) + _awaited(inner)), max_leaves=14), 4
)
"""Programs whose child tasks are awaited by their creator."""

unsupervised = _bodies(
    st.recursive(
        _leaves, lambda inner: st.one_of(_same_task(inner) + _awaited(inner) + _unsupervised(inner)), max_leaves=14
    ),
    4,
)
"""Programs with tasks that may outlive what started them."""

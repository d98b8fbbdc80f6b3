"""Which of the other threads work, and which wait in a queue or a lock: told by their frames.

A thread that is blocked in a function written in C has for its top frame the code that called it: the instruction where
that frame stands tells the function, and what it was called on. `dis` is imported when there is a thread to look at.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any, NamedTuple

from tracedtimeout._core._tuples import importing

WAITS = frozenset({"acquire", "get", "join", "wait", "__enter__", "_accept"})
"""Functions in which a thread waits for others."""

READS = frozenset({"read", "readinto", "readline", "recv", "recv_into", "recvfrom", "select", "poll", "control"})
"""Functions in which a thread waits for a file: that is work, but in `SERVERS`."""

SERVERS = frozenset({"serve_forever", "_run_once", "wait_result_broken_or_wakeup"})
"""Functions that wait for clients, timers or processes when they wait for a file."""

Place = tuple[CodeType, int]

_LIBRARY = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120  # a prefix of what code objects say


@importing
class Working(NamedTuple):
    """A thread that works, as its user knows it."""

    name: str
    frame: str
    """The innermost outside of the standard library."""

    def __str__(self) -> str:
        return f"thread {self.name!r}, which works at {self.frame}"


class Others:
    """The threads beside that of a loop, from the moment that the loop is made.

    Those that were there before and did not wait for a job are none of the loop's business, now and later: a
    debugger's, pytest-xdist's, the server of another test.
    """

    def __init__(self) -> None:
        self._before = {ident: (thread, _idle_at(frame)) for ident, thread, frame in _others()}
        """Each that was there before, and the place where it waited. Idents are used again, threads are not."""

    def settled(self) -> bool:
        """True if there are none but those from before, and they are where they were."""
        return all(
            before is not None and before == _idle_at(frame) and not _runs(thread)
            for before, _, thread, frame in self._ours(frozenset())
        )

    def working(self, jobs: frozenset[int]) -> Working | None:
        """A thread that works; None if all wait. `jobs` are idents of threads that the loop has given a job."""
        for _, ident, thread, frame in self._ours(jobs):
            if not _waits(frame, has_job=ident in jobs) or _runs(thread):
                own = next((each for each in _stack(frame) if not _is_standard(each.f_code.co_filename)), frame)
                name, code = str(ident) if thread is None else thread.name, own.f_code
                return Working(name, f"{code.co_filename}:{own.f_lineno} in {code.co_qualname}")
        return None

    def _ours(self, jobs: frozenset[int]) -> Iterator[tuple[Place | None, int, threading.Thread | None, FrameType]]:
        """The threads that may have work of the loop, with the places where they waited before the loop was made."""
        for ident, thread, frame in _others():
            known, idle = self._before.get(ident, (thread, None))
            if ident in jobs or ident not in self._before or known is not thread or idle is not None:
                yield idle if known is thread else None, ident, thread, frame


def _others() -> list[tuple[int, threading.Thread | None, FrameType]]:
    mine, threads = threading.get_ident(), {thread.ident: thread for thread in threading.enumerate()}
    return [(ident, threads.get(ident), frame) for ident, frame in sys._current_frames().items() if ident != mine]


def _idle_at(frame: FrameType) -> Place | None:
    """The place where a thread waits; None if it works."""
    return _place(frame) if _waits(frame, has_job=False) else None


def _waits(frame: FrameType, *, has_job: bool) -> bool:
    call = _call_at(*_place(frame))
    if call is not None and call.function in WAITS:
        # One that has a job, and yet waits in its pool for the next, has just been given it.
        return not (has_job and frame.f_code.co_name == "_worker") and _holds(call.receiver(frame))
    if has_job or call is None or call.function.lstrip("_") not in READS:
        return False
    return any(each.f_code.co_name in SERVERS for each in _stack(frame))


def _runs(thread: threading.Thread | None) -> bool:
    """True if Linux says that the thread runs, or would if it had a processor.

    One that was given its job stands where it waited for it, until it has a processor, and the interpreter's lock.
    """
    if thread is None or thread.native_id is None:
        return False
    try:
        with open(f"/proc/self/task/{thread.native_id}/stat", "rb") as file:  # noqa: PTH123  # pathlib takes 20 times as long
            return file.read().rpartition(b") ")[2].startswith(b"R")
    except OSError:  # another system, or the thread has ended
        return False


def _place(frame: FrameType) -> Place:
    return frame.f_code, frame.f_lasti


def _holds(waited_for: Any) -> bool:
    """True if what a thread waits for has not come yet; a thread takes a moment to notice."""
    kind = type(waited_for).__name__
    if kind == "SimpleQueue":
        return bool(waited_for.empty())
    if kind in ("lock", "RLock"):
        return not hasattr(waited_for, "locked") or bool(waited_for.locked())  # an RLock tells from 3.14 on
    # A dict has a `get` too, that waits for nobody. Of what cannot be found the name must do.
    return waited_for is None or kind in ("_ThreadHandle", "socket", "Condition", "Event", "Thread")


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_standard(file: str) -> bool:
    return file.startswith("<frozen") or (file.startswith(_LIBRARY) and "site-packages" not in file)


@importing
class _Call(NamedTuple):
    """A call of a function: its name, and the names that lead to what it was called on."""

    function: str
    path: tuple[str, ...]

    def receiver(self, frame: FrameType) -> Any:
        """The object that the function was called on; None where that cannot be told."""
        if not self.path or not all(self.path):
            return None
        first, *rest = self.path
        found = frame.f_locals.get(first, frame.f_globals.get(first))
        for name in rest:
            try:
                found = object.__getattribute__(found, name)
            except Exception:
                return None
        return found


_NOTHING = ("CACHE", "COPY", "KW_NAMES", "NOP", "PRECALL", "PUSH_NULL", "SWAP", "LOAD_SPECIAL")
"""Instructions that stand between a call and what leads to it."""

_OF_OBJECTS = ("LOAD_ATTR", "LOAD_METHOD")
_OF_VARIABLES = ("LOAD_FAST", "LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF")
_LOADS = (*_OF_OBJECTS, *_OF_VARIABLES)

_calls: dict[Place, _Call | None] = {}


def _call_at(code: CodeType, at: int) -> _Call | None:
    """The call that the instruction at offset `at` makes; None if it makes none."""
    key = (code, at)
    if key not in _calls:
        import dis  # noqa: PLC0415  # see above

        _calls[key] = _read([each for each in dis.get_instructions(code) if each.offset <= at])
    return _calls[key]


def _read(instructions: list[Any]) -> _Call | None:
    """The call that the last of the instructions makes."""
    if not instructions or not instructions[-1].opname.startswith(("CALL", "PRECALL", "BEFORE_WITH")):
        return None
    call = instructions.pop()
    if call.opname == "BEFORE_WITH" or (instructions and instructions[-1].opname == "LOAD_SPECIAL"):  # 3.14
        return _Call("__enter__", tuple(_names(instructions)))
    begins = _start(call)
    while instructions and not (_start(instructions[-1]) == begins and instructions[-1].opname.startswith(_LOADS)):
        instructions.pop()  # arguments
    names = _names(instructions)
    return _Call(names[-1], tuple(names[:-1])) if names else None


def _names(instructions: list[Any]) -> list[str]:
    """The names of a variable and its attributes that the last of the instructions load; empty names where it is none.

    ``self.queue.get`` gives self, queue and get.
    """
    names: list[str] = []
    for each in reversed(instructions):
        if each.opname.startswith(_OF_OBJECTS):
            names.insert(0, each.argval)
        elif each.opname.startswith(_OF_VARIABLES):
            return [each.argval if isinstance(each.argval, str) else "", *names]
        elif each.opname not in _NOTHING:
            break
    return ["", *names] if names else []


def _start(instruction: Any) -> object:
    """Line and column where the expression of an instruction begins."""
    positions = instruction.positions
    return None if positions is None else (positions.lineno, positions.col_offset)

"""Who is told of timeouts, what they can see, and that they cannot do harm."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

import pytest

from tests.support import VIRTUAL
from tracedtimeout import DeadlineExceeded, Outcome, View, timeout, wait_for
from tracedtimeout._core import _observers
from tracedtimeout._core._loop import state_of
from tracedtimeout._core._view import message_of
from tracedtimeout._core.figures import _process

pytestmark = pytest.mark.loops(*VIRTUAL)


class Diary:
    """Writes down what it is told, in a list that several may share."""

    def __init__(self, told: list[str], name: str = "") -> None:
        self.told = told
        self.name = name

    def __call__(self, opened: View, /) -> Callable[[View], None]:
        self.told.append(f"{self.name}+{opened.name}")
        return self.closed

    def closed(self, timeout: View) -> None:
        self.told.append(f"{self.name}-{timeout.name} {timeout.outcome}")


class Deaf:
    """Wants to hear of no end."""

    def __call__(self, opened: View, /) -> None:
        return None


async def test_observers_are_told_in_order_and_of_the_end_in_reverse() -> None:
    """Observers hear of a timeout in the order they were added, and of its end the other way round."""
    told: list[str] = []
    _observers.add(Diary(told, "a"), Deaf(), Diary(told, "b"))
    async with timeout(1, name="t"):
        pass
    assert told == ["a+t", "b+t", "b-t completed", "a-t completed"]


async def test_nested_timeouts_are_told_as_they_nest() -> None:
    """The inner one opens last and closes first; a rejection opens and closes at once."""
    told: list[str] = []
    _observers.add(Diary(told))
    with suppress(TimeoutError):
        async with timeout(1, name="outer"):
            await wait_for(asyncio.sleep(0.5), 0.75, name="inner")
            async with timeout(9, name="refused", at_least=5):
                pytest.fail("its body ran")
    assert told == ["+outer", "+inner", "-inner completed", "+refused", "-refused rejected", "-outer failed"]


async def test_a_removed_observer_hears_no_more() -> None:
    """Of what is open it still hears the end; of what opens later, nothing."""
    told: list[str] = []
    diary = Diary(told)
    _observers.add(diary)
    async with timeout(1, name="first"):
        _observers.remove(diary)
        async with timeout(1, name="second"):
            pass
    assert told == ["+first", "-first completed"]


async def test_an_observer_added_later_hears_of_what_opens_later() -> None:
    """A timeout that was open before is not its business."""
    told: list[str] = []
    async with timeout(1, name="first"):
        _observers.add(Diary(told))
        async with timeout(1, name="second"):
            pass
    assert told == ["+second", "-second completed"]


async def test_a_closer_sees_how_it_ended() -> None:
    """On close, a timeout has its outcome, its figures and the exception that leaves it."""
    seen: list[tuple[object, ...]] = []

    def sees(opened: View) -> Callable[[View], None]:
        seen.append((opened.name, opened.kind, opened.limit, opened.requested, opened.source, opened.owner))
        return lambda t: seen.append((t.outcome, t.elapsed, t.overrun, t.reschedules, t.owner, t.error))

    _observers.add(sees)
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(2, name="t") as opened:
            opened.reschedule(asyncio.get_running_loop().time() + 1)
            await asyncio.sleep(9)
    assert seen == [
        ("t", "timeout", 2.0, 2.0, "own", "t"),
        (Outcome.EXPIRED, 1.0, 0.0, 1, "t", caught.value),
    ]
    assert opened.error is None  # or a traceback would be kept for as long as the timeout


class Raises:
    """Raises when a timeout opens, or when it closes."""

    def __init__(self, exc: BaseException, *, on_close: bool) -> None:
        self.exc = exc
        self.on_close = on_close

    def __call__(self, opened: View, /) -> Callable[[View], None]:
        if not self.on_close:
            raise self.exc
        return self.closed

    def closed(self, timeout: View) -> None:
        raise self.exc


@pytest.mark.parametrize("on_close", [False, True])
@pytest.mark.parametrize(
    "exc", [ValueError(), TimeoutError(), asyncio.CancelledError()], ids=lambda e: type(e).__name__
)
async def test_an_observer_that_raises_is_skipped_and_logged_once(
    exc: BaseException, on_close: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever an observer raises, the others are told, the program goes on, and one error is logged for it."""
    told: list[str] = []
    _observers.add(Raises(exc, on_close=on_close), Diary(told))
    for _ in range(3):
        async with timeout(1, name="t"):
            pass
    assert told == ["+t", "-t completed"] * 3
    assert [(r.levelno, r.name, r.exc_info[1] if r.exc_info else None) for r in caplog.records] == [
        (logging.ERROR, "tracedtimeout", exc)
    ]


async def test_an_observer_that_is_removed_may_complain_anew(caplog: pytest.LogCaptureFixture) -> None:
    """Once removed and added again, it is logged again."""
    raises = Raises(ValueError(), on_close=False)
    for _ in range(2):
        _observers.add(raises)
        async with timeout(1):
            pass
        _observers.remove(raises)
    assert len(caplog.records) == 2


@pytest.mark.parametrize("exc", [KeyboardInterrupt, SystemExit])
def test_ctrl_c_in_an_observer_is_the_users(exc: type[BaseException]) -> None:
    """KeyboardInterrupt and SystemExit go through: they are not the observer's fault."""
    with pytest.raises(exc):
        _observers._complain(Deaf(), exc())


class Unhurried:
    """Wants to hear of what does not go well."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def __call__(self, opened: View, /) -> _observers.Unhurried:
        return _observers.Unhurried(self.closed, opened.name)

    def closed(self, note: str, timeout: View) -> None:
        self.told.append(f"{note} {timeout.outcome} {timeout.elapsed} {timeout.error is not None}")


@pytest.mark.parametrize("others", [0, 1])
async def test_observers_in_no_hurry_hear_of_what_does_not_go_well(others: int) -> None:
    """A closer in no hurry is not called for what is left in time; alone or beside others it is for all else."""
    told: list[str] = []
    diaries = [Diary([]) for _ in range(others)]
    _observers.add(*diaries, Unhurried(told))
    async with timeout(1.0, name="in time"):
        await asyncio.sleep(0.5)
    async with timeout(1.0, name="outer"), timeout(0.5, name="nested"):
        pass
    with suppress(TimeoutError):
        async with timeout(1.0, name="expired"):
            await asyncio.sleep(2.0)
    with suppress(KeyError):
        async with timeout(1.0, name="failed"):
            raise KeyError
    with suppress(TimeoutError):
        async with timeout(1.0, name="around"), timeout(None, name="rejected", at_least=2.0):
            pytest.fail("not rejected")
    assert told == [
        "expired expired 1.0 True",
        "failed failed 0.0 True",
        "rejected rejected 0.0 True",
        "around failed 0.0 True",
    ]
    assert [len(diary.told) for diary in diaries] == [14] * others


@pytest.mark.parametrize("others", [0, 1])
async def test_an_observer_in_no_hurry_that_raises_is_logged_once(
    others: int, caplog: pytest.LogCaptureFixture
) -> None:
    """What a closer in no hurry raises goes no further, alone or beside others."""

    class Raising(Unhurried):
        def closed(self, note: str, timeout: View) -> None:
            raise ValueError(note)

    observer = Raising([])
    _observers.add(*(Diary([]) for _ in range(others)), observer)
    for _ in range(2):
        with suppress(KeyError):
            async with timeout(1.0, name="failed"):
                raise KeyError
    assert len([record for record in caplog.records if "was skipped" in record.message]) == 1


class Noted(_observers.Noting):
    """Wants to know what a variable was as a timeout opened."""

    def __init__(self, told: list[str]) -> None:
        super().__init__(self.closed, STAGE.get, str)
        self.told = told

    def __call__(self, opened: View, /) -> _observers.Unhurried:
        self.told.append(f"called for {opened.name}")
        return _observers.Unhurried(self.closed, f"as {STAGE.get()}")

    def closed(self, noted: str, ended: View) -> None:
        self.told.append(f"{noted} {ended.name} {ended.outcome}")


STAGE: ContextVar[object] = ContextVar("stage", default="early")


async def _opens_and_fails() -> None:
    async with timeout(1.0, name="in time"):
        pass
    with suppress(KeyError):
        async with timeout(1.0, name="failing"):
            raise KeyError


async def test_who_wants_one_value_alone_is_not_called_for_it() -> None:
    """The value of the entry comes with the end, if that is not in time."""
    told: list[str] = []
    _observers.add(Noted(told))
    await _opens_and_fails()
    assert told == ["early failing failed"]


@pytest.mark.parametrize("why", ["there is another", "its value is of another class", "it has none", "that raises"])
async def test_who_wants_one_value_is_called_where_that_cannot_be_had_alone(why: str) -> None:
    """As any other observer."""
    told: list[str] = []
    observer = Noted(told)
    others = [Deaf()] if why == "there is another" else []
    if why == "its value is of another class":
        observer.plain = bytes
    elif why == "it has none":
        observer.note = None
    elif why == "that raises":
        observer.note = ContextVar[str]("empty").get
    _observers.add(observer, *others)
    await _opens_and_fails()
    assert told == ["called for in time", "called for failing", "as early failing failed"]


async def test_what_is_counted_does_not_depend_on_who_watches() -> None:
    """The figures are the same whether nobody, somebody, or an observer in no hurry watches."""
    figures = []
    for observers in ([], [Diary([])], [Unhurried([])], [Diary([]), Unhurried([])]):
        _observers.add(*observers)
        _process.reset()
        for limit, seconds in ((1.0, 0.0), (1.0, 2**-8), (1.0, 0.5), (2.0, 2**-8), (1.0, 1.5)):
            with suppress(TimeoutError):
                async with timeout(limit, name="t"):
                    await asyncio.sleep(seconds)
        _observers.remove(*observers)
        figures.append(
            {
                (metric.name, labels): value if isinstance(value, int) else (value.counts, value.total)
                for metric, values in _process.snapshot().items()
                for labels, value in values.items()
            }
        )
    assert figures == [figures[0]] * 4


async def test_an_interrupt_while_observers_are_told_leaves_no_timer() -> None:
    """Ctrl-C in an observer leaves the timeout, which was never open to its user."""

    def interrupted(opened: View) -> None:
        raise KeyboardInterrupt

    _observers.add(interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            async with timeout(0.05, name="interrupted"):
                pytest.fail("its body ran")
    finally:
        _observers.remove(interrupted)
    assert state_of(asyncio.get_running_loop()).entries() == []


def test_observers_come_and_go_in_any_thread() -> None:
    """Threads that add and remove theirs at once lose none of each other's."""
    kept = [Deaf() for _ in range(3)]
    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(come_and_go, kept))
    finally:
        sys.setswitchinterval(switching)
    assert {id(observer) for observer in _observers.installed} >= {id(observer) for observer in kept}
    assert len(_observers.installed) == 3


def come_and_go(kept: Deaf) -> None:
    for _ in range(2000):
        gone = Deaf()
        _observers.add(gone)
        _observers.remove(gone)
    _observers.add(kept)


class Interrupting:
    """Told of an opening, it is interrupted."""

    def __call__(self, opened: View, /) -> Callable[[View], None]:
        raise KeyboardInterrupt


@pytest.mark.loops("virtual")
@pytest.mark.parametrize("others", [0, 1])
async def test_ctrl_c_in_an_observer_is_raised_and_those_told_before_hear_of_the_end(others: int) -> None:
    """An entry that was broken off so ends at once, and is no longer open."""
    told: list[str] = []
    _observers.add(*[Diary(told)] * others, Interrupting())
    t = timeout(1.0, name="t")
    with pytest.raises(KeyboardInterrupt):
        await t.__aenter__()
    assert told == ["+t", "-t failed"] * others
    assert (t.outcome, state_of(asyncio.get_running_loop()).entries()) == (Outcome.FAILED, [])


@pytest.mark.loops("virtual")
async def test_the_message_of_an_expiry_can_be_had_without_its_exception() -> None:
    """For telemetry: of one that ended with another error, or that is still open."""
    messages: list[str] = []

    def opened(view: View, /) -> Callable[[View], None]:
        messages.append(message_of(view))
        return lambda ended: messages.append(message_of(ended))

    _observers.add(opened)
    with suppress(ValueError):
        async with timeout(1.0, name="t"):
            await asyncio.sleep(0.5)
            raise ValueError
    with suppress(TimeoutError):
        async with timeout(1.0, name="t"):
            await asyncio.sleep(9.0)
    assert messages.pop().startswith("'t' exceeded its 1.000 s deadline after 1.000 s: waiting at ")
    assert messages.pop() == "'t' exceeded its 1.000 s deadline after 0.000 s"
    assert messages == [
        "'t' exceeded its 1.000 s deadline after 0.000 s",
        "'t' exceeded its 1.000 s deadline after 0.500 s",
    ]


@pytest.mark.loops("virtual")
@pytest.mark.parametrize("others", [0, 1])
async def test_who_is_in_no_hurry_is_told_of_what_did_not_end_in_time_alone(others: int) -> None:
    """As a span is made afterwards; beside others, who are told of all."""
    told: list[str] = []
    unhurried: list[str] = []

    def opened(view: View, /) -> _observers.Unhurried:
        return _observers.Unhurried(lambda ended: unhurried.append(f"{ended.name} {ended.outcome}"))

    _observers.add(*[Diary(told)] * others, opened)
    async with timeout(1.0, name="in time"):
        pass
    with suppress(ValueError):
        async with timeout(1.0, name="failing"):
            raise ValueError
    assert unhurried == ["failing failed"]
    assert told == ["+in time", "-in time completed", "+failing", "-failing failed"] * others


async def test_an_observer_whose_answer_raises_when_it_is_looked_at_hears_of_the_end() -> None:
    """What is raised is no observer's own: memory is short, say. The timeout was not entered."""
    ends: list[str | None] = []

    def raises(_: object) -> type:
        raise MemoryError

    def closed(_: object, ended: View, /) -> None:
        ends.append(ended.outcome)

    answer: Any = type("Answer", (), {"__call__": closed, "__class__": property(raises)})
    _observers.add(lambda opened: answer())
    with pytest.raises(MemoryError):
        async with timeout(1.0):
            pytest.fail("its body ran")
    assert ends == [Outcome.FAILED]


async def test_ctrl_c_as_a_failed_wait_for_is_told_of_is_raised() -> None:
    """Each observer is told once, and what failed is its context."""
    told: list[str | None] = []

    def interrupts(ended: View, /) -> None:
        told.append(ended.outcome)
        raise KeyboardInterrupt

    async def fails() -> None:
        raise ValueError

    _observers.add(lambda opened: interrupts)
    waiting = wait_for(fails(), 1.0)
    with pytest.raises(KeyboardInterrupt) as caught:
        waiting.send(None)
    assert isinstance(caught.value.__context__, ValueError)
    assert told == [Outcome.FAILED]


async def test_who_is_in_no_hurry_is_not_told_of_what_ended_in_time() -> None:
    """Whoever asks to have it told, and however many others there are."""
    told: list[object] = []
    closer = _observers.Unhurried(told.append)
    async with timeout(1.0) as ended:
        pass
    _observers.closed(ended, closer, in_time=True)
    _observers.closed(ended, [(None, closer)], in_time=True)
    assert told == []
    _observers.closed(ended, closer)
    assert told == [ended]


@pytest.mark.loops("virtual")
async def test_the_message_of_an_expiry_is_the_one_that_is_raised() -> None:
    """To the letter, where its exception is at hand; of one that passes through others each has its own words."""
    told: dict[str, str] = {}

    def opened(view: View, /) -> Callable[[View], None]:
        return lambda ended: told.__setitem__(ended.name, message_of(ended))

    _observers.add(opened)
    with pytest.raises(DeadlineExceeded) as caught:
        async with timeout(9.0, name="around"), timeout(1.0, name="expired"):
            try:
                await asyncio.sleep(50.0)
            finally:
                await asyncio.sleep(2.0)
    assert told["expired"] == str(caught.value)
    assert told["expired"].endswith("; 2.000 s to stop")
    assert told["around"].startswith("'around' exceeded its 9.000 s deadline after 3.000 s")


async def test_of_several_in_no_hurry_none_hears_of_what_goes_well() -> None:
    """Nor is one beside them told in another's place."""
    told: list[str] = []
    _observers.add(Diary(told), Unhurried(told), Unhurried(told))
    async with timeout(1.0, name="t"):
        pass
    assert told == ["+t", "-t completed"]


@pytest.mark.loops("virtual")
async def test_ctrl_c_as_an_observer_hears_of_the_end_keeps_it_from_no_other() -> None:
    """It is raised when all have been told."""

    class InterruptedAtTheEnd:
        def __call__(self, opened: View, /) -> Callable[[View], None]:
            return self.closed

        def closed(self, timeout: View) -> None:
            raise KeyboardInterrupt

    told: list[str] = []
    _observers.add(Diary(told), InterruptedAtTheEnd())
    t = timeout(1.0, name="t")
    await t.__aenter__()
    with pytest.raises(KeyboardInterrupt):
        await t.__aexit__(None, None, None)
    assert told == ["+t", "-t completed"]


def test_who_is_told_of_the_end_of_something_else_is_told_though_ctrl_c_comes() -> None:
    """Of what is no timeout of ours, where nobody tells again."""

    def interrupted(view: View) -> None:
        raise KeyboardInterrupt

    told: list[View] = []
    ended: Any = object()
    with pytest.raises(KeyboardInterrupt):
        _observers.closed(ended, [(None, told.append), (None, interrupted)])
    assert told == [ended]

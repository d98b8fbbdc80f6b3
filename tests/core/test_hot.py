"""One hot path runs; where it is the compiled one, its timeouts are what those of the Python are."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import subprocess
import sys
import weakref
from contextvars import copy_context
from random import Random
from types import FrameType
from typing import Any

import pytest

from tracedtimeout import Timeout, View
from tracedtimeout._core import _context, _entering, _hot, _hot_py, _observers
from tracedtimeout._core._loop import state_of
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout._core.figures._table import Histogram
from tracedtimeout.testing import run

TWINS: dict[str, Any] = {"python": _hot_py}
if _hot.compiled is not None:
    TWINS["c"] = _hot.compiled
DELAYS = (0.0, 0.5, 1.0, 2.0, 2.0, 2.0, 5, None)
COUNTED = (
    _metrics.DURATION,
    _metrics.UTILIZATION,
    _metrics.LIMIT,
    _metrics.EXPIRATIONS,
    _metrics.INTERRUPTIONS,
    _metrics.ACTIVE,
)
Facts = list[tuple[object, ...]]


@pytest.mark.parametrize(("variable", "implementations"), [("1", {"python"}), ("0", {_hot.IMPLEMENTATION})])
def test_the_variable_chooses(variable: str, implementations: set[str]) -> None:
    """`TRACEDTIMEOUT_NO_EXTENSIONS=1` has the Python run; with 0 what is there runs."""
    if variable == "0" and _hot.IMPLEMENTATION == "python":
        implementations = {"python", "c"}  # this very run may have been told to take the Python
    code = "from tracedtimeout._core import _hot; print(_hot.IMPLEMENTATION)"
    environment = os.environ | {"TRACEDTIMEOUT_NO_EXTENSIONS": variable}
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.strip() in implementations


STANDS_IN = """
import sys, types

class Built(types.ModuleType):
    def __getattr__(self, name):
        return bound.append if name == "bind" else getattr(sys.modules["tracedtimeout._core._hot_py"], name)

bound = []
sys.modules["tracedtimeout._core._hot_c"] = Built("_hot_c")
import tracedtimeout
from tracedtimeout._core import _hot
print(_hot.IMPLEMENTATION, bound == [tracedtimeout.Timeout])
"""


def test_one_that_was_built_is_taken_and_told_of_the_class() -> None:
    """The Python stands in for it, where none was built: what is looked at is the choice."""
    environment = os.environ | {"TRACEDTIMEOUT_NO_EXTENSIONS": "0"}
    command = [sys.executable, "-c", STANDS_IN]
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["c", "True"]


def test_a_subclass_is_entered_and_left() -> None:
    """A class derived from `Timeout` is one."""

    class Mine(Timeout):  # type: ignore[misc]  # final for typing only
        pass

    async def main() -> None:
        async with Mine(asyncio.get_running_loop().time() + 1.0, name="mine") as t:
            assert not t.expired()
        assert t.outcome == "completed"

    run(main())


def test_an_entry_is_made_at_its_await() -> None:
    """The call of `__aenter__` enters nothing; its awaitable is a coroutine to asyncio, and is awaited once."""

    async def main() -> None:
        t = Timeout(None, name="t")
        entry = t.__aenter__()
        assert asyncio.iscoroutine(entry)
        assert repr(t) == "<Timeout [created]>"
        assert await entry is t
        with pytest.raises(RuntimeError, match="cannot reuse"):
            await entry
        await t.__aexit__(None, None, None)

    run(main())


def test_a_method_once_bound_may_be_called_again() -> None:
    """Each call of a bound `__aenter__` or `__aexit__` is an attempt of its own; the method itself is not awaited."""

    async def main() -> None:
        t = Timeout(None, name="t")
        entering, leaving = t.__aenter__, t.__aexit__
        with pytest.raises(TypeError, match="await"):
            await entering  # type: ignore[misc]  # that is the point
        assert await entering() is t
        with pytest.raises(RuntimeError, match="already been entered"):
            await entering()
        with pytest.raises(TypeError):
            leaving()  # type: ignore[call-arg, unused-coroutine]  # as above
        assert await leaving(None, None, None) is None  # type: ignore[func-returns-value]  # as above
        with pytest.raises(AssertionError):
            await leaving(None, None, None)
        assert t.outcome == "completed"

    run(main())


@pytest.mark.parametrize("given", [(1.0, {"name": "n"}), (1.0, {}), (None, {"name": "n"}), (1.0, {"reserve": 0.1})])
@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_who_is_not_entered_answers_alike_in_whatever_way_he_was_made(twin: Any, given: Any) -> None:
    """The first of its name is made at leisure, the next one is not: every public name is that of the first, and the
    exit is the error that it is of asyncio's."""
    delay, options = given

    def asked(made: Any, name: str) -> object:
        try:
            answer = getattr(made, name)
            return answer(*[None][: name == "reschedule"]) if callable(answer) else answer
        except Exception as exc:
            return type(exc), str(exc)

    async def answers(made: Any) -> dict[str, object]:
        told = {name: asked(made, name) for name in dir(made) if not name.startswith("_")}
        told["repr"] = repr(made)
        for error in (None, ValueError("within"), asyncio.CancelledError()):
            with pytest.raises(AssertionError, match=r"^a Timeout that is created cannot be left$"):
                await made.__aexit__(None if error is None else type(error), error, None)
        async with made as entered:
            return told | {"again": repr(made), "entered": entered is made}

    async def main() -> None:
        first, another = [twin.timeout(delay, **options) for _ in range(2)]
        assert await answers(first) == await answers(another)

    run(main())


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_what_clearing_up_raises_has_what_broke_off_for_context(twin: Any) -> None:
    """An observer breaks the entry off, and another one, told so, raises in turn: the later one comes out."""

    def goes(timeout: View) -> Any:
        def closes(timeout: View) -> None:
            raise SystemExit

        return closes

    def breaks_off(timeout: View) -> Any:
        raise KeyboardInterrupt

    async def main() -> BaseException | None:
        twin.leave(twin.enter(1.0, "t", "timeout"))  # the first time, its name is new
        _observers.add(goes, breaks_off)
        try:
            twin.enter(1.0, "t", "timeout")
        except SystemExit as exc:
            return exc.__context__
        finally:
            _observers.remove(goes, breaks_off)
        return None

    assert isinstance(run(main()), KeyboardInterrupt)


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_what_broke_off_and_is_raised_again_as_that_is_cleared_up_is_kept_by_nobody(twin: Any) -> None:
    """One observer breaks the entry off, and another one, told so, raises that very exception."""

    class Interrupt(KeyboardInterrupt):
        pass

    def goes(timeout: View) -> Any:
        return breaks_off

    def breaks_off(timeout: View) -> Any:
        raise interrupts[0]

    async def main() -> object:
        twin.leave(twin.enter(1.0, "t", "timeout"))  # the first time, its name is new
        _observers.add(goes, breaks_off)
        try:
            twin.enter(1.0, "t", "timeout")
        except Interrupt:
            pass
        finally:
            _observers.remove(goes, breaks_off)
        kept = weakref.ref(interrupts.pop())
        gc.collect()
        return kept()

    interrupts = [Interrupt()]
    assert run(main()) is None


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_a_count_that_was_read_stays_as_it_was(twin: Any) -> None:
    """Whoever has a number of a series keeps that number; the series goes on counting, past what Python has cached."""

    async def main() -> None:
        def turns(count: int) -> None:
            for _ in range(count):
                twin.leave(twin.enter(5.0, "t", "timeout"))

        turns(2000)
        series = state_of(asyncio.get_running_loop()).series["timeout"]["t"][5.0]
        before = series.entered, series.quick, series.seconds
        assert before == (2000, 2000, 0.0)
        turns(2000)
        assert before == (2000, 2000, 0.0)
        assert (series.entered, series.quick) == (4000, 4000)

    run(main())


def test_a_timeout_ends_as_any_object() -> None:
    """Weak references to it are told, its attributes go with it, and a subclass's `__del__` runs once."""
    told: list[object] = []

    class Mine(Timeout):  # type: ignore[misc]  # final for typing only
        def __del__(self) -> None:
            told.append("__del__")

    class Held:
        pass

    async def main() -> None:
        for cls in (Timeout, Mine):
            t: Any = cls(None, name="t")
            t.held = Held()
            references = [weakref.ref(t, told.append), weakref.ref(t.held, told.append)]
            async with t:
                pass
            _context.current.set(None)
            del t
            assert [reference() for reference in references] == [None, None]
            assert [each for each in references if each not in told] == []
        assert told.count("__del__") == 1

    run(main())


def test_a_chain_of_any_length_ends_without_a_stack() -> None:
    """Timeouts that were nested, and lead from one to the next, go all at once."""

    async def main() -> None:
        nested = [_hot.enter(None, "t", "timeout") for _ in range(20_000)]
        while nested:
            _hot.leave(nested.pop())
        _context.current.set(None)

    run(main())


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_what_is_thrown_into_an_entry_enters_nothing(twin: Any) -> None:
    """It comes back out, and the entry cannot be awaited any more."""

    async def main() -> None:
        t = twin.timeout(1.0, name="t")
        entry = twin.aenter(t)
        with pytest.raises(KeyError):
            entry.throw(KeyError("thrown"))
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await entry
        assert repr(t) == "<Timeout [created]>"

    run(main())


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_an_entry_that_an_observer_awaits_again_is_made_once(twin: Any) -> None:
    """In the midst of it, and as often as it likes: who awaited it first gets the timeout."""
    told: list[type] = []

    def observer(timeout: View) -> None:
        for _ in range(3):
            try:
                entries[0].send(None)
            except (RuntimeError, ValueError) as exc:
                told.append(type(exc))

    async def main() -> None:
        twin.leave(twin.enter(1.0, "t", "timeout"))  # the first time, its name is new
        t = twin.timeout(1.0, name="t")
        entries.append(twin.aenter(t))
        _observers.add(observer)
        try:
            assert await entries[0] is t
        finally:
            _observers.remove(observer)
        twin.leave(t)

    entries: list[Any] = []
    run(main())
    assert told == [ValueError if twin is _hot_py else RuntimeError] * 3


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_a_timeout_that_leads_to_its_entry_is_collected(twin: Any) -> None:
    """With the entry, in whatever order: and those that are entered afterwards are none the worse for it."""

    async def main() -> None:
        for step_by_step in (False, True) * 10:
            t = twin.timeout(1.0, name="t")
            t.entry = twin.aenter(t)
            if step_by_step:
                with pytest.raises(StopIteration):
                    t.entry.send(None)
            else:
                assert await t.entry is t
            await twin.aexit(t, None, None, None)
            _context.current.set(None)
            gone = weakref.ref(t)
            del t
            gc.collect()
            assert gone() is None

    run(main())


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
@pytest.mark.filterwarnings("ignore:coroutine '.*' was never awaited")
def test_awaitables_withstand_whatever_is_called_in_whatever_order(twin: Any) -> None:
    """Stepped, thrown into, closed, dropped and collected, in the midst of others by observers too: nothing breaks."""
    random = Random(0)
    timeouts: list[Any] = []
    awaitables: list[Any] = []

    def act() -> None:
        t: Any
        each: Any
        t, each = (random.choice(made or [None]) for made in (timeouts, awaitables))
        kind, error = random.randrange(16), random.choice((None, KeyError()))
        with contextlib.suppress(Exception):
            if kind < 3:
                timeouts.append(twin.timeout(random.choice((1.0, None)), name=random.choice("ab")))
            elif kind < 6:
                awaitables.append(random.choice((t.__aenter__, t.__aexit__, lambda: twin.aenter(t)))())
            elif kind < 8:
                awaitables.append(random.choice((t.__aexit__, each))(error and KeyError, error, None))
            elif kind == 8:
                awaitables.append(random.choice((t.__aenter__, t.__aexit__)))
            elif kind < 11:
                random.choice((lambda: each.send(None), lambda: next(each)))()
            elif kind == 11:
                random.choice((each.close, lambda: each.throw(KeyError)))()
            elif kind < 15:
                each.__self__.leads_to = each
            else:
                gc.collect()

    def observer(timeout: View) -> Any:
        act()
        return lambda timeout: act()

    async def main() -> None:
        for _ in range(300):
            copy_context().run(act)
            for made in timeouts, awaitables:
                del made[random.randrange(1, 30) :]

    _observers.add(observer)
    gc.freeze()  # a collection of all that the tests have takes 20 ms
    try:
        for _ in range(20):
            run(main())
    finally:
        _observers.remove(observer)
        for _ in range(3):
            timeouts.clear()
            awaitables.clear()
            gc.collect()
        gc.unfreeze()


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_an_exit_takes_its_arguments_by_name(twin: Any) -> None:
    """As a coroutine function's; too many of them, or too few, are a TypeError."""

    async def main() -> None:
        t = twin.enter(1.0, "t", "timeout")
        for arguments in ((), (None,) * 4, (None,) * 9):
            with pytest.raises(TypeError, match="aexit"):
                twin.aexit(t, *arguments)
        await twin.aexit(t, None, exc=None, tb=None)
        assert t.outcome == "completed"

    run(main())


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
@pytest.mark.parametrize("arguments", [(None, None, None), (KeyError, KeyError(), None)])
def test_what_is_no_timeout_is_left_without_memory(twin: Any, arguments: Any) -> None:
    """Any other object is refused, or there is no memory to do so: nothing of a timeout is looked for in it."""
    hooks: Any = pytest.importorskip("_testcapi", exc_type=ImportError)
    others = [type("Other", (), {"__slots__": ()})() for _ in range(50)]
    for at in range(1, 20):
        for other in others:
            hooks.set_nomemory(at, at + 1)
            try:
                twin.aexit(other, *arguments).close()
            except MemoryError:
                pass
            finally:
                hooks.remove_mem_hooks()


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_nothing_is_awaited_in_vain(twin: Any) -> None:
    """An entry that nobody awaits is told of, as a coroutine is; one that is closed is not."""

    async def main() -> None:
        t = twin.timeout(1.0, name="t")
        twin.aenter(t).close()
        with pytest.warns(RuntimeWarning, match="coroutine 'aenter' was never awaited"):
            twin.aenter(t)

    run(main())


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
@pytest.mark.parametrize("by_call", [True, False])
def test_whom_an_exit_did_not_come_to_tell_is_told(twin: Any, by_call: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exit that breaks off as it turns to the observers is counted once, and they are told once."""
    told: list[object] = []
    closed = _observers.closed

    def breaks_off(timeout: View, closers: Any, *, in_time: bool = False) -> None:
        monkeypatch.setattr(_observers, "closed", closed)
        raise MemoryError

    def observer(timeout: View) -> Any:
        return lambda timeout: told.append((timeout.name, timeout.outcome))

    async def main() -> None:
        for breaking in (False, True):  # the first time, its name is new
            t = twin.enter(1.0, "t", "timeout")
            if not breaking:
                twin.leave(t)
                continue
            monkeypatch.setattr(_observers, "closed", breaks_off)
            with pytest.raises(MemoryError):
                twin.leave(t) if by_call else await twin.aexit(t, None, None, None)

    _observers.add(observer)
    try:
        _process.reset()
        run(main())
    finally:
        _observers.remove(observer)
    assert told == [("t", "completed")] * 2
    assert _process.snapshot()[_metrics.ACTIVE] == {("t",): 0}


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_who_enters_in_the_midst_of_an_entry_keeps_its_lane_in_order(twin: Any) -> None:
    """As a signal's handler may: what was to be the last of its lane no longer is, and queues elsewhere."""

    def entering(frame: FrameType, event: str, arg: object) -> None:
        if frame.f_code is _entering.beside.__code__:
            sys.settrace(None)
            made.append(_hot_py.enter(2.0, "a", "timeout"))

    async def child() -> None:
        twin.leave(twin.enter(2.0, "a", "timeout"))  # its name is known from here on
        before = sys.gettrace()
        sys.settrace(entering)
        try:
            made.append(twin.enter(2.0, "a", "timeout"))
        finally:
            sys.settrace(before)

    async def main() -> None:
        parent = twin.enter(5.0, "parent", "timeout")
        await asyncio.create_task(child())
        here = state_of(asyncio.get_running_loop())
        assert len(made) == len(list(here.entries())) - 1 == 2
        assert all(list(lane.values()) == sorted(lane.values()) for lane in here.lanes)
        for t in (*reversed(made), parent):
            twin.leave(t)
        assert here.entries() == []

    made: list[Any] = []
    asyncio.run(main())


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_a_parent_that_the_collector_leaves_meanwhile_binds_nothing(twin: Any) -> None:
    """The collector runs at any allocation (3.11) or call: of what is entered, or of what finds its parent."""

    def collecting(phase: str, details: object) -> None:
        gc.callbacks.remove(collecting)
        twin.leave(parents.pop())

    async def child() -> None:
        twin.leave(twin.enter(2.0, "t", "timeout"))
        gc.callbacks.append(collecting)
        gc.set_threshold(1)
        try:
            t = twin.enter(2.0, "t", "timeout")
        finally:
            gc.set_threshold(*thresholds)
        while parents:  # it did not run yet
            gc.collect()
        assert (len(parents), t.deadline(), t.owner) == (0, t.when(), "t")
        twin.leave(t)

    async def main() -> None:
        parents.append(twin.enter(1.0, "parent", "timeout"))
        await asyncio.create_task(child())

    parents: list[Any] = []
    thresholds = gc.get_threshold()
    run(main())


@pytest.mark.parametrize("collections", range(1, 9))
@pytest.mark.parametrize("delay", [2.0, None])
@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
def test_a_parent_of_another_task_that_is_left_meanwhile_binds_nothing(
    twin: Any, delay: float | None, collections: int
) -> None:
    """Whichever of the collections during an entry it is that leaves the parent; the one around that is left binds."""
    left = collections

    def collecting(phase: str, details: object) -> None:
        nonlocal left
        if phase == "stop" and parents:
            left -= 1
            if left == 0:
                twin.leave(parents.pop())

    async def child() -> None:
        gc.callbacks.append(collecting)
        gc.set_threshold(1)
        try:
            t = twin.enter(delay, "t", "timeout")
        finally:
            gc.set_threshold(*thresholds)
            gc.callbacks.remove(collecting)
        bound = 1.0 if parents else 1.5
        assert (t.deadline(), t.owner) == (bound, "parent" if parents else "around")
        twin.leave(t)

    async def main() -> None:
        around = twin.enter(1.5, "around", "timeout")
        twin.leave(twin.enter(delay, "t", "timeout"))
        parents.append(twin.enter(1.0, "parent", "timeout"))
        await asyncio.create_task(child())
        for each in (*parents, around):
            twin.leave(each)

    parents: list[Any] = []
    thresholds = gc.get_threshold()
    run(main())


@pytest.mark.parametrize(("entering", "leaving"), list(itertools.product(TWINS, TWINS)))
def test_random_programs_do_not_tell_the_twins_apart(entering: str, leaving: str) -> None:
    """Whichever enters, and whichever leaves: every fact of every timeout, and all that is counted, is the same."""
    for seed in range(150):
        assert outcome_of(seed, TWINS[entering], TWINS[leaving]) == outcome_of(seed, _hot_py, _hot_py)


def outcome_of(seed: int, entering: Any, leaving: Any) -> tuple[Facts, object]:
    _process.reset()
    facts: Facts = []
    run(program(Random(seed), entering, leaving, facts))
    return facts, {
        metric.name: {labels: numbers(value) for labels, value in _process.snapshot()[metric].items()}
        for metric in COUNTED
        if metric in _process.snapshot()
    }


def numbers(value: int | Histogram) -> object:
    return value if isinstance(value, int) else (value.counts, value.total)


async def program(random: Random, entering: Any, leaving: Any, facts: Facts) -> None:
    """A tree of timeouts, opened by plain calls and by methods, in tasks of their own or not."""
    for _ in range(3):
        try:
            await nest(random, entering, leaving, facts, 0)
        except (LookupError, TimeoutError) as exc:
            facts.append((type(exc), str(exc)))


async def nest(random: Random, entering: Any, leaving: Any, facts: Facts, depth: int) -> None:
    delay, name, by_calls = random.choice(DELAYS), random.choice("abc"), random.random() < 0.5
    if by_calls:
        t = entering.enter(delay, name, "timeout")
    else:
        t = entering.timeout(delay, name=name)
        await entered(entering, t)
    try:
        for _ in range(random.randrange(3)):
            act = random.randrange(6)
            if act == 0 and depth < 4:
                await asyncio.create_task(nest(random, entering, leaving, facts, depth + 1))
            elif act < 4 and depth < 4:
                await nest(random, entering, leaving, facts, depth + 1)
            elif act == 4:
                await asyncio.sleep(random.choice((0.0, 0.01, 0.7)))
            elif random.random() < 0.2:
                raise LookupError(name)
        if by_calls:
            leaving.leave(t)
        else:
            await left(leaving, t)
    except BaseException as exc:
        if t.outcome is None and (raised := _hot.left_by(t, exc)) is not None:
            raise raised from exc
        raise
    finally:
        facts.append((t.name, t.outcome, t.elapsed, t.limit, t.requested, t.owner, t.source, t.deadline(), repr(t)))


async def entered(twin: Any, t: Timeout) -> None:
    assert await twin.aenter(t) is t


async def left(twin: Any, t: Timeout) -> None:
    await twin.aexit(t, None, None, None)


class Struck(asyncio.SelectorEventLoop):
    """A loop whose clock is written in Python, and once is where a signal's exception comes from."""

    strikes = False

    def time(self) -> float:
        if self.strikes:
            self.strikes = False
            raise KeyboardInterrupt
        return super().time()


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS)
@pytest.mark.parametrize("way", ["timeout", "aenter", "enter"])
def test_what_strikes_in_a_clock_is_raised(twin: Any, way: str) -> None:
    """It is no reason to go the long way; nothing is open after it."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Struck)
        for _ in range(2):  # by names that are known
            await left(twin, await twin.aenter(twin.timeout(5.0, name="t")))
            twin.leave(twin.enter(5.0, "t", "request"))
        t = twin.timeout(5.0, name="t")
        loop.strikes = True
        with pytest.raises(KeyboardInterrupt):
            if way == "timeout":
                twin.timeout(5.0, name="t")
            elif way == "aenter":
                await twin.aenter(t)
            else:
                twin.enter(5.0, "t", "request")
        assert (state_of(loop).entries(), t.outcome) == ([], None)
        await left(twin, await twin.aenter(t))

    with asyncio.Runner(loop_factory=Struck) as runner:
        runner.run(main())

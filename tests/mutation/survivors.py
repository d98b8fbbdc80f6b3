"""Mutants that no test notices, and why none needs to."""

from __future__ import annotations

BOUND = "a bound of memory: one more is no matter"
CACHE = "kept for speed: worked out anew, it is the same"
SAME = "the same in every case"
ELEVEN = "3.11 alone needs the other way, which finds the same: mutants are tried on later ones"
FOUND = "nobody asks of an expiry for which no timer ran"
INHERITS = "threads that begin with a context come here alone, from 3.14 on: .ci/inherited"
EQUAL = "of two instants that are equal either will do"
COLLECTED = "the garbage collector leaves the parent in that very moment: see tests/faults/collector.py"
INSTANT = "a clock that stands at that very instant: who is early or late by nothing is neither"
KEPT = "kept where the exit of one of a nest never ran: see tests/faults/test_every_line.py, twice"
LAST = "it is left a few steps later, and nobody asks before"
PLACED = "queued by its deadline and counted by its limit, whatever its series"
STRIDES = f"{SAME}: strides of another length come to the same end"
SHORT = "what the short way does not take the long one does, to the same end"
STRUCK = "told of by whoever comes first: an exception may strike in between (tests/faults/outer)"
SWEEP = "one sweep more"
TWIN = "the compiled hot path alone comes here, which no mutant is tried with"
UNASKED = "nobody asks, where nothing has fired"
TWICE = "asked if the exit is broken off after it, and this branch is of what the garbage collector has counted"

SURVIVORS: dict[str, dict[str, str]] = {
    "_arguments": {
        "module: YEARS = 100000000.0 -> YEARS = 100000001.0": "three years and a second are as good",
        "check_clock: if when - now > YEARS and abs(when - time.time()) < YEARS: -> if when - now >= YEARS and abs(when - time.time()) < YEARS:": INSTANT,
        "check_clock: if when - now > YEARS and abs(when - time.time()) < YEARS: -> if when - now > YEARS and abs(when - time.time()) <= YEARS:": INSTANT,
    },
    "_budget": {
        "Budget.__init__: self._state = CREATED -> pass": f"{SAME}: `open` sets it before anybody asks",
        "Budget.open: self._stamp = here.stamp -> pass": CACHE,
        "detach._open: _context.note_birth() -> pass": INHERITS,
        "Budget.open: self._effective(here) -> pass": CACHE,
    },
    "_ending": {
        "_expired: elapsed = now - began if now > began else 0.0 -> elapsed = now - began if now >= began else 0.0": EQUAL,
        "_expired: opener, stopping, frame = (None, now - fired.at if now > fired.at else 0.0, _getframe(3)) -> opener, stopping, frame = (None, now - fired.at if now >= fired.at else 0.0, _getframe(3))": EQUAL,
        "close: if link is None or link._state is not EXPIRING or self._stamp.__class__ is not Stamp or (link is not parent and len(here.unwinding) > 1): -> if link is None or link._state is not EXPIRING or self._stamp.__class__ is Stamp or (link is not parent and len(here.unwinding) > 1):": SHORT,
        "close: if link is None or link._state is not EXPIRING or self._stamp.__class__ is not Stamp or (link is not parent and len(here.unwinding) > 1): -> if link is None or link._state is not EXPIRING or self._stamp.__class__ is not Stamp or (link is not parent or len(here.unwinding) > 1):": SHORT,
        "close: if link is None or link._state is not EXPIRING or self._stamp.__class__ is not Stamp or (link is not parent and len(here.unwinding) > 1): -> if link is None or link._state is not EXPIRING or self._stamp.__class__ is not Stamp or (link is not parent and len(here.unwinding) >= 1):": SHORT,
        "close: link = ender(self, here, 1) if here.unwinding else None -> link = None if here.unwinding else ender(self, here, 1)": SHORT,
        "_interrupted: elapsed, limit, owner = (now - started if now > started else 0.0, deadline - started, its.owner) -> elapsed, limit, owner = (now - started if now >= started else 0.0, deadline - started, its.owner)": EQUAL,
        "refuse: tell_end(self, refusal) -> pass": STRUCK,
        "_expired: if here.around and (not here.unwinding): -> if here.around or not here.unwinding:": CACHE,
        "_expired: if fired.passed is None and _context.current.get() is self: -> if fired.passed is not None and _context.current.get() is self:": f"{SAME}: `step_out` finds it in as many steps more",
        "_interrupted: if not here.idle and (not lane): -> if not here.idle or not lane:": SWEEP,
        "close: handled = True -> handled = False": UNASKED,
        "close: opener, stopping = (None, 0.0) -> opener, stopping = (None, 1.0)": UNASKED,
        "broken_off: lane.pending[self] = None -> pass": f"{SAME}: who calls it has done so",
        "broken_off: if pending and task is not None and (task.cancelling() > cancelling_before(self)): -> if pending and task is not None and (task.cancelling() >= cancelling_before(self)):": (
            f"{SAME}: the step that takes a cancellation back says that it is over"
        ),
        "_settle: if here.around and (not here.unwinding): -> if here.around or not here.unwinding:": CACHE,
        "_settle: if not here.idle and (not self._lane): -> if not here.idle or not self._lane:": SWEEP,
    },
    "_context": {
        "forget_after_fork: _bind_inherited() -> pass": INHERITS,
        "module: _threads_inherit = bool(getattr(sys.flags, 'thread_inherit_context', 0)) -> _threads_inherit = bool(getattr(sys.flags, 'thread_inherit_context', 1))": INHERITS,
    },
    "_deciding": {
        "decide: if fired is None or fired.own or (not enforced): -> if fired is None or fired.own or enforced:": "of one that was ended for another, and ends otherwise, the deadline is worked out as its own",
        "decide: if now > self._deadline and 0.0 < self._granted(self._deadline) < now - self._started_at(): -> if now >= self._deadline and 0.0 < self._granted(self._deadline) < now - self._started_at():": INSTANT,
        "_around: while link is not None and ((found := known.get(link)) is None or found[0] is not stamp): -> while link is not None and ((found := known.get(link)) is None or found[1] is not stamp):": CACHE,
        "_untimed: return Fired(at, owner, own, False, 0, places=places, spent=spent) -> return Fired(at, owner, own, True, 0, places=places, spent=spent)": FOUND,
        "_untimed: return Fired(at, owner, own, False, 0, places=places, spent=spent) -> return Fired(at, owner, own, False, 1, places=places, spent=spent)": FOUND,
    },
    "_delays": {
        "module: MOST_LIMITS = 16 -> MOST_LIMITS = 17": BOUND,
        "Delays.__init__: super().__init__() -> pass": f"{SAME}: a dict is empty as it is made",
        "Limited.__init__: super().__init__() -> pass": f"{SAME}: a dict is empty as it is made",
    },
    "_ended": {
        "Ended.count: self.counted = True -> pass": TWICE,
        "Ended.count: self.counted = True -> self.counted = False": TWICE,
        "Fired: cancels: bool = True -> cancels: bool = False": "who is not cancelled says so, and so does who is",
        "where_of: if ended.where is None and ended.fired is not None: -> if ended.where is None or ended.fired is not None:": CACHE,
    },
    "_entering": {
        "broken_off: tell_end(self, exc) -> pass": STRUCK,
        "bind_to: bind(self, here, kind, self.name, None if self._when is NEVER else 0.0) -> bind(self, here, kind, self.name, 0.0 if self._when is NEVER else None)": PLACED,
        "bind_to: bind(self, here, kind, self.name, None if self._when is NEVER else 0.0) -> bind(self, here, kind, self.name, None if self._when is not NEVER else 0.0)": PLACED,
        "entered: raise AssertionError('entering a timeout never waits') -> pass": "never come to",
        "beneath: if parent._stamp is here.stamp and parent._state is ACTIVE: -> if parent._stamp is here.stamp and parent._state is not ACTIVE:": CACHE,
        "beneath: return timed_at(self, here) if parent._bare or parent._state is not ACTIVE else self._when -> return timed_at(self, here) if parent._bare or parent._state is ACTIVE else self._when": CACHE,
        "place: if series.limit and series.lane.tail != series.lane.tail and (0.0 < series.limit < INF): -> if series.limit and series.lane.tail == series.lane.tail and (0.0 < series.limit < INF):": CACHE,
        "place: if series.limit and series.lane.tail != series.lane.tail and (0.0 < series.limit < INF): -> if series.limit and series.lane.tail != series.lane.tail and (0.0 <= series.limit < INF):": CACHE,
        "place: if series.limit and series.lane.tail != series.lane.tail and (0.0 < series.limit < INF): -> if series.limit and series.lane.tail != series.lane.tail and (0.0 < series.limit <= INF):": CACHE,
        "beneath: self._stamp = None -> pass": f"{SAME}: it is none as the timeout is filled in",
        "counted: self._series = varied if varied.roomy <= limit < INF else varied.tight -> self._series = varied if varied.roomy < limit < INF else varied.tight": CACHE,
        "counted: if varied.low < limit <= varied.high: -> if varied.low < limit < varied.high:": CACHE,
        "beside: if parent._state is ACTIVE: -> if not parent._state is ACTIVE:": f"{SAME}: what follows finds as much",
        "beside: if parent._state is ACTIVE: -> if parent._state is not ACTIVE:": f"{SAME}: what follows finds as much",
        "beside: more.children.pop(key, None) -> pass": COLLECTED,
        "beside: return beneath(self, here, here.clock()) -> return None": COLLECTED,
        "broken_off: if more.__class__ is More and more.reserve is not None: -> if more.__class__ is More or more.reserve is not None:": f"{SAME}: without a reserve there is none to forget",
        "_take_back: let_go(self, self._here, self.name, 0.0, 0.0) -> let_go(self, self._here, self.name, 0.0, 1.0)": f"{SAME}: nothing was spent, whenever that was",
        "completed: self._state = FINISHED -> pass": TWIN,
        "completed: self._ended = elapsed -> pass": TWIN,
        "completed: counts[i] += 1 -> pass": TWIN,
        "completed: counts[i] += 1 -> counts[i] -= 1": TWIN,
        "completed: counts[i] += 1 -> counts[i] += 2": TWIN,
        "completed: series.seconds += elapsed -> pass": TWIN,
        "completed: series.seconds += elapsed -> series.seconds -= elapsed": TWIN,
    },
    "_exceeded": {
        "DeadlineExceeded.__init__: super().__init__(message) -> pass": f"{SAME}: its `args` are our own",
    },
    "_firing": {
        "fire: fired = Fired(here.stopwatch(), owner, ended_by is None, ended_by is None, task.cancelling() + 1) -> fired = Fired(here.stopwatch(), owner, ended_by is None, ended_by is None, task.cancelling() - 1)": f"{SAME}: who is beneath it was entered before it fired",
        "fire: if here.around: -> if not here.around:": KEPT,
        "fire: here.around.clear() -> pass": KEPT,
        "_facts: if (started := self._started) is not None and started > due: -> if (started := self._started) is not None and started >= due:": EQUAL,
        "_facts: if more.__class__ is More and more.moved_at > due: -> if more.__class__ is More and more.moved_at >= due:": EQUAL,
        "_facts: here.figures.timer_lag.record(at - due if at > due else 0.0) -> here.figures.timer_lag.record(at - due if at >= due else 0.0)": EQUAL,
        "fire: fired = Fired(here.stopwatch(), owner, ended_by is None, ended_by is None, task.cancelling() + 1) -> fired = Fired(here.stopwatch(), owner, ended_by is None, ended_by is None, task.cancelling() + 2)": (
            f"{SAME}: who is beneath it was entered before it fired"
        ),
        "_passed_budget: while link is not None and (link._bare or link._state is FINISHED): -> while link is not None and (link._bare or link._state is not FINISHED):": (
            f"{SAME}: for a budget further out the timeout between has fired"
        ),
        "_passed_budget: if link._state is ACTIVE and link._when != INF and (instant(link, here) <= now): -> if link._state is ACTIVE and link._when != INF and (instant(link, here) < now):": (
            f"{SAME}: `now` is past it by what a clock resolves"
        ),
    },
    "_granting": {
        "enter_granted: self._series = varied if varied.roomy <= seconds else varied.tight -> self._series = varied if varied.roomy < seconds else varied.tight": SHORT,
        "enter_granted: if varied.low < seconds <= varied.high: -> if varied.low <= seconds <= varied.high:": SHORT,
        "enter_granted: if varied.low < seconds <= varied.high: -> if varied.low < seconds < varied.high:": SHORT,
    },
    "_family": {
        "_list_all: if theirs is None or len(theirs) < len(children): -> if theirs is None or len(theirs) <= len(children):": "of two that are as large either will do",
        "_is_supervised: return False -> return None": f"{SAME}: both are false",
    },
    "_hot_py": {
        "aenter: if when >= lane.tail and when - now > lane.fresh and (timed is when): -> if when >= lane.tail and when - now >= lane.fresh and (timed is when):": INSTANT,
        "aenter: if when < here.armed or here.heal_at < now: -> if when < here.armed or here.heal_at <= now:": INSTANT,
        "aexit: if exc is None and self._stamp is here.stamp and (self._inner is None) and ((more := self._more).__class__ is not More) and ((now := here.stopwatch()) <= self._deadline): -> if exc is None and self._stamp is here.stamp and (self._inner is None) and ((more := self._more).__class__ is not More) and ((now := here.stopwatch()) < self._deadline):": SHORT,
        "aexit: if elapsed <= series.quick_up_to: -> if elapsed < series.quick_up_to:": SHORT,
        "aexit: if elapsed <= series.short and now < self._deadline: -> if elapsed < series.short and now < self._deadline:": SHORT,
        "aexit: if not lane and (not here.idle): -> if not lane or not here.idle:": SWEEP,
        "aexit: if more is not None and more.__class__ is not UNHURRIED: -> if more is not None or more.__class__ is not UNHURRIED:": f"{SAME}: who is not to be told is passed by further on",
        "enter: if when < here.armed or here.heal_at < now: -> if when < here.armed or here.heal_at <= now:": INSTANT,
        "leave: if self._state is ACTIVE and self._stamp is here.stamp and (self._inner is None) and ((more := self._more).__class__ is not More) and ((now := here.stopwatch()) <= self._deadline): -> if self._state is not ACTIVE and self._stamp is here.stamp and (self._inner is None) and ((more := self._more).__class__ is not More) and ((now := here.stopwatch()) <= self._deadline):": SHORT,
        "leave: if self._state is ACTIVE and self._stamp is here.stamp and (self._inner is None) and ((more := self._more).__class__ is not More) and ((now := here.stopwatch()) <= self._deadline): -> if self._state is ACTIVE and self._stamp is here.stamp and (self._inner is None) and ((more := self._more).__class__ is not More) and ((now := here.stopwatch()) < self._deadline):": SHORT,
        "leave: if elapsed <= series.quick_up_to: -> if elapsed < series.quick_up_to:": SHORT,
        "leave: if elapsed <= series.short and now < self._deadline: -> if elapsed < series.short and now < self._deadline:": SHORT,
        "leave: if not lane and (not here.idle): -> if not lane or not here.idle:": SWEEP,
        "leave: if more is not None and more.__class__ is not UNHURRIED: -> if more is not None or more.__class__ is not UNHURRIED:": f"{SAME}: who is not to be told is passed by further on",
        "left_by: if self._state is ACTIVE and self._lane.holds: -> if self._state is ACTIVE or self._lane.holds:": f"{SAME}: a lane that holds none has none to let go",
    },
    "_lane": {
        "Lane.__init__: super().__init__() -> pass": f"{SAME}: a dict is empty as it is made",
        "Loose.__init__: self.tail = math.nan -> pass": f"{SAME}: no series queues there, so nobody asks",
    },
    "_lanes": {
        "Lanes._tick: now = self.clock() + self.resolution -> now = self.clock() - self.resolution": f"{SAME}: it is early, then, and read anew",
        "Lanes._tick: if now < at: -> if now <= at:": f"{SAME}: read anew, it is what it was",
        "Lanes._tick: now = self.read_anew(at) + self.resolution -> now = self.read_anew(at) - self.resolution": "of a clock that was replaced: the next tick has it",
        "module: MOST = 64 -> MOST = 65": "one more lane is no matter",
        "Lanes.__init__: self.idle = True -> self.idle = False": SWEEP,
        "Lanes.place: if when < self.armed and lane is not None or self.heal_at < self.clock(): -> if when < self.armed and lane is not None or self.heal_at <= self.clock():": INSTANT,
        "Lanes.arm: if when >= self.armed or self.armed <= self.clock(): -> if when > self.armed or self.armed <= self.clock():": (
            f"{SAME}: for one that is no earlier it is called where what stands is overdue"
        ),
        "Lanes.arm: if when >= self.armed or self.armed <= self.clock(): -> if when >= self.armed or self.armed < self.clock():": INSTANT,
        "Lanes._lane_for: lane.tail = -INF -> pass": f"{SAME}: nobody asks of an empty lane, and who takes it sets it",
        "Lanes._lane_for: if lane.tail <= when and (best is None or lane.tail > best.tail): -> if lane.tail <= when and (best is None or lane.tail >= best.tail):": "of two that end alike either will do",
        "Lanes._recycle: return False -> return None": f"{SAME}: both are false",
        "Lanes._due: continue -> pass": f"{SAME}: the loop goes on",
        "Lanes._tick: self.armed = self.heal_at = INF -> pass": (
            "a tick that breaks off in its `finally` is healed by an entry 0.1 s later, and not by the next"
        ),
        "Lanes._set: self.idle = True -> pass": SWEEP,
        "Lanes._set: self.idle = True -> self.idle = False": SWEEP,
        "Lanes._tick: self._handle = None -> pass": f"{SAME}: it is cancelled, and the next takes its place",
        "Lanes._tick: if self.armed <= now: -> if self.armed < now:": f"{SAME}: it is cancelled, and the next takes its place",
        "Lanes._tick: if self.armed < INF: -> if self.armed <= INF:": f"{SAME}: it looks again, and finds what it knows",
        "Lanes._set: self.armed = self.heal_at = INF -> pass": (
            "what breaks off in `_set` alone is healed by an entry 0.1 s later, and not by the next"
        ),
        "Lanes._set: self._handle = None -> pass": f"{SAME}: it is cancelled once more",
        "Lanes._sweep: self._handle, self.armed, self.heal_at, self.idle = (None, INF, INF, True) -> self._handle, self.armed, self.heal_at, self.idle = (None, INF, INF, False)": SWEEP,
    },
    "_link": {
        "Link._effective: known = True -> known = False": CACHE,
        "Link._outlasts: return self._state is ACTIVE and self._stamp is stamp and (when <= self._deadline) -> return None": SHORT,
        "Link._outlasts: return self._state is ACTIVE and self._stamp is stamp and (when <= self._deadline) -> return self._state is not ACTIVE and self._stamp is stamp and (when <= self._deadline)": SHORT,
        "Link._outlasts: return self._state is ACTIVE and self._stamp is stamp and (when <= self._deadline) -> return self._state is ACTIVE and self._stamp is not stamp and (when <= self._deadline)": SHORT,
        "Link._outlasts: return self._state is ACTIVE and self._stamp is stamp and (when <= self._deadline) -> return self._state is ACTIVE and self._stamp is stamp and (when < self._deadline)": SHORT,
        "Link._effective: link._stamp = stamp if known else None -> pass": CACHE,
        "Link._effective: if when < base: -> if when <= base:": "of instants that are equal on two clocks either may be it",
        "Link._effective: if self._state is EXPIRING: -> if not self._state is EXPIRING:": LAST,
        "Link._effective: if self._state is EXPIRING: -> if self._state is not EXPIRING:": LAST,
        "Link._effective: self._stamp = None -> pass": LAST,
        "Link._is_known: if self._state is not ACTIVE or its.__class__ is not Stamp: -> if self._state is ACTIVE or its.__class__ is not Stamp:": CACHE,
        "Link._is_known: return False -> return None": f"{SAME}: both are false",
        "Link._is_known: if its is not stamp and (its.moved is not stamp.moved or (self._owner or self)._state is not ACTIVE): -> if its is not stamp or (its.moved is not stamp.moved or (self._owner or self)._state is not ACTIVE):": CACHE,
        "Link._is_known: self._stamp = stamp -> pass": CACHE,
        "Link._is_known: return True -> return None": CACHE,
        "Link._is_known: return True -> return False": CACHE,
        "in_force: return self._effective(here) if self._here is here and self._state is ACTIVE else earliest(self, here)[0] -> return self._effective(here) if self._here is here and self._state is not ACTIVE else earliest(self, here)[0]": CACHE,
        "earliest: if (link._when != INF or link._state is not ACTIVE) and link._binds(reader): -> if (link._when != INF or link._state is ACTIVE) and link._binds(reader):": (
            f"{SAME}: who had it end lies further out, and has passed as well"
        ),
    },
    "_loop": {
        "module: if sys.version_info >= (3, 12): -> if not sys.version_info >= (3, 12):": ELEVEN,
        "module: if sys.version_info >= (3, 12): -> if sys.version_info > (3, 12):": f"{SAME}: a version has more than two numbers",
        "module: if sys.version_info >= (3, 12): -> if sys.version_info >= (4, 12):": ELEVEN,
        "module: if sys.version_info >= (3, 12): -> if sys.version_info >= (3, 13):": ELEVEN,
        "LoopState.__init__: self._is_real() -> pass": "a real clock is told a quarter of a second later",
        "LoopState.decide: if max(shown, passed) >= _SHOWN: -> if max(shown, passed) > _SHOWN:": INSTANT,
        "LoopState._goes_on: if passed >= _READINGS: -> if passed > _READINGS:": INSTANT,
        "LoopState._is_real: self.stopwatch = time.monotonic if abs(origin) < 0.001 else lambda: time.monotonic() + origin -> self.stopwatch = time.monotonic if abs(origin) <= 0.001 else lambda: time.monotonic() + origin": INSTANT,
        "_alike: return abs(shown - passed) < 0.1 * passed -> return abs(shown - passed) <= 0.1 * passed": INSTANT,
        "module: _READINGS = 5e-05 -> _READINGS = 1.00005": "a clock that is read for longer shows the same",
    },
    "_names": {
        "module: _MOST = 10000 -> _MOST = 10001": BOUND,
        "checked: known[name] = short -> pass": CACHE,
        "of_caller: sites[id(code)] = site -> pass": CACHE,
    },
    "_open": {
        "_context_of: if get_context is not None: -> if not get_context is not None:": ELEVEN,
        "_context_of: if get_context is not None: -> if get_context is None:": ELEVEN,
        "_context_of: return next((each for each in gc.get_referents(task) if isinstance(each, Context)), None) -> return None": ELEVEN,
    },
    "_reserves": {
        "inherit_reserves: hold_reserve(self) -> pass": f"{SAME}: those further out know of it since it was entered",
        "_forget: return False -> return None": f"{SAME}: both are false",
        "_forget: return False -> return True": f"{SAME}: further out nobody knows of it either",
        "_know: return False -> return None": f"{SAME}: both are false",
        "_know: return False -> return True": f"{SAME}: who is told again knows already",
        "_rearm_from_elsewhere: here.move() -> pass": f"{SAME}: beneath one of another loop nothing is kept",
    },
    "_spent": {
        "_in: return max(0.0, seconds) if seconds <= within + _ROUNDING else within -> return max(0.0, seconds) if seconds < within + _ROUNDING else within": EQUAL,
        "_in: return max(0.0, seconds) if seconds <= within + _ROUNDING else within -> return max(0.0, seconds) if seconds <= within - _ROUNDING else within": "a microsecond, either way",
        "module: MOST = 64 -> MOST = 65": BOUND,
        "_Cell.__init__: self.seconds, self.count, self.at_once, self.beside = (0.0, 0, 1, 1) -> self.seconds, self.count, self.at_once, self.beside = (0.0, 0, 1, 2)": (
            f"{SAME}: the first that is added beside it sets it"
        ),
    },
    "_timeout": {
        "_made: _entering.bind(self, state_of(loop), 'timeout_at', name, None if when is None else 0.0) -> _entering.bind(self, state_of(loop), 'timeout_at', name, 0.0 if when is None else None)": PLACED,
        "_made: _entering.bind(self, state_of(loop), 'timeout_at', name, None if when is None else 0.0) -> _entering.bind(self, state_of(loop), 'timeout_at', name, None if when is not None else 0.0)": PLACED,
        "timeout_at: if YEARS < self._when < math.inf: -> if YEARS <= self._when < math.inf:": f"{SAME}: `check_clock` looks closer",
        "timeout_at: if YEARS < self._when < math.inf: -> if YEARS < self._when <= math.inf:": f"{SAME}: `check_clock` looks closer",
        "_reschedule: if YEARS < moved < math.inf: -> if YEARS <= moved < math.inf:": f"{SAME}: `check_clock` looks closer",
        "_reschedule: if YEARS < moved < math.inf: -> if YEARS < moved <= math.inf:": f"{SAME}: `check_clock` looks closer",
        "_reschedule: more.reserve = None -> pass": f"{SAME}: nobody knows of it any more",
        "_reschedule: self._effective(here) -> pass": CACHE,
        "_retime: if self._lane is not here.loose or here.loose.get(self, math.inf) > here.clock(): -> if self._lane is not here.loose or here.loose.get(self, math.inf) >= here.clock():": INSTANT,
        "_time_anew: self._started = self._started_at() -> pass": f"{SAME}: who is timed for another knows since it was entered",
        "_time_anew: self._stamp = None -> pass": CACHE,
        "Timeout._timer_ran: if when is not self._when and timed_at(self, here) > now: -> if when is not self._when and timed_at(self, here) >= now:": INSTANT,
        "_due_around: if outer._not_before(here) > now or outer._effective(here) > now: -> if outer._not_before(here) > now and outer._effective(here) > now:": (
            f"{SAME}: further out nobody is due either"
        ),
        "_due_around: if outer._not_before(here) > now or outer._effective(here) > now: -> if outer._not_before(here) >= now or outer._effective(here) > now:": INSTANT,
        "_due_around: if outer._not_before(here) > now or outer._effective(here) > now: -> if outer._not_before(here) > now or outer._effective(here) >= now:": INSTANT,
        "_due_around: if timed_at(outer, here) <= now: -> if timed_at(outer, here) < now:": INSTANT,
    },
    "_wait_for": {
        "_take: self._lane.pop(self, None) -> pass": f"{SAME}: a tick finds that it is of another lane, and takes it out",
        "_take: fired = Fired(here.stopwatch(), self.name, True, True, 0, cancels=False, places=places) -> fired = Fired(here.stopwatch(), self.name, True, True, 1, cancels=False, places=places)": FOUND,
    },
    "_warn": {
        "module: _EVERY = 60.0 -> _EVERY = 61.0": "a warning a second later",
        "ran_on: if now - _warned.get(key, -_EVERY) < _EVERY: -> if now - _warned.get(key, -_EVERY) <= _EVERY:": INSTANT,
    },
    "_where": {
        "module: _DEEPEST = 200 -> _DEEPEST = 201": BOUND,
        "module: _FAR = 16 -> _FAR = 17": STRIDES,
        "_deep_inside: while (inner := _far_inside(step)).__class__ is CoroutineType: -> while not (inner := _far_inside(step)).__class__ is CoroutineType:": STRIDES,
        "_deep_inside: while (inner := _far_inside(step)).__class__ is CoroutineType: -> while (inner := _far_inside(step)).__class__ is not CoroutineType:": STRIDES,
        "places: while isinstance(next_task, asyncio.Task) and id(next_task) not in seen and (len(found) < _DEEPEST): -> while isinstance(next_task, asyncio.Task) and id(next_task) not in seen and (len(found) <= _DEEPEST):": BOUND,
        "places: break -> pass": f"{SAME}: but on 3.12.1, which would die there",
        "_is_of_library: _ours[id(code)] = known -> pass": CACHE,
        "module: _MOST = 10000 -> _MOST = 10001": BOUND,
    },
    "figures._process": {
        "module: _MOST_EVENTS, _MOST_GONE = (1000, 16) -> _MOST_EVENTS, _MOST_GONE = (1001, 16)": BOUND,
        "module: _MOST_EVENTS, _MOST_GONE = (1000, 16) -> _MOST_EVENTS, _MOST_GONE = (1000, 17)": BOUND,
        "_fold_at_times: if (len(_events) > _MOST_EVENTS or len(_gone) > _MOST_GONE) and _folding.acquire(blocking=False): -> if (len(_events) >= _MOST_EVENTS or len(_gone) > _MOST_GONE) and _folding.acquire(blocking=False):": BOUND,
        "_fold_at_times: if (len(_events) > _MOST_EVENTS or len(_gone) > _MOST_GONE) and _folding.acquire(blocking=False): -> if (len(_events) > _MOST_EVENTS or len(_gone) >= _MOST_GONE) and _folding.acquire(blocking=False):": BOUND,
        "module: _overflowed = False -> _overflowed = True": "a reset says the same, and each test begins with one",
    },
    "figures._series": {
        "module: OWNERS = 10 -> OWNERS = 11": BOUND,
        "module: _MOST_BOUNDS = 1000 -> _MOST_BOUNDS = 1001": BOUND,
        "Series._told: for upper, count in zip((*self.bounds, math.inf), counts, strict=True): -> for upper, count in zip((*self.bounds, math.inf), counts, strict=False):": f"{SAME}: both are as long",
        "Varied.__init__: self.quick_up_to = -1.0 -> self.quick_up_to = -2.0": f"{SAME}: no time is below 0",
        "Varied.__init__: self.short = first if tight is not None else -1.0 -> self.short = first if tight is not None else -2.0": f"{SAME}: no time is below 0",
        "Varied.__init__: self.low, self.high, self.bucket = (0.0, 0.0, 0) -> self.low, self.high, self.bucket = (1.0, 0.0, 0)": f"{SAME}: nothing is above the one and up to the other",
        "Varied.__init__: self.low, self.high, self.bucket = (0.0, 0.0, 0) -> self.low, self.high, self.bucket = (0.0, 0.0, 1)": f"{SAME}: nothing is of that bucket",
        "Figures.add_to: opened += int(varied.entered + varied.tight.entered) + varied.seen -> opened += int(varied.entered - varied.tight.entered) + varied.seen": f"{SAME}: nobody is entered by the tight one, which counts exits",
        "Varied.grant: self.seen -= seen -> pass": "it is set three lines on: a reader in another thread alone may see it before",
        "Varied.grant: self.seen -= seen -> self.seen += seen": "it is set three lines on: a reader in another thread alone may see it before",
        "Varied.grant: low = bounds[bucket - 1] if bucket else 0.0 -> low = bounds[bucket - 1] if bucket else 1.0": CACHE,
        "Varied.grant: high = bounds[bucket] if bucket < len(bounds) else math.nextafter(math.inf, 0.0) -> high = bounds[bucket] if bucket < len(bounds) else math.nextafter(math.inf, 1.0)": SAME,
    },
    "figures._table": {
        "Histogram.add: self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)] -> self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=False)]": f"{SAME}: both are as long",
    },
    "_unwinding": {
        "module: _A_FEW = 8 -> _A_FEW = 9": BOUND,
        "Unwinding.__init__: super().__init__() -> pass": f"{SAME}: a dict is empty as it is made",
        "Unwinding.reference: self.count(broken_off) -> pass": "asked if a count was broken off of what stood at the same place in memory",
        "Unwinding.count: reference.figures = None -> pass": "asked if the count is broken off on its next line",
    },
    "_words": {
        "module: LONGEST = 1000 -> LONGEST = 1001": BOUND,
        "words: if len(text) <= longest and text.isprintable(): -> if len(text) < longest and text.isprintable():": (
            f"{SAME}: what needs no escape is the same escaped"
        ),
        "words: text = ''.join(map(_escaped, text[:longest + 1])) -> text = ''.join(map(_escaped, text[:longest + 2]))": (
            f"{SAME}: it is cut afterwards"
        ),
    },
}
"""By module: the mutant as it reads, and the reason."""

FUNCTIONS: dict[str, dict[str, str]] = {
    "_context": {
        "_Born.__init__": INHERITS,
        "_around_loop": INHERITS,
        "_bind_inherited": INHERITS,
        "_brought": INHERITS,
        "_in_job": INHERITS,
        "_own_context": INHERITS,
        "came_with_thread": INHERITS,
        "note_birth": INHERITS,
    },
}
"""By module: functions that no mutant is tried in, and the reason."""


def reason(module: str, mutant: str) -> str:
    """The reason for which nobody needs to notice the mutant; empty with none."""
    function = mutant.partition(": ")[0]
    return SURVIVORS.get(module, {}).get(mutant, "") or FUNCTIONS.get(module, {}).get(function, "")

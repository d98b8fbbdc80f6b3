"""The core: timeouts, the chain of their deadlines, and the counts. It needs the standard library alone.

Words. A *deadline* is an instant on the loop's clock. A *link* is one deadline of a context: a `Timeout` or a budget.
A timeout is *entered*, *fires*, and is *left*; the link around is its *parent*, the links inside are its *children*.
A *lane* is a queue of timeouts of one delay, in the order of their deadlines. A *series* is what is counted together:
the timeouts of one name, kind and limit. *Here* is the state of a loop: its clocks, lanes, figures and stamp.

The life of a timeout:

1. `timeout()` finds the series by name and delay, and makes a `Timeout` (CREATED).
2. `aenter` reads the clock, the task and the parent (`_context`), and stores them on the timeout alone.
3. In any but the common case `_entering` finds the deadline in force above it, or has `_ending` refuse it (FINISHED).
4. It shows itself: state (ACTIVE), lane, timer (`_lanes`), parent (`_family`), observers, context, count.
5. A tick of the loop's one timer finds it due, and `_firing` takes the facts and cancels its task (EXPIRING). No lane
   holds it now: `_unwinding` refers to it, and counts it if it is dropped before it is left.
6. `aexit` takes it out of its lane first. In the common case it counts, tells the parent, and is done (FINISHED).
7. In any other case `_ending.close` has `_deciding` find the outcome, and writes it in one step (EXPIRED, FINISHED).
8. Then come its figures, its children, which their grandparent takes over, its observers, and a warning.
9. What it raises (`_raising`) carries facts; words are made of them when somebody asks.
10. What an exception broke off on the way is cleared up by the same function, or else by the next tick.

Floors, from the top: what users call (`_decorator`, `_wait_for`, `_open`, `_timeout`); the hot path (`_hot` chooses,
`_hot_py`, `_entering`); edges of a life (`_ending`, `_deciding`, `_raising`, `_closers`, `_firing`, `_budget`); what a
link is (`_facts`, `_family`, `_reserves`, `_context`, `_ended`, `_link`); the loop (`_loop`, `_lanes`, `_lane`,
`_unwinding`, `_delays`, `figures`).

Who may write. The thread of a link's loop alone writes the link, its lane, its series and its family; others send a
callback. One exception: a timeout takes itself out of its lane in any thread. A function writes the link that it is
given first, and tells others. The table of fields and their writers is a test: `tests/core/test_writers.py`.

Invariants. No path of a timeout waits for a lock. A timeout is out of its lane before its exit makes any call. A line
without a call is one step: state and count stand on one. An effective deadline that is known holds for as long as the
loop's stamp is the one it was found at; whatever moves, fires or is left with something beneath it replaces the stamp.
Where nothing has moved since, it holds beyond that too, while the link is open whose deadline it is.
A timeout keeps no frame and no traceback; a loop that is gone is held by nothing.
"""

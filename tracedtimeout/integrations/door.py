"""A door for whatever brings a deadline: requests, messages of a queue, jobs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from tracedtimeout import Timeout, View
from tracedtimeout._core.figures import _process
from tracedtimeout._disabled import DISABLED
from tracedtimeout.propagation import HEADERS

from ._admission import Admission
from ._opened import Carrier, Opened
from ._switched_off import SwitchedOff

__all__ = ["Door"]


class Door:
    """The terms by which requests, messages or jobs are let in: ``async with door.open(name, carrier) as request:``.

    The deadline of each is the least that its carrier grants, and no later than `maximum`; with none it is `default`.
    It inherits what is open in its own task, and nothing else of the context that it was started in.

    Args:
        default: seconds for what came with no deadline; None for none.
        maximum: seconds that nothing gets more than; by default those of `default`, so that a client can shorten a
            deadline and never lengthen it; ``math.inf`` for no such bound.
        accept: the headers believed; ``()`` where strangers may write.
        at_least: seconds; with less than these left on arrival it is refused.
        dark: what would be refused, or ended by `default`, is counted and runs.

    Raises:
        TypeError, ValueError: bad input; the message names the parameter and the value.
    """

    def __init__(
        self,
        *,
        default: float | None = None,
        maximum: float | None = None,
        accept: Collection[str] = HEADERS,
        at_least: float = 0.0,
        dark: bool = False,
    ) -> None:
        self._terms = Admission(default=default, maximum=maximum, accept=accept, at_least=at_least, dark=dark)

    def announce(self, names: Iterable[str]) -> None:
        """Have the figures of expiries under these names stand at 0 from now on, so that the first one is a rise."""
        if not DISABLED:
            for name in names:
                _process.announce(name)

    def open(
        self, name: str, carrier: Carrier, *, queued: bool = False, stays: bool = False, outer: View | None = None
    ) -> Opened:
        """One timeout of kind ``request``, named `name`, for ``async with``, which gives its `View`.

        Ended by the deadline that the carrier granted it is ``inherited``, owner ``_remote``; by the terms it is
        ``expired``.

        In a thread it is for ``with``, which gives None and can end nothing: `remaining` and `checkpoint` tell there
        what is left.

        Args:
            name: one of few: a route, a queue, a job's function.
            carrier: headers, metadata or the fields of a message: a mapping or pairs, text or bytes; None for none.
            queued: it waited in a queue: all the time since it was sent is taken off.
            stays: it is to stay open, such as a WebSocket: nothing but its caller's deadline ends it.
            outer: a request that it is a part of and that was opened elsewhere; while that is open, it binds.

        Raises:
            DeadlineExceeded: on entry, it is refused; on exit, its deadline has ended it.
        """
        return (SwitchedOff if DISABLED else Opened)(self._terms, name, carrier, queued, stays, outer)


def plainly(door: Door) -> Callable[[str, list[tuple[object, object]] | None], Timeout | None]:
    """Enters requests of `door` in a half of the time of `open`, where nothing is open around them: by name and lines.

    It answers None where that is not so, and has entered nothing. What was entered is left by `leave_plainly`, or as
    `Opened.of` it. It raises what `Opened.enter` does.
    """
    return (lambda name, lines: None) if DISABLED else door._terms.enter_plainly  # noqa: SLF001  # of this module

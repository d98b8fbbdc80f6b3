"""`DeadlineExceeded`: what a timeout raises, and how it is put into words when somebody asks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Self

from ._tuples import importing

MOST_NAMES = 8
"""Names in one message."""

SLOW_TO_STOP = 0.05
"""Seconds from firing to leaving that a message tells, or a tenth of the whole."""

SHOWN = 5e-5
"""Seconds that do not read as ``0.0 ms``."""


@importing
class Spent(NamedTuple):
    """The time that the timeouts of one name, opened inside another, took of it."""

    name: str
    seconds: float
    """Seconds of all these timeouts; of several side by side, the time in which any of them ran."""
    count: int = 1  # type: ignore[assignment]  # hides tuple.count, which nobody misses
    unfinished: bool = False
    at_once: int = 1
    """The most of these timeouts that ran side by side."""

    def __str__(self) -> str:
        times = f" ({self.at_once} at once)" if self.at_once > 1 else f" (x{self.count})" if self.count > 1 else ""
        return f"{duration(self.seconds)} in {shown(self.name)}{times}{' (unfinished)' if self.unfinished else ''}"


class Where(str):
    """A place in code that a task was waiting in; reads as ``shop.bank:88 in charge``."""

    __slots__ = ("function", "line", "module", "path")

    module: str
    line: int
    function: str
    path: str

    def __new__(cls, module: str, line: int, function: str, path: str) -> Self:
        self = super().__new__(cls, f"{module}:{line} in {function}")
        self.module, self.line, self.function, self.path = module, line, function, path
        return self

    def __getnewargs__(self) -> tuple[str, int, str, str]:  # type: ignore[override]  # str's takes (str,)
        return (self.module, self.line, self.function, self.path)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), self.__getnewargs__())


@importing
class Told(NamedTuple):
    """All that a message says, worked out."""

    message: str
    name: str
    limit: float
    elapsed: float
    owner: str
    where: Where | None
    spent: tuple[Spent, ...]


class DeadlineExceeded(TimeoutError):  # noqa: N818  # gRPC's name for it
    """A deadline passed. Every ``except TimeoutError`` catches it; it pickles and copies.

    Attributes:
        name: the timeout that raised it.
        limit: seconds that timeout was granted, ``inf`` if it had no deadline of its own or from around it.
        elapsed: seconds from entering it to leaving it.
        owner: whose own deadline it was: a timeout's name, ``_remote`` for a caller's header, ``_budget``.
        where: the place the task was waiting in when the deadline fired, or None.
        spent: the time that nested timeouts took, longest first; unfinished ones last.
        rejected: the body never ran: less was left than it needed.
    """

    __module__ = "tracedtimeout"  # what tracebacks and pickles call it

    message: str
    name: str
    limit: float
    elapsed: float
    owner: str
    where: Where | None
    spent: tuple[Spent, ...]
    rejected: bool = False

    _tell: Callable[[DeadlineExceeded], Told] | None = None
    """Works out all of the above when somebody asks: an expiry that nobody prints costs no formatting (2 us of 8)."""
    deadline_token: object = None
    """Stands for the deadline that code found passed; None where a timer found it. See `_ending`."""
    _args: tuple[Any, ...] | None = None
    """`args` where somebody has set it."""

    def __init__(
        self,
        message: str = "",
        *,
        name: str = "",
        limit: float = 0.0,
        elapsed: float = 0.0,
        owner: str = "",
        where: Where | None = None,
        spent: tuple[Spent, ...] = (),
        rejected: bool = False,
    ) -> None:
        # One positional argument: TimeoutError is an OSError, which takes two or more for errno and strerror.
        super().__init__(message)
        self.message, self.name, self.limit, self.elapsed = message, name, limit, elapsed
        self.owner, self.where, self.spent, self.rejected = owner, where, spent, rejected

    def __getattr__(self, attribute: str) -> Any:  # asked only for what is not there yet
        tell = None if attribute.startswith("__") else self.__dict__.get("_tell")
        if tell is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {attribute!r}")
        try:
            self._tell = None  # whoever asks meanwhile, for what is being worked out, finds nothing
            self.__dict__.update(tell(self)._asdict())
            del self.__dict__["_tell"]
        except BaseException:
            self._tell = tell  # for who asks next: it may have been the stack's end, or Ctrl-C
            raise
        return getattr(self, attribute)

    @property
    def args(self) -> tuple[Any, ...]:  # the message is worked out when asked for
        return (self.message,) if self._args is None else self._args

    @args.setter
    def args(self, args: Iterable[Any]) -> None:
        self._args = tuple(args)  # `error.args += ("while paying",)`, as of any exception

    def __str__(self) -> str:
        args = self.args
        return str(args[0] if len(args) == 1 else args or "")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.args))})"

    def __reduce__(self) -> tuple[Any, ...]:
        message = self.message  # works all out
        facts = {key: value for key, value in self.__dict__.items() if key != "deadline_token"}
        return (_again, (type(self), message, facts))


def _again(cls: type[DeadlineExceeded], message: str, facts: dict[str, Any]) -> DeadlineExceeded:
    """The copy that a pickle makes."""
    copy = cls(message)
    copy.__dict__.update(facts)
    return copy


new_exceeded: Callable[[type[DeadlineExceeded]], DeadlineExceeded] = TimeoutError.__new__
"""An exception without its words: `__init__` costs 0.6 us more. The caller sets `_tell`."""


def exceeded_message(
    name: str,
    limit: float,
    elapsed: float,
    *,
    owner: str | None = None,
    spent: tuple[Spent, ...] = (),
    where: Where | None = None,
    stopping: float = 0.0,
) -> str:
    """The message of an expiry. `owner` is given where the deadline was another's; `stopping` is the seconds from
    firing to leaving."""
    if owner is not None:
        what = f"{shown(name, quoted=True)} was ended by the deadline of {shown(owner, quoted=True)}"
    elif limit == math.inf:
        what = f"{shown(name, quoted=True)} exceeded its deadline"
    else:
        what = f"{shown(name, quoted=True)} exceeded its {duration(limit)} deadline"
    parts = [str(each) for each in spent[:MOST_NAMES]]
    if len(spent) > MOST_NAMES:
        parts.append(f"and {len(spent) - MOST_NAMES} more")
    message = f"{what} after {duration(elapsed)}"
    if parts:
        message += f": {', '.join(parts)}"
    if where is not None:
        message += f"{'; ' if parts else ': '}waiting at {where}"
    if stopping >= SLOW_TO_STOP or stopping > max(0.1 * elapsed, SHOWN):
        message += f"; {duration(stopping)} to stop"
    return message


def duration(seconds: float) -> str:
    """``1.912 s``, or ``0.4 ms`` where it is under a millisecond."""
    if seconds != 0.0 and abs(seconds) < 0.001:
        return f"{seconds * 1e3:.1f} ms"
    return f"{seconds:.3f} s"


def shown(name: str, *, quoted: bool = False) -> str:
    """`name` as a message shows it: by `repr` where it is to be quoted, or holds anything but printable characters."""
    return name if name.isprintable() and not quoted else repr(name)

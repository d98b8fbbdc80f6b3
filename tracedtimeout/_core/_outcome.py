"""How a timeout ended: the outcomes, and the exception that says so."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple, Self


class Outcome(StrEnum):
    """How a timeout ended, in order of precedence. The values are the label strings of every exporter."""

    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    INHERITED = "inherited"
    REPLACED = "replaced"
    SUPPRESSED = "suppressed"
    FAILED = "failed"
    LATE = "late"
    COMPLETED = "completed"


class Spent(NamedTuple):
    """What the timeouts of one name, nested in another, took of its time."""

    name: str
    seconds: float
    count: int = 1  # type: ignore[assignment]  # hides tuple.count, which nobody misses
    unfinished: bool = False

    def __str__(self) -> str:
        times = f" (x{self.count})" if self.count > 1 else ""
        return f"{self.seconds:.3f} s in {self.name}{times}{' (unfinished)' if self.unfinished else ''}"


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


class DeadlineExceeded(TimeoutError):  # noqa: N818  # gRPC's name for it
    """A deadline passed. Every ``except TimeoutError`` catches it; it pickles and copies.

    Attributes:
        name: the timeout that raised it.
        limit: seconds that timeout was granted, ``inf`` if it had no deadline of its own or from around it.
        elapsed: seconds from entering it to leaving it.
        owner: whose own deadline it was: a timeout's name, ``_remote`` for a caller's header, ``_budget``.
        where: the place the task was waiting in when the deadline fired, or None.
        spent: what nested timeouts took, longest first; unfinished ones last.
        rejected: the body never ran: less was left than it needed.
    """

    __module__ = "tracedtimeout"  # what tracebacks and pickles call it

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
        self.name = name
        self.limit = limit
        self.elapsed = elapsed
        self.owner = owner
        self.where = where
        self.spent = spent
        self.rejected = rejected

"""`More`: the facts of a link that most links do not have."""

from __future__ import annotations

from typing import Any

from .figures._series import NEVER


class More:
    """The facts of a link that most have not: options, children in other tasks, observers. The defaults stand in the
    class, for of most only a few are ever set."""

    name: str | None = None
    """The timeout's name, if that is not the name of the series."""
    at_least = 0.0
    reserve: float | None = None
    asked = NEVER
    """With a reserve: the deadline that its user set."""
    said: float | None = None
    """The seconds in the code, where configuration has another limit."""
    cancelling = 0
    """The number of times that the task had been asked to end as the timeout was entered."""
    reschedules = 0
    moved_at = -NEVER
    """The instant of the last reschedule, on the stopwatch: no timer is late before that."""
    closers: Any = None
    """Observers to be told of the timeout's end."""
    token: object = None
    """The token that exceptions raised by code for this deadline carry."""
    error: BaseException | None = None
    """The exception that leaves the timeout, while its observers are told."""
    children: dict[Any, None] | None = None
    """The links opened directly beneath this one in other tasks, and beside `_inner` in its own. Weak references to
    those with no deadline of their own, which are not kept when they are dropped."""
    ending: list[Any] | None = None
    """The timeouts open beneath this one as it fired: as it is left, those end that nobody supervises."""
    ending_for: Any = None
    """The link that fired, was left, and ends this one: those beneath end too, however this one does."""
    reserving: dict[Any, None] | None = None
    """The links directly beneath this one that hold a reserve, or have a link beneath them that does."""

"""`with_timeout()`: every call of a coroutine function under a timeout of its own."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from . import _names
from ._arguments import check_options, seconds_of, shown
from ._wait_for import guard
from .figures import _process

P = ParamSpec("P")
R = TypeVar("R")
CoroutineFunction = Callable[P, Coroutine[Any, Any, R]]


def with_timeout(
    limit: float | Callable[[], float | None] | None,
    *,
    name: str | None = None,
    at_least: float = 0.0,
    reserve: float | None = None,
) -> Callable[[CoroutineFunction[P, R]], CoroutineFunction[P, R]]:
    """Guard each call of a coroutine function by a timeout; its signature stays.

    Args:
        limit: seconds, None for no deadline of its own, or a function that is asked at each call.
        name: by default the function's ``module:qualname``.
        at_least, reserve: see `Timeout`.

    Raises:
        TypeError: at decoration, if it is not a coroutine function (the message says what to do instead), or `limit`
            is no number.
        ValueError: `limit` is NaN, `name` is empty.
    """
    if callable(limit):
        _check_function(limit)
    elif limit is not None:
        seconds_of("limit", limit)
    given = None if name is None else _names.checked(name)
    check_options(at_least, reserve)
    if isinstance(limit, int | float) and at_least > max(limit, 0.0):
        raise ValueError(f"at_least must not be above the limit: {shown(at_least)} is more than {shown(limit)}")

    def decorate(*functions: CoroutineFunction[P, R]) -> CoroutineFunction[P, R]:
        if len(functions) != 1:  # called as the function would be that is its limit
            raise TypeError(f"limit is {shown(limit)}: to guard a function, write @with_timeout(1.5) above it")
        (function,) = functions
        refuse(function)
        inside: Any = function
        while isinstance(inside, functools.partial):
            inside = inside.func
        module = str(getattr(inside, "__module__", None) or "?")
        called = given or f"{module}:{getattr(inside, '__qualname__', type(inside).__qualname__)}"[: _names.LONGEST]
        if given is None:
            _names.is_default(called)
        _process.announce(called)
        caller = getattr(inside, "__globals__", {"__name__": module})

        @functools.wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            delay = limit() if callable(limit) else limit
            return await guard(function(*args, **kwargs), delay, called, "with_timeout", at_least, reserve, caller)

        return guarded

    return decorate


def _check_function(limit: Callable[..., object]) -> None:
    """Raise TypeError for a limit that cannot be asked: the function, mostly, that was to be guarded."""
    rule = "limit must be a number of seconds, or a function that returns it"
    wrong = f"{rule}, not {shown(limit)}: write @with_timeout(1.5)"
    if inspect.iscoroutinefunction(limit) or inspect.isasyncgenfunction(limit) or isinstance(limit, asyncio.Timeout):
        raise TypeError(wrong)
    try:
        signature = inspect.signature(limit)
    except (TypeError, ValueError):  # one written in C may not tell
        return
    try:
        signature.bind()
    except TypeError:
        raise TypeError(wrong) from None


def refuse(function: object) -> None:
    """Raise TypeError for what cannot be guarded, and say what to do instead."""
    if isinstance(function, functools.partialmethod):  # from 3.13 on, inspect looks through one
        advice = "put @with_timeout on the method that it is made of"
    elif inspect.iscoroutinefunction(function):
        return
    elif isinstance(function, staticmethod | classmethod):
        advice = f"put @with_timeout below @{type(function).__name__}"
    elif inspect.isasyncgenfunction(function):
        advice = "an async generator is left and resumed by others: use `async with timeout(...)` inside it"
    elif inspect.isclass(function):
        advice = "decorate its coroutine methods"
    elif inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004  # its kind matters
        advice = "decorate its __call__"
    elif callable(function):
        advice = "a plain function cannot be interrupted: make it `async def`, or call checkpoint() inside it"
    else:
        advice = "it goes on a coroutine function"
    raise TypeError(f"with_timeout cannot guard {shown(function)}: {advice}")

"""Names of timeouts: those that users gave, or those of the code that opened them."""

from __future__ import annotations

from types import CodeType, FrameType

from ._arguments import shown

LONGEST = 120
_MOST = 10_000

known: dict[str, str] = {}
"""Names that were checked, as they are used: one look-up on the hot path."""

sites: dict[int, tuple[str, CodeType]] = {}
"""Default names by ``id`` of the calling code; the code is kept alive, so that its id stays its own. (Hashing a code
object by value costs 530 ns on 3.12 and later, its id 30.)"""


defaults: set[str] = set()
"""Names that nobody gave: those of code, and of decorated functions. Configuration sets no limit for them."""


def checked(name: str) -> str:
    """`name` if it can be one, cut to 120 characters.

    Raises:
        TypeError: it is not a string.
        ValueError: it is empty.
    """
    try:
        return known[name]
    except (KeyError, TypeError):
        pass
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, not {shown(name)}") from None
    if not name:
        raise ValueError("name must not be empty; leave it out for the caller's module:qualname") from None
    short = name[:LONGEST].encode(errors="replace").decode()  # a lone surrogate would break every exporter's page
    if len(known) < _MOST:  # names made of data must not grow it
        known[name] = short
    return short


def of_caller(frame: FrameType) -> str:
    """The default name ``module:qualname`` of the code that runs in `frame`."""
    code = frame.f_code
    site = sites.get(id(code))
    if site is None:
        site = (f"{frame.f_globals.get('__name__', '?')}:{code.co_qualname}"[:LONGEST], code)
        if len(sites) < _MOST:  # code made at run time must not grow it
            sites[id(code)] = site
        is_default(site[0])
    return site[0]


def is_default(name: str) -> None:
    """Note that `name` is one of code's."""
    if len(defaults) < _MOST:
        defaults.add(name)

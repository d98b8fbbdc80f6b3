"""Text from strangers, as every log, span and page shows it: printable, encodable, bounded."""

from __future__ import annotations

from collections.abc import Callable

LONGEST = 1_000
"""Characters of a stranger's text that are shown."""

_MORE = "..."


def words(value: object, longest: int = LONGEST, *, show: Callable[[object], str] = str) -> str:
    """The text that `show` makes of `value`, at most `longest` characters; each that cannot be printed is escaped.

    Line breaks and lone surrogates are escaped too. An object that raises when it is shown reads as its type.
    """
    try:
        text = show(value)
        if len(text) <= longest and text.isprintable():
            return text
        text = "".join(map(_escaped, text[: longest + 1]))
    except Exception:
        text = f"<{_escaped_name(value)} without words>"
    return text if len(text) <= longest else text[: longest - len(_MORE)] + _MORE


def described(error: BaseException) -> str:
    """An exception's type and text, as a traceback ends."""
    text = words(error)
    return words(f"{_escaped_name(error)}: {text}" if text else _escaped_name(error))


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()


def _escaped_name(value: object) -> str:
    return words(type(value).__name__, 120)

"""Arguments of commands that ask a server: its URL, and headers to send along."""

from __future__ import annotations

import argparse

__all__ = ["header", "url"]


def url(text: str) -> str:
    """A URL without a slash at its end; ``http://`` may be left out.

    Raises:
        ArgumentTypeError: it is of another scheme.
    """
    whole = text if "://" in text else f"http://{text}"
    if not whole.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"a URL begins with http:// or https://, not as {text}")
    return whole.rstrip("/")


def header(text: str) -> tuple[str, str]:
    """The name and the value of a header that is written ``name: value``.

    Raises:
        ArgumentTypeError: it is not.
    """
    name, colon, value = text.partition(":")
    if not colon or not (text.isascii() and text.isprintable()):
        raise argparse.ArgumentTypeError(f"a header is 'name: value', not {text!r}")
    return name.strip(), value.strip()

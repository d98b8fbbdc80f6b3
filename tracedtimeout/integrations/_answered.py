"""Answers that web frameworks have their endpoints raise: no failures, if they are not the server's fault."""

from __future__ import annotations

from tracedtimeout._core import _deciding

_SERVERS_FAULT = 500


def is_answer(exc: BaseException) -> bool:
    """True if `exc` is an answer of a status under 500: Starlette's, FastAPI's, Litestar's, Sanic's, aiohttp.web's.

    The errors of clients (openai, anthropic, httpx, aiohttp's) have a status as well: that of somebody else's answer.
    They keep the response, and are none.
    """
    if not isinstance(exc, Exception):
        return False
    status: object
    if any(base.__module__ == "aiohttp.web_exceptions" for base in type(exc).__mro__):
        status = getattr(exc, "status", None)
    else:
        status = None if hasattr(exc, "response") else getattr(exc, "status_code", None)
    return isinstance(status, int) and status < _SERVERS_FAULT


def _safely(exc: BaseException) -> bool:
    try:
        return is_answer(exc)
    except Exception:  # a foreign property may raise anything
        return False


_deciding.answers_are(_safely)

"""The table of docs/servers.md: what each server is seen to do, as `behaviours` finds it, and why some differ."""

from __future__ import annotations

from dataclasses import dataclass

from tests.services.servers import SERVERS


@dataclass(frozen=True, slots=True)
class Cell:
    """What is seen, or any of them where it depends on who is first; none where it is not tried. And why."""

    seen: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        return " or ".join(self.seen) or "-"


NEXT = {
    "kept_alive": "is answered, body read",
    "pipelined": "the same, sent at once",
    "unread": "is answered, body unread",
    "half_read": "is answered, body half read",
    "background": "works on behind its answer",
    "late": "is late: 504",
    "late_upload": "is late, body unread: 504",
}
"""The request before, on the same connection. What is seen is how the next one fares."""
ITSELF = {
    "stalled": "its client stops sending",
    "aborted": "its response has begun",
    "flooded": "its client does not read",
    "flooded_socket": "a WebSocket's client does not read",
    "disconnected": "its client goes away",
    "mounted": "a mounted application's",
    "in_process": "a client's in the process",
    "closed": "an open WebSocket",
    "refused": "a WebSocket not accepted",
}
"""The request, whose deadline passes or is inherited."""

USUAL = {
    **dict.fromkeys(NEXT, "own"),
    "late_upload": "closes",
    "stalled": "504",
    "aborted": "cut",
    "flooded": "over",
    "flooded_socket": "over",
    "disconnected": "cancelled",
    "mounted": "bound",
    "in_process": "bound",
    "closed": "1011",
    "refused": "504",
}

_EARLY = Cell(("closes",), "It closes the connection of a request that is answered before its body has been read.")
_STREAMS = Cell(("own",), "Streams of HTTP/2 have an end of their own: the connection goes on.")
_READER = Cell(
    ("own", "closes"),
    "Whoever is first: its reader fails (`KeyError`) at what still arrives of a stream that has been answered, and the "
    "connection with it.",
)
OF_SOCKETS = ("flooded_socket", "closed", "refused")
_NO_CONNECT = Cell((), "It has no WebSockets over HTTP/2: it does not offer CONNECT for them (RFC 8441).")
_OF_ASGI = Cell((), "It is tried with ASGI's servers.")
_NO_MOUNT = Cell((), "No ASGI: the request is bound by what is open in its own task alone.")
_ONE_CALL = Cell((), "A call is over with its response.")

DIFFERENT: dict[tuple[str, str], Cell] = {
    ("hypercorn", "unread"): _EARLY,
    ("hypercorn", "half_read"): _EARLY,
    ("granian", "unread"): _EARLY,
    ("granian", "half_read"): _EARLY,
    ("hypercorn-h2", "unread"): _READER,
    ("hypercorn-h2", "half_read"): _READER,
    ("hypercorn-h2", "late_upload"): _READER,
    ("hypercorn-h2", "aborted"): Cell(
        ("left open",), "It does not reset the stream of an application that raises: the client waits."
    ),
    ("granian-h2", "late_upload"): _STREAMS,
    ("daphne", "stalled"): Cell(
        ("not begun",), "It collects the whole body before it starts the application: no door is reached before."
    ),
    ("daphne", "aborted"): Cell(
        ("left open",), "It cuts no response that has begun when its application raises: the client waits."
    ),
    ("daphne", "closed"): Cell(("3008",), "It takes no close code of an application from 1001 to 2999."),
    ("daphne", "refused"): Cell(("403",), "It has no `websocket.http.response`."),
    ("aiohttp", "background"): Cell(
        ("closes",),
        "It starts the next request when the handler is over, and closes the connection of one that raises.",
    ),
    ("aiohttp", "late_upload"): Cell(("own",), "It reads the rest by itself."),
    ("aiohttp", "closed"): Cell(("cut",), "Its WebSocket belongs to the handler, which the deadline ends."),
    ("aiohttp", "mounted"): _NO_MOUNT,
    ("aiohttp", "in_process"): _NO_MOUNT,
    ("grpc", "background"): _ONE_CALL,
    ("grpc", "late_upload"): _STREAMS,
    ("grpc", "stalled"): Cell(("DEADLINE_EXCEEDED",), "Its word for it."),
    ("grpc", "aborted"): Cell(("DEADLINE_EXCEEDED",), "Its word for it."),
    ("grpc", "mounted"): _NO_MOUNT,
    ("grpc", "in_process"): _NO_MOUNT,
    ("grpc", "closed"): Cell((), "It has no WebSockets."),
    ("grpc", "refused"): Cell((), "It has no WebSockets."),
    **{("granian-h2", name): _NO_CONNECT for name in OF_SOCKETS},
    **{(server, name): _OF_ASGI for server in ("aiohttp", "grpc") for name in ("flooded", "flooded_socket")},
}


def cell(server: str, dialogue: str) -> Cell:
    return DIFFERENT.get((server, dialogue)) or Cell((USUAL[dialogue],), "")


def page() -> list[str]:
    """The two tables and their notes, in Markdown."""
    notes: dict[str, int] = {}
    tables = [_table(NEXT, notes), _table(ITSELF, notes)]
    return [*tables, "\n".join(f"{number}. {reason}" for reason, number in notes.items())]


def _table(dialogues: dict[str, str], notes: dict[str, int]) -> str:
    lines = ["| | " + " | ".join(dialogues.values()) + " |", "|---" * (len(dialogues) + 1) + "|"]
    for name, server in SERVERS.items():
        cells = [_text(cell(name, dialogue), notes) for dialogue in dialogues]
        lines.append(f"| {server.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _text(shown: Cell, notes: dict[str, int]) -> str:
    if not shown.reason:
        return str(shown)
    return f"{shown} ({notes.setdefault(shown.reason, len(notes) + 1)})"

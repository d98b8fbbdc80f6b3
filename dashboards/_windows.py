"""The windows in PromQL, and how they are shrunk for a drill or a test."""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?<=\[)\d+[smhd](?=\])|(?<=offset )\d+[smhd]\b")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def scaled(text: str, scale: float) -> str:
    """A PromQL expression with every window and offset multiplied by `scale`, to the millisecond."""
    return _DURATION.sub(lambda match: duration(match[0], scale), text)


def duration(text: str, scale: float) -> str:
    """A Prometheus duration multiplied by `scale`; itself when that is 1."""
    return text if scale == 1 else f"{round(int(text[:-1]) * _SECONDS[text[-1]] * scale * 1000)}ms"

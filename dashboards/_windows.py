"""The windows in PromQL, and how they are shrunk for a drill or a test."""

from __future__ import annotations

import re

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_DURATION = re.compile(r"(?<=\[)\d+[smhd](?=\])|(?<=offset )\d+[smhd]\b")
_AGE = re.compile(r"(?<=time\(\) - )\d+")


def scaled(text: str, scale: float) -> str:
    """A PromQL expression with every window, offset and age multiplied by `scale`, to the millisecond."""
    if scale == 1:
        return text
    aged = _AGE.sub(lambda match: f"{int(match[0]) * scale:.3f}", text)
    return _DURATION.sub(lambda match: duration(match[0], scale), aged)


def duration(text: str, scale: float) -> str:
    """A Prometheus duration multiplied by `scale`; itself when that is 1."""
    return text if scale == 1 else f"{round(int(text[:-1]) * SECONDS[text[-1]] * scale * 1000)}ms"

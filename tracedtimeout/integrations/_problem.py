"""The answer to a request whose deadline has passed: problem details (RFC 9457) with nothing of our internals."""

from __future__ import annotations

import json

PROBLEM = json.dumps(
    {"type": "about:blank", "title": "Gateway Timeout", "status": 504, "detail": "The deadline has passed."}
).encode()
"""Of a refusal and an expiry alike: what the limits are is nobody's business."""
PROBLEM_HEADERS = [
    (b"content-type", b"application/problem+json"),
    (b"content-length", b"%d" % len(PROBLEM)),
    (b"deadline-expired", b"1"),
]

"""Without the extra `frameworks` these tests are not collected: the README's command does not install it."""

from __future__ import annotations

from importlib.util import find_spec

NEEDED = ("a2wsgi", "django", "flask", "quart", "sanic", "taskiq")

collect_ignore_glob = [] if all(map(find_spec, NEEDED)) else ["test_*.py"]

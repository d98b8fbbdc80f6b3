"""Without the extra `sdks` these tests are not collected: the README's command does not install it."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if all(map(find_spec, ("anthropic", "mcp", "openai"))) else ["test_*.py"]

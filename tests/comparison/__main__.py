"""Runs every case and writes the tables of docs/comparison.md: ``python -m tests.comparison``; ``--check`` compares."""

from __future__ import annotations

import sys

from . import tables


def main(arguments: list[str]) -> int | str:
    if absent := tables.missing():
        return f"not here in the release that is compared, pip install '.[comparison]': {', '.join(absent)}"
    now = tables.rendered()
    if "--check" not in arguments:
        tables.put(now)
        return 0
    stale = [name for name, table in tables.written().items() if table != now.get(name)]
    return "".join(f"docs/comparison.md: {name} is now\n\n{now.get(name)}\n" for name in stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) or 0)

"""The live page: page.html, style.css and script.js as one document, with nothing to build and nothing to fetch."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib import resources
from string import Template
from typing import Any
from urllib.parse import quote

TABLES = {
    "flight": (
        "In flight",
        "Timeouts open now, the oldest first, those nested in another beneath it.",
        ("Timeout", "Budget used", "Elapsed / limit", "Whose deadline", "Waiting at"),
        "Nothing is in flight.",
    ),
    "ended": (
        "Ran out of time",
        "The last timeouts that a deadline ended, the latest first, and what the timeouts nested in them took.",
        ("Timeout", "At", "Outcome", "Message", "Spent in"),
        "None has run out of time since this page was mounted.",
    ),
    "names": (
        "By name",
        "Ends in a second and percentiles while this page is watched; before, and totals, since the process began.",
        ("Timeout", "Open", "Rate", "p50", "p95", "p99", "Mean limit", "Out of time"),
        "No timeout has been entered yet.",
    ),
}


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


STYLE, SCRIPT, PAGE = _read("style.css"), _read("script.js"), Template(_read("page.html"))


def _hash(words: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(words.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(STYLE)}; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The rights of the page in a browser: it may run this script, and talk to the host that it came from."""


def page(view: dict[str, Any], path: str) -> str:
    """The document, with the figures of now in it; `path` is where it was asked for."""
    last = path.rpartition("/")[2]
    below = f"./{quote(last, errors='replace')}/" if last else ""  # ./, lest a colon in it make it a scheme
    tables = "".join(_table(name, view[name], view["more"] if name == "flight" else None) for name in TABLES)
    return PAGE.substitute(
        style=STYLE,
        script=SCRIPT,
        count=view["count"],
        time=escape(view["time"]),
        json=f"{below}json",
        events=f"{below}events",
        tables=tables,
    )


def _table(name: str, rows: list[dict[str, Any]], more: str | None) -> str:
    title, caption, labels, none = TABLES[name]
    head = "".join(f'<th scope="col" role="columnheader">{label}</th>' for label in labels)
    body = "".join(_row(row, labels) for row in rows)
    body = body or f'<tr class="none" data-key=""><td colspan="{len(labels)}">{none}</td></tr>'
    below = "" if more is None else f'<p id="more" class="dim">{more}</p>'
    return (
        f'<section><h2 id="{name}-title">{title}</h2><table id="{name}" role="table" aria-labelledby="{name}-title" '
        f'data-none="{none}"><caption>{caption}</caption><thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>{below}</section>'
    )


def _row(row: dict[str, Any], labels: tuple[str, ...]) -> str:
    first, *others = (f'<div class="cell">{_cell(cell)}</div>' for cell in row["cells"])
    cells = f'<th scope="row" role="rowheader">{first}</th>' + "".join(
        f'<td role="cell" data-label="{label}">{cell}</td>' for label, cell in zip(labels[1:], others, strict=True)
    )
    return f'<tr role="row" data-key="{escape(row["key"])}">{cells}</tr>'


def _cell(cell: dict[str, Any]) -> str:
    drawn = "".join(f'<span class="part">{_cell(part)}</span>' for part in cell.get("parts", ()))
    tone = cell.get("tone", "")
    if "bar" in cell:
        drawn += f'<progress max="1" value="{cell["bar"]}" class="{tone}" aria-hidden="true"></progress>'
        tone = ""
    if "spark" in cell:
        points = f'<polyline points="{cell["spark"]}"></polyline>'
        drawn += f'<svg viewBox="0 0 120 24" aria-hidden="true">{points}</svg>'
    depth = cell.get("depth", 0)
    name = tone or (f"d{min(depth, 5)}" if depth else "")
    told = f' aria-description="level {depth + 1}"' if depth else ""
    return f'{drawn}<span class="{name}"{told}>{escape(cell.get("text", ""))}</span>'

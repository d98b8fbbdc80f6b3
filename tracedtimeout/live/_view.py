"""The words of the live page: rows of cells that the server and the browser draw alike."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from tracedtimeout._core._exceeded import Spent

from ._figures import Ended, Figures
from ._tree import Node, Tree

Cell = dict[str, Any]
"""``text``, and what goes with it: ``bar`` (a share), ``spark`` (points), ``depth`` (in a tree), ``parts`` (cells)."""

SHOWN = 12
"""Timeouts that ran out of time that the page shows; the JSON has all that are remembered."""

WARM, HOT = 0.5, 0.9
"""Shares of the budget from which a bar is coloured."""


def view(at: float, tree: Tree, ended: Sequence[Ended], names: Sequence[Figures]) -> dict[str, Any]:
    """The page's tables by their ids, and its status line."""
    return {
        "time": clock(at),
        "count": len(tree.nodes) + tree.hidden,
        "more": f"and {tree.hidden} more, younger ones" if tree.hidden else "",
        "last": f"{ended[0].name}: {ended[0].outcome}" if ended else "",
        "number": ended[0].number if ended else 0,
        "flight": [_flight(node) for node in tree.nodes],
        "ended": [_ended(one) for one in ended[:SHOWN]],
        "names": [_name(figures) for figures in names],
    }


def _flight(node: Node) -> dict[str, Any]:
    bounded = node.limit < math.inf
    used: Cell = {"text": f"{node.used:.0%}", "bar": round(node.used, 4), "tone": _tone(node.used)}
    if node.unwinding is not None:
        used |= {"text": f"expired, not yet left for {node.unwinding:.1f} s", "bar": 1.0, "tone": "hot over"}
    cells: list[Cell] = [
        {"text": node.name, "depth": node.depth},
        used if bounded or node.unwinding is not None else {"text": "no limit"},
        {"text": f"{node.elapsed:.2f}" + (f" / {node.limit:.2f} s{in_code(node.requested)}" if bounded else " s")},
        {"text": "its own" if node.owner == node.name else node.owner or "nobody's"},
        {"text": node.where},
    ]
    return {"key": node.key, "cells": cells}


def _tone(used: float) -> str:
    return "hot" if used >= HOT else "warm" if used >= WARM else ""


def _ended(one: Ended) -> dict[str, Any]:
    whole = max([one.elapsed, *(each.seconds for each in one.spent)])
    cells: list[Cell] = [
        {"text": one.name},
        {"text": clock(one.at)},
        {"text": one.outcome, "tone": "badge"},
        {"text": one.message},
        {"parts": [_spent(each, whole) for each in one.spent]},
    ]
    return {"key": str(one.number), "cells": cells}


def _spent(each: Spent, whole: float) -> Cell:
    tone = "hot" if each.unfinished else ""
    return {"text": str(each), "bar": round(each.seconds / whole, 4) if whole else 0.0, "tone": tone}


def _name(figures: Figures) -> dict[str, Any]:
    rate = f"{figures.rates[-1]:.1f}/s" if figures.rates else ""
    cells: list[Cell] = [
        {"text": figures.name},
        {"text": str(figures.open)},
        {"text": rate, "spark": _points(figures.rates)},
        *({"text": seconds(value)} for value in (figures.p50, figures.p95, figures.p99)),
        {"text": seconds(figures.limit) + configured(figures.configured)},
        {"text": f"{figures.out_of_time} of {figures.ended}", "tone": "hot-text" if figures.out_of_time else ""},
    ]
    return {"key": figures.name, "cells": cells}


def _points(rates: Sequence[float]) -> str:
    """An SVG polyline in a box of 120 by 24, the newest at its right."""
    top = max(rates, default=0.0) or 1.0
    start = 118 - 2 * (len(rates) - 1)
    return " ".join(f"{start + 2 * step},{22 - 20 * rate / top:.1f}" for step, rate in enumerate(rates))


def in_code(requested: float | None) -> str:
    """The seconds that the code asks for, behind a limit that is configured."""
    return "" if requested is None else f" ({requested:.2f} s in the code)"


def configured(limit: float | None) -> str:
    """The limit that is configured for a name, behind the mean of those granted."""
    return "" if limit is None else f" ({seconds(limit)} configured)"


def seconds(value: float) -> str:
    if not math.isfinite(value):
        return "–"  # noqa: RUF001  # a dash in a table
    return f"{value * 1000:.0f} ms" if value < 0.9995 else f"{value:.2f} s"


def clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))

"""The live page's HTML, style and script: one document, with nothing to build and nothing to fetch."""

from __future__ import annotations

import base64
import hashlib
from html import escape
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

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#57606a;--line:#d8dee4;--track:#e4e8ec;--cool:#2a6f97;
--warm:#a15c00;--hot:#b3261e}
@media(prefers-color-scheme:dark){:root{--bg:#14181d;--fg:#e6eaee;--dim:#a0abb6;--line:#303841;--track:#2b333c;
--cool:#6cb6e0;--warm:#f0b35a;--hot:#ff8a80}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem 1.25rem 3rem;max-width:84rem;background:var(--bg);color:var(--fg);
font:15px/1.45 system-ui,sans-serif}
header{display:flex;flex-wrap:wrap;gap:.4rem 1rem;align-items:baseline}
h1{font-size:1.35rem;margin:0}h2{font-size:1.05rem;margin:1.8rem 0 0}
p{margin:.3rem 0}.dim,caption{color:var(--dim)}#status{flex:1;min-width:16rem}
button{font:inherit;color:inherit;background:none;border:1px solid var(--dim);border-radius:.4rem;padding:.15rem .8rem}
a{color:var(--cool)}:focus-visible{outline:3px solid var(--cool);outline-offset:2px}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:.1rem 0 .5rem}
th,td{text-align:left;vertical-align:top;padding:.3rem 1rem .3rem 0;border-top:1px solid var(--line);
overflow-wrap:anywhere}
thead th{border-top:0;color:var(--dim);font-weight:500;font-size:.85rem;white-space:nowrap}
tbody th{font-weight:600}
#flight th:nth-child(1),#names th:nth-child(1){width:24%}#flight th:nth-child(2){width:19%}
#flight th:nth-child(3){width:13%}#flight th:nth-child(4){width:13%}
#ended th:nth-child(1){width:14%}#ended th:nth-child(2),#ended th:nth-child(3){width:7.5%}
#ended th:nth-child(5){width:26%}
#flight td:nth-child(3),#ended td:nth-child(2){white-space:nowrap}
.d1{padding-left:1.2rem}.d2{padding-left:2.4rem}.d3{padding-left:3.6rem}.d4{padding-left:4.8rem}.d5{padding-left:6rem}
.d1,.d2,.d3,.d4,.d5{position:relative;display:block}
.d1::before,.d2::before,.d3::before,.d4::before,.d5::before{content:"\\2514";color:var(--dim);
position:absolute;margin-left:-1rem}
progress{appearance:none;display:inline-block;width:8rem;max-width:60%;height:.6rem;border:0;border-radius:.3rem;
overflow:hidden;background:var(--track);color:var(--cool);vertical-align:middle;margin-right:.6rem}
progress::-webkit-progress-bar{background:var(--track)}
progress::-webkit-progress-value{background:currentColor;transition:width .25s linear}
progress::-moz-progress-bar{background:currentColor}
progress.warm{color:var(--warm)}progress.hot{color:var(--hot)}progress.over{display:block;margin:.4rem 0 .2rem}
.part{display:block}.part progress{display:block;width:100%;max-width:none;margin:.35rem 0 .1rem;height:.4rem}
.badge{border:1px solid currentColor;border-radius:.6rem;padding:0 .5rem;color:var(--hot);font-size:.85rem;
white-space:nowrap}
.hot-text{color:var(--hot)}
svg{width:120px;height:24px;vertical-align:middle;margin-right:.6rem}
polyline{fill:none;stroke:var(--cool);stroke-width:1.5;stroke-linejoin:round}
.none td{color:var(--dim)}
@media(prefers-reduced-motion:reduce){progress::-webkit-progress-value{transition:none}}
@media(max-width:46rem){thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table,tbody,caption{display:block;width:auto}tbody tr{display:block;border-top:1px solid var(--line);padding:.5rem 0}
tbody th,tbody td{display:flex;gap:.6rem;border:0;padding:.1rem 0;width:auto!important}
tbody td:empty{display:none}
tbody td[data-label]::before{content:attr(data-label);flex:0 0 7rem;color:var(--dim);font-size:.85rem}
.cell{flex:1;min-width:0}}
"""

SCRIPT = """
"use strict";
const $ = id => document.getElementById(id);
const make = (tag, name) => Object.assign(document.createElement(tag), {className: name || ""});
const SVG = "http://www.w3.org/2000/svg";
function spark(points) {
  const svg = document.createElementNS(SVG, "svg"), line = document.createElementNS(SVG, "polyline");
  svg.setAttribute("viewBox", "0 0 120 24"); svg.setAttribute("aria-hidden", "true");
  line.setAttribute("points", points); svg.append(line);
  return svg;
}
function draw(box, cell) {
  const bar = box.querySelector(":scope > progress");
  if (bar && cell.bar !== undefined) {
    bar.value = cell.bar; bar.className = cell.tone || ""; bar.nextSibling.textContent = cell.text;
    return;
  }
  box.replaceChildren();
  if (cell.parts) for (const part of cell.parts) draw(box.appendChild(make("span", "part")), part);
  if (cell.bar !== undefined) {
    const bar = box.appendChild(make("progress", cell.tone));
    bar.max = 1; bar.value = cell.bar; bar.setAttribute("aria-hidden", "true");
  }
  if (cell.spark !== undefined) box.append(spark(cell.spark));
  const text = make("span", cell.bar === undefined && cell.tone || cell.depth && "d" + Math.min(cell.depth, 5));
  text.textContent = cell.text || "";
  if (cell.depth) text.setAttribute("aria-description", "level " + (cell.depth + 1));
  box.append(text);
}
function tr(row, labels) {
  const line = make("tr");
  line.dataset.key = row.key; line.setAttribute("role", "row");
  row.cells.forEach((_, place) => {
    const cell = line.appendChild(make(place ? "td" : "th"));
    cell.setAttribute("role", place ? "cell" : "rowheader");
    if (place) cell.dataset.label = labels[place]; else cell.scope = "row";
    cell.append(make("div", "cell"));
  });
  return line;
}
function table(id, rows) {
  const body = $(id).tBodies[0], labels = [...$(id).tHead.rows[0].cells].map(cell => cell.textContent);
  const old = new Map([...body.rows].map(line => [line.dataset.key, line]));
  rows.forEach((row, place) => {
    const line = old.get(row.key) || tr(row, labels);
    old.delete(row.key);
    if (body.rows[place] !== line) body.insertBefore(line, body.rows[place] || null);
    row.cells.forEach((cell, column) => {
      const told = JSON.stringify(cell), box = line.cells[column].firstChild;
      if (box.told !== told) draw(box, cell);
      box.told = told;
    });
  });
  const none = old.get("");  // no row of a timeout: names are not empty
  old.forEach(line => line.remove());
  if (!rows.length) {
    const line = none || make("tr", "none"), cell = none ? none.cells[0] : line.appendChild(make("td"));
    line.dataset.key = ""; cell.colSpan = labels.length; cell.textContent = $(id).dataset.none;
    body.append(line);
  }
}
let told = null, spoken = 0, source = null, tallest = 0, late = 0;
function settle(section) {  // what is below must not jump while it is read
  tallest = Math.max(tallest, section.offsetHeight);
  section.style.minHeight = Math.min(tallest, innerHeight / 2) + "px";
}
function show(view) {
  for (const id of ["flight", "ended", "names"]) table(id, view[id]);
  $("more").textContent = view.more;
  settle($("flight").parentNode);
  $("now").textContent = view.count + " in flight at " + view.time;
  if (view.number !== told && (told === null || Date.now() - spoken > 5000)) {
    if (told !== null) { $("said").textContent = "Last out of time: " + view.last; spoken = Date.now(); }
    told = view.number;
  }
}
function watch() {
  source = new EventSource($("json").dataset.events);
  source.onmessage = event => { lost(false); show(JSON.parse(event.data)); };
  source.onerror = () => {
    lost(true);
    if (source && source.readyState === 2) setTimeout(() => { if (source && source.readyState === 2) watch(); }, 3000);
  };
}
function lost(yes) {  // each stream ends after some seconds and is opened again: no news
  if (!yes) { clearTimeout(late); late = 0; $("link").textContent = ""; }
  else if (!late) late = setTimeout(() => { $("link").textContent = "Reconnecting. "; }, 3000);
}
$("still").hidden = true;
$("pause").hidden = false;
$("pause").onclick = () => {
  const paused = $("pause").getAttribute("aria-pressed") !== "true";
  $("pause").setAttribute("aria-pressed", paused);
  if (paused) { source.close(); source = null; lost(false); } else watch();
};
watch();
"""


def _hash(words: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(words.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; script-src {_hash(SCRIPT)}; style-src {_hash(STYLE)}; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the browser may do with the page: run this script, and talk to where it came from."""


def page(view: dict[str, Any], path: str) -> str:
    """The document, with the figures of now in it; `path` is where it was asked for."""
    last = path.rpartition("/")[2]
    below = f"./{quote(last, errors='replace')}/" if last else ""  # ./, lest a colon in it make it a scheme
    tables = "".join(_table(name, view[name], view["more"] if name == "flight" else None) for name in TABLES)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Timeouts</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">
<style>{STYLE}</style></head><body>
<header><h1>Timeouts</h1><p id="status"><span id="link"></span><span id="now">{view["count"]} in flight at \
{escape(view["time"])}</span></p>
<button id="pause" type="button" aria-pressed="false" hidden>Pause</button>
<a id="json" href="{below}json" data-events="{below}events">JSON</a></header>
<p id="said" class="dim" role="status" aria-live="polite"></p>
<p id="still">Without JavaScript this page stands still: <a href="">reload it</a>.</p>
<main>{tables}</main><script>{SCRIPT}</script></body></html>
"""


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

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
let told = null, spoken = 0, source = null, late = 0;
const heights = [];
function settle(section) {  // what is below must not jump at each update, and follows within ten
  section.style.minHeight = "";
  heights.push(section.offsetHeight);
  if (heights.length > 10) heights.shift();
  section.style.minHeight = Math.min(Math.max(...heights), innerHeight / 2) + "px";
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

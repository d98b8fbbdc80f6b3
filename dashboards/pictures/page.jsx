// Draws a dashboard with Grafana's own components: window.SHOWN holds its JSON and the answers of its queries.
import { createTheme, FieldType, getDisplayProcessor, reduceField } from '@grafana/data';
import { BigValue, GlobalStyles, PanelChrome, Table, ThemeContext, TimeSeries } from '@grafana/ui';
import { createRoot } from 'react-dom/client';
import { useEffect, useRef } from 'react';
import { configured, series, table } from './frames.js';

const { board, from, to, step, answers } = window.SHOWN;
const COLUMN = (1600 - 8) / 24, CELL = 38, GAP = 8;
const theme = createTheme({ colors: { mode: window.MODE } });
const first = Math.round(from), times = [];
for (let at = first; at <= to; at += step * 1000) times.push(at);
const range = { times, from: { valueOf: () => from }, to: { valueOf: () => to }, raw: { from: 'now-3m', to: 'now' } };

function Lines({ panel, frames, width, height }) {
  const legend = { showLegend: true, displayMode: 'table', placement: 'bottom', calcs: ['lastNotNull', 'max'], ...panel.options?.legend };
  return <TimeSeries frames={frames} structureRev={1} timeRange={range} timeZone="utc" width={width} height={height}
    legend={legend} options={panel.options} />;
}

function Numbers({ frames, width, height }) {
  const shown = frames.length ? frames : [null];
  return <div style={{ display: 'flex' }}>{shown.map((frame, index) => {
    const field = frame?.fields[1];
    const last = field ? reduceField({ field, reducers: ['lastNotNull'] }).lastNotNull : null;
    const value = field ? (field.display ?? getDisplayProcessor({ field, theme }))(last) : { text: 'none', numeric: NaN };
    if (frames.length > 1) value.title = field.config.displayNameFromDS;
    return <BigValue key={index} theme={theme} value={value} width={width / shown.length} height={height} colorMode="value"
      graphMode="area" justifyMode="auto" textMode="auto"
      sparkline={field && { y: { ...field, config: { ...field.config, custom: { fillOpacity: 20, lineWidth: 1 } } }, x: frame.fields[0] }} />;
  })}</div>;
}

// @grafana/ui has no heatmap: this one is ours, in its colours.
function Heat({ panel, width, height, found }) {
  const canvas = useRef(null);
  useEffect(() => {
    const rows = found.map((one) => ({ le: one.metric.le === '+Inf' ? Infinity : Number(one.metric.le), at: new Map(one.values.map(([t, v]) => [Math.round(t * 1000), +v])) }))
      .sort((a, b) => a.le - b.le);
    const pen = canvas.current.getContext('2d'), left = 56, bottom = 20, w = (width - left) / times.length, h = (height - bottom) / rows.length;
    const counts = rows.map((row, y) => times.map((t) => Math.max(0, (row.at.get(t) ?? 0) - (rows[y - 1]?.at.get(t) ?? 0))));
    const most = Math.max(...counts.flat(), 1e-9);
    counts.forEach((row, y) => row.forEach((count, x) => {
      if (!count) return;
      pen.fillStyle = `rgba(255, 120, 10, ${Math.sqrt(count / most)})`;
      pen.fillRect(left + x * w, height - bottom - (y + 1) * h, w + 0.3, h - 1);
    }));
    pen.fillStyle = theme.colors.text.secondary; pen.font = '11px Inter, sans-serif'; pen.textAlign = 'right';
    const percent = panel.fieldConfig.defaults.unit === 'percentunit';
    rows.forEach((row, y) => { if (y % 2 === 0) pen.fillText(Number.isFinite(row.le) ? (percent ? `${row.le * 100}%` : `${row.le} s`) : '+Inf', left - 6, height - bottom - y * h - h / 4); });
    pen.textAlign = 'center';
    for (let x = 15; x < times.length; x += 30) pen.fillText(new Date(times[x]).toISOString().slice(11, 19), left + x * w, height - 5);
  });
  return <canvas ref={canvas} width={width} height={height} />;
}

function Panel({ panel, frames, rows }) {
  const { x, y, w, h } = panel.gridPos;
  const at = { position: 'absolute', left: x * COLUMN + GAP, top: y * CELL };
  if (panel.type === 'row') return <h5 style={{ ...at, paddingTop: 8 }}>⌄ {panel.title}</h5>;
  return <div style={at}>
    <PanelChrome width={w * COLUMN - GAP} height={h * CELL - GAP} title={panel.title} description={panel.description}>
      {(width, height) => panel.type === 'timeseries' ? (frames.length ? <Lines {...{ panel, frames, width, height }} /> : <p>No data</p>)
        : panel.type === 'stat' ? <Numbers {...{ frames, width, height }} />
        : panel.type === 'table' ? (rows.length ? <Table data={rows} width={width} height={height} columnMinWidth={70} /> : <p>none</p>)
        : <Heat {...{ panel, width, height }} found={answers[panel.id]?.A ?? []} />}
    </PanelChrome>
  </div>;
}

const drawn = await Promise.all(board.panels.map(async (panel) => {
  if (panel.type === 'table') return { panel, frames: [], rows: configured(panel, [await table(panel, answers[panel.id])], theme)[0] };
  if (panel.type === 'row' || panel.type === 'heatmap') return { panel, frames: [] };
  return { panel, frames: configured(panel, series(panel, answers[panel.id], range), theme) };
}));
const bottom = Math.max(...board.panels.map(({ gridPos: { y, h } }) => y + h));
createRoot(document.getElementById('root')).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <div style={{ width: 1600 + GAP, background: theme.colors.background.canvas, padding: '8px 0' }}>
      <h3 style={{ margin: '4px 8px' }}>{board.title}
        <small style={{ color: theme.colors.text.secondary, fontSize: 13, marginLeft: 16 }}>{window.LABEL}</small></h3>
      <div style={{ position: 'relative', height: bottom * CELL + GAP }}>
        {drawn.map((one) => <Panel key={one.panel.id} {...one} />)}
      </div>
    </div>
  </ThemeContext.Provider>);

// Answers of Prometheus as Grafana's data frames, with the field configuration of their panel applied.
import {
  applyFieldOverrides, createDataFrame, FieldConfigOptionsRegistry, FieldType, identityOverrideProcessor,
  standardTransformers, standardTransformersRegistry, transformDataFrame,
} from '@grafana/data';
import { firstValueFrom } from 'rxjs';

standardTransformersRegistry.setInit(() =>
  [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer].map((it) => ({ id: it.id, name: it.name, transformation: it })));

const OPTIONS = ['unit', 'min', 'max', 'decimals', 'displayName', 'color', 'thresholds', 'mappings', 'noValue'];
const CUSTOM = ['lineStyle', 'fillOpacity', 'lineWidth', 'drawStyle', 'stacking', 'thresholdsStyle', 'cellOptions',
  'filterable', 'gradientMode', 'lineInterpolation', 'barAlignment', 'pointSize', 'showPoints', 'spanNulls',
  'axisPlacement', 'axisColorMode', 'scaleDistribution', 'align', 'width', 'hideFrom'];
const LINES = { // what the panel's editor would fill in
  drawStyle: 'line', lineInterpolation: 'linear', barAlignment: 0, gradientMode: 'none', pointSize: 5,
  showPoints: 'never', spanNulls: true, axisPlacement: 'auto', axisColorMode: 'text',
  scaleDistribution: { type: 'linear' }, hideFrom: { legend: false, tooltip: false, viz: false },
};
const registry = new FieldConfigOptionsRegistry(() => [...OPTIONS.map((path) => option(path, path, false)),
  ...CUSTOM.map((path) => option(`custom.${path}`, path, true))]);

function option(id, path, isCustom) {
  return { id, path, isCustom, name: id, process: identityOverrideProcessor, shouldApply: () => true, settings: {} };
}

export function configured(panel, frames, theme) {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  const lines = panel.type === 'timeseries';
  const color = defaults.color ?? { mode: lines ? 'palette-classic' : 'thresholds' };
  const custom = { ...(lines ? LINES : {}), ...defaults.custom };
  const fieldConfig = { defaults: { ...defaults, links: [], color, custom }, overrides };
  return applyFieldOverrides({
    data: frames, fieldConfig, fieldConfigRegistry: registry, replaceVariables: (text) => text, theme, timeZone: 'utc',
  });
}

export function series(panel, answers, range) {
  return panel.targets.flatMap((target) => (answers[target.refId] ?? []).map((one) => {
    const found = new Map((one.values ?? []).map(([at, value]) => [Math.round(at * 1000), Number(value)]));
    const times = range.times;
    const name = target.legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label) => one.metric[label] ?? '');
    return createDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: times, config: {} },
        { name: 'Value', type: FieldType.number, labels: one.metric, config: { displayNameFromDS: name },
          values: times.map((at) => { const v = found.get(at); return Number.isFinite(v) ? v : null; }) },
      ],
    });
  }));
}

export async function table(panel, answers) {
  const many = panel.targets.length > 1;
  const frames = panel.targets.map((target) => {
    const rows = answers[target.refId] ?? [];
    const labels = [...new Set(rows.flatMap((row) => Object.keys(row.metric)))].filter((name) => name !== '__name__');
    return createDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: FieldType.time, values: rows.map((row) => row.value[0] * 1000), config: {} },
        ...labels.map((name) => ({ name, type: FieldType.string, config: {}, values: rows.map((row) => row.metric[name] ?? '') })),
        { name: many ? `Value #${target.refId}` : 'Value', type: FieldType.number, config: {},
          values: rows.map((row) => Number(row.value[1])) },
      ],
    });
  });
  // Every query was asked at nearly the same time: one row of them all, as Grafana asks them.
  frames.forEach((frame) => { frame.fields[0].values = frame.fields[0].values.map(() => 0); });
  const [merged] = await firstValueFrom(transformDataFrame(panel.transformations ?? [], frames.filter((frame) => frame.length)));
  return merged ?? createDataFrame({ fields: [] });
}

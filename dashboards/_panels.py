"""The kinds of panel these dashboards use, each with its unit, description, legend, thresholds and links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DATASOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
KEPT = ("datasource", "cluster", "namespace", "job", "instance")
"""Variables that a link takes along."""

KEEP = "&".join(f"${{{name}:queryparam}}" for name in KEPT) + "&${__url_time_range}"
OVERVIEW, ONE, ACROSS = "tracedtimeout-overview", "tracedtimeout-one", "tracedtimeout-across"

OUTCOMES = {
    "completed": "green",
    "late": "yellow",
    "expired": "red",
    "inherited": "orange",
    "replaced": "purple",
    "suppressed": "dark-red",
    "rejected": "blue",
    "cancelled": "#8e8e8e",
    "failed": "dark-purple",
}
Steps = Sequence[tuple[float, str]]
Panel = TypeVar("Panel", timeseries.Panel, stat.Panel, heatmap.Panel, table.Panel)


@dataclass(frozen=True, slots=True)
class Query:
    """One expression of a panel: its legend, and whether it shows exemplars."""

    expr: str
    legend: str
    exemplar: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """The description of a panel."""

    title: str
    description: str
    unit: str
    steps: Steps = ()


def lines(text: Text, queries: Sequence[Query], *, span: int = 12, stacked: bool = False) -> timeseries.Panel:
    """Lines over time; bars on top of each other when `stacked`."""
    panel = _common(timeseries.Panel(), text, queries, span).height(8)
    panel.legend(_legend()).tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    label = next(
        (name for name in ("timeout", "owner") if all(f"{{{{{name}}}}}" in query.legend for query in queries)), ""
    )
    panel.min(0).data_links([_to_one(f"${{__field.labels.{label}:percentencode}}" if label else "")])
    mode = common_models.GraphThresholdsStyleMode.DASHED if text.steps else common_models.GraphThresholdsStyleMode.OFF
    panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(mode))
    if stacked:
        panel.draw_style(common_models.GraphDrawStyle.BARS).fill_opacity(60).line_width(0)
        panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
    else:
        panel.fill_opacity(5).line_width(1)
    return panel


def by_outcome(panel: timeseries.Panel) -> timeseries.Panel:
    """Colour series by the outcome their legend ends with, the same everywhere."""
    for outcome, color in OUTCOMES.items():
        fixed = models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": color})
        panel.override_by_regexp(f"/{outcome}$/", [fixed])
    return panel


def dashed(panel: timeseries.Panel, name: str) -> timeseries.Panel:
    """Draw the series called `name` as a limit: dashed, red, unfilled."""
    return panel.override_by_name(
        name,
        [
            models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": "red"}),
            models.DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]}),
            models.DynamicConfigValue("custom.fillOpacity", 0),
        ],
    )


def number(text: Text, query: Query, *, span: int = 4) -> stat.Panel:
    """One number for the time range, coloured by the thresholds."""
    panel = _common(stat.Panel(), text, [query], span).height(4)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    panel.color_mode(common_models.BigValueColorMode.VALUE).graph_mode(common_models.BigValueGraphMode.AREA)
    return panel.no_value("none").data_links([_to_one()])


def heat(text: Text, exprs: Sequence[str], *, span: int = 12, exemplar: bool = False) -> heatmap.Panel:
    """Counts by bucket over time, of whichever expression has any: darker is more."""
    queries = [Query(expr, "{{le}}", exemplar) for expr in exprs]
    panel = _common(heatmap.Panel(), text, queries, span, PromQueryFormat.HEATMAP).height(8)
    color = heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
    panel.color(color.fill("dark-orange").exponent(0.5)).y_axis(heatmap.YAxisConfig().unit(text.unit)).cell_gap(1)
    panel.cell_values(heatmap.CellValues().unit("short").decimals(0)).show_value(common_models.VisibilityMode.NEVER)
    return panel.show_y_histogram().data_links([_to_one()])


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its heading and unit, and the expression that fills it."""

    title: str
    expr: str
    unit: str
    steps: Steps = ()
    names: dict[str, tuple[str, str]] | None = None


def rows(text: Text, columns: Sequence[Column], *, span: int = 24, owners: bool = False) -> table.Panel:
    """A table with one row for each set of labels; every column is one instant query over the time range.

    A row leads to its timeout, and with `owners` to that which its label ``owner`` names.
    """
    queries = [Query(column.expr, column.title) for column in columns]
    panel = _common(table.Panel(), text, queries, span, PromQueryFormat.TABLE).height(8)
    refs = [_ref(index) for index in range(len(columns))]
    values = ["Value" if len(columns) == 1 else f"Value #{ref}" for ref in refs]
    renamed = {value: column.title for value, column in zip(values, columns, strict=True)}
    panel.with_transformation(models.DataTransformerConfig("merge", options={}))
    panel.with_transformation(
        models.DataTransformerConfig(
            "organize", options={"excludeByName": {"Time": True}, "renameByName": renamed, "indexByName": {}}
        )
    )
    for column in columns:
        panel.override_by_name(column.title, _cell(column))
    owner = [_to_one("${__data.fields.owner:percentencode}", "Its owner")] if owners else []
    panel.data_links([_to_one("${__data.fields.timeout:percentencode}"), *owner])
    return panel.filterable(True).no_value("none")


def _cell(column: Column) -> list[models.DynamicConfigValue]:
    shown = [models.DynamicConfigValue("unit", column.unit)]
    if column.steps:
        shown.append(models.DynamicConfigValue("thresholds", _steps(column.steps).build()))
        shown.append(models.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
    if column.names:
        options = {
            value: {"text": text, "color": color, "index": index}
            for index, (value, (text, color)) in enumerate(column.names.items())
        }
        shown.append(models.DynamicConfigValue("mappings", [{"type": "value", "options": options}]))
        shown.append(models.DynamicConfigValue("custom.width", 330))
        shown.append(models.DynamicConfigValue("custom.cellOptions", {"type": "color-text"}))
    return shown


def _common(
    panel: Panel,
    text: Text,
    queries: Sequence[Query],
    span: int,
    format_: PromQueryFormat = PromQueryFormat.TIME_SERIES,
) -> Panel:
    panel.title(text.title).description(text.description).unit(text.unit).span(span).datasource(DATASOURCE)
    panel.thresholds(_steps(text.steps)).links([_to_overview()])
    for index, query in enumerate(queries):
        panel.with_target(_target(query, _ref(index), format_))
    return panel


def _target(query: Query, ref: str, format_: PromQueryFormat) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(ref).format(format_)
    target.datasource(DATASOURCE)
    return target.instant() if format_ is PromQueryFormat.TABLE else target.range().exemplar(query.exemplar)


def _ref(index: int) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index]


def _steps(steps: Steps) -> dashboard.ThresholdsConfig:
    first = models.Threshold(color="green")
    others = [models.Threshold(value=value, color=color) for value, color in steps]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps([first, *others])


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().display_mode(common_models.LegendDisplayMode.TABLE).show_legend(True)
    bottom: Literal[common_models.LegendPlacement.BOTTOM] = common_models.LegendPlacement.BOTTOM
    return legend.placement(bottom).calcs(["lastNotNull", "max"]).sort_by("Max").sort_desc(True)


def _to_one(name: str = "", title: str = "One timeout") -> dashboard.DashboardLink:
    chosen = f"var-timeout={name}" if name else "${timeout:queryparam}"
    return _link(title, f"/d/{ONE}?{KEEP}&{chosen}")


def _to_overview() -> dashboard.DashboardLink:
    return _link("Timeouts overview", f"/d/{OVERVIEW}?{KEEP}")


def _link(title: str, url: str) -> dashboard.DashboardLink:
    return dashboard.DashboardLink(title).type(models.DashboardLinkType.LINK).url(url)

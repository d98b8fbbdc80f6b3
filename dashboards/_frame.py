"""The frame of every dashboard: variables, links to the others, time range, annotations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import dashboard, heatmap, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from . import _promql as promql
from ._panels import DATASOURCE

ALL = models.VariableOption(selected=True, text="All", value="$__all")
AnyPanel = timeseries.Panel | stat.Panel | heatmap.Panel | table.Panel


MARKS: dict[str, tuple[str, str, dict[str, str | bool]]] = {
    "Alerts": (
        "red",
        f'ALERTS{{alertname=~"Timeout.+", alertstate="firing", {promql.PLACE}}}',
        {"titleFormat": "{{alertname}}", "textFormat": "{{job}} {{timeout}}"},
    ),
    "Deploys": (  # a mark where processes started
        "blue",
        f"max by (cluster, namespace, job) (process_start_time_seconds{{{promql.TARGET}}}) * 1000",
        {"titleFormat": "Started", "textFormat": "{{job}}", "useValueForTime": True},
    ),
}
"""Marks on every graph: colour, query, and what the models of the SDK leave out of it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels beneath it."""

    title: str
    panels: Sequence[AnyPanel]


@dataclass(frozen=True, slots=True)
class Board:
    """A whole dashboard; `one` opens with one timeout chosen, not all."""

    uid: str
    title: str
    description: str
    rows: Sequence[Row]
    one: bool = False
    onward: frozenset[str] = frozenset()
    """Titles of panels whose links may lead to the same dashboard, for another timeout."""


def render(board: Board) -> str:
    """The JSON that Grafana loads, the same each time."""
    frame = dashboard.Dashboard(board.title).uid(board.uid).description(board.description)
    frame.tags(["tracedtimeout"]).time("now-1h", "now").refresh("10s").timezone("browser").readonly()
    frame.tooltip(models.DashboardCursorSync.CROSSHAIR).links([_others()])
    frame.variables([_datasource(), *_places(), _timeout(one=board.one)])
    for name, (color, expr, _) in MARKS.items():
        mark = dashboard.AnnotationQuery().name(name).icon_color(color).enable(True).datasource(DATASOURCE)
        frame.annotation(mark.expr(expr))
    for row in board.rows:
        frame.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            frame.with_panel(panel)
    built = frame.build()
    for number, panel_ in enumerate(built.panels or [], start=1):
        panel_.id_val = number
    written = json.loads(json.dumps(built, cls=JSONEncoder))
    for marks in written["annotations"]["list"]:
        marks.update(MARKS[marks["name"]][2])
    for shown in written["panels"]:
        if shown["title"] not in board.onward:
            _without_links_home(shown, f"/d/{board.uid}?")
    return json.dumps(written, indent=2, ensure_ascii=False) + "\n"


def _without_links_home(panel: dict[str, Any], home: str) -> None:
    for holder in (panel, panel.get("fieldConfig", {}).get("defaults", {})):
        if "links" in holder:
            holder["links"] = [link for link in holder["links"] if not link["url"].startswith(home)]


def _others() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("Timeouts").type(models.DashboardLinkType.DASHBOARDS).tags(["tracedtimeout"])
    return link.include_vars(True).keep_time(True).as_dropdown(False)


def _datasource() -> dashboard.DatasourceVariable:
    variable = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    return variable.current(models.VariableOption(selected=True, text="Prometheus", value="prometheus"))


def _places() -> list[dashboard.QueryVariable]:
    """The variables that say where a service runs. Each offers what those before it leave; clusters may be missing."""
    found, variables = "", []
    for name, values in (("cluster", ".*"), ("namespace", ".*"), ("job", ".+"), ("instance", ".+")):
        series = f"tracedtimeout_active{{{found}}}" if found else "tracedtimeout_active"
        query = _query(name, name.capitalize(), f"label_values({series}, {name})")
        variables.append(query.multi(True).include_all(True).all_value(values).current(ALL))
        found += (", " if found else "") + f'{name}=~"${name}"'
    return variables


def _timeout(*, one: bool) -> dashboard.QueryVariable:
    values = f"label_values(tracedtimeout_active{{{promql.TARGET}}}, timeout)"
    query = _query("timeout", "Timeout", values)
    # Multi also where one is meant: Grafana escapes the regular expression of no other variable, and names have dots.
    return query.multi(True) if one else query.multi(True).include_all(True).all_value(".+").current(ALL)


def _query(name: str, label: str, query: str) -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable(name).label(label).query(query).datasource(DATASOURCE)
    return variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)

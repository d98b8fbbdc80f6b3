"""What every dashboard has around its panels: variables, links to the others, time range, annotations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard, heatmap, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from ._panels import DATASOURCE

ALL = models.VariableOption(selected=True, text="All", value="$__all")
AnyPanel = timeseries.Panel | stat.Panel | heatmap.Panel | table.Panel


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


def render(board: Board) -> str:
    """The JSON that Grafana loads, the same each time."""
    frame = dashboard.Dashboard(board.title).uid(board.uid).description(board.description)
    frame.tags(["tracedtimeout"]).time("now-1h", "now").refresh("10s").timezone("browser").readonly()
    frame.tooltip(models.DashboardCursorSync.CROSSHAIR).links([_others()])
    frame.variables([_datasource(), _job(), _instance(), _timeout(one=board.one)])
    for row in board.rows:
        frame.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            frame.with_panel(panel)
    built = frame.build()
    for number, panel_ in enumerate(built.panels or [], start=1):
        panel_.id_val = number
    return json.dumps(built, cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


def _others() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("Timeouts").type(models.DashboardLinkType.DASHBOARDS).tags(["tracedtimeout"])
    return link.include_vars(True).keep_time(True).as_dropdown(False)


def _datasource() -> dashboard.DatasourceVariable:
    variable = dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
    return variable.current(models.VariableOption(selected=True, text="Prometheus", value="prometheus"))


def _job() -> dashboard.QueryVariable:
    query = _query("job", "Job", "label_values(tracedtimeout_active, job)")
    return query.multi(True).include_all(True).all_value(".+").current(ALL)


def _instance() -> dashboard.QueryVariable:
    query = _query("instance", "Instance", 'label_values(tracedtimeout_active{job=~"$job"}, instance)')
    return query.multi(True).include_all(True).all_value(".+").current(ALL)


def _timeout(*, one: bool) -> dashboard.QueryVariable:
    values = 'label_values(tracedtimeout_active{job=~"$job", instance=~"$instance"}, timeout)'
    query = _query("timeout", "Timeout", values)
    # Multi also where one is meant: Grafana escapes the regular expression of no other variable, and names have dots.
    return query.multi(True) if one else query.multi(True).include_all(True).all_value(".+").current(ALL)


def _query(name: str, label: str, query: str) -> dashboard.QueryVariable:
    variable = dashboard.QueryVariable(name).label(label).query(query).datasource(DATASOURCE)
    return variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)

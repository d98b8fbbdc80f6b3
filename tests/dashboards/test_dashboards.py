"""The dashboards: written by the program beside them, by the sensible rules of Grafana's dashboard-linter."""

from __future__ import annotations

import json
import re
from importlib.metadata import version

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.__main__ import files
from dashboards.records import RECORDS
from tests.dashboards.boards import BOARDS, Panel, panels
from tests.dashboards.stack import DASHBOARDS, GENERATED
from tracedtimeout import Outcome
from tracedtimeout._core.figures._metrics import METRICS

PANELS = list(panels())
EXPRESSIONS = [(panel, target["expr"]) for panel in PANELS for target in panel.targets]


@pytest.mark.parametrize("path", files())
def test_what_is_committed_is_what_the_program_writes(path: str) -> None:
    """`python -m dashboards` changes nothing."""
    assert (GENERATED / path).read_text() == files()[path]


def test_nothing_else_lies_among_what_is_written() -> None:
    """The folder in the package holds the written files and no others, so that no old one is handed out."""
    lying = {path.relative_to(GENERATED).as_posix() for path in GENERATED.rglob("*") if path.is_file()}
    assert lying == set(files())


UNTYPED = ("titleFormat", "textFormat", "useValueForTime")
"""What Grafana's Prometheus data source reads of an annotation, and the models of the SDK do not know."""


@pytest.mark.parametrize("name", BOARDS)
def test_the_json_is_a_dashboard_by_grafanas_schema(name: str) -> None:
    """Grafana's own models of dashboards, panels and queries take the whole file and give it back."""
    register_default_plugins()
    written = json.loads(json.dumps(BOARDS[name]))
    again = json.loads(json.dumps(Dashboard.from_json(written), cls=JSONEncoder))
    for mark in written["annotations"]["list"]:
        for key in UNTYPED:
            mark.pop(key, None)
    for panel in written["panels"]:
        if panel["type"] == "heatmap":
            panel["fieldConfig"]["defaults"]["custom"] = {}  # what the model writes where there is none
    assert again == written


def test_the_pictures_are_drawn_with_the_grafana_that_the_json_is_for() -> None:
    """Components of @grafana/ui are pinned to the version of the schema."""
    pinned = json.loads((DASHBOARDS / "pictures/package.json").read_text())["dependencies"]
    schema = version("grafana-foundation-sdk").partition("!")[2]
    assert {pinned[f"@grafana/{part}"] for part in ("data", "schema", "ui")} == {schema}


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_found_linked_and_not_edited_by_hand(name: str) -> None:
    """It has a description, the common tag, links to the others with variables and time kept, and is read-only."""
    board = BOARDS[name]
    assert (board["tags"], board["editable"]) == (["tracedtimeout"], False)
    assert len(board["description"]) > 60
    (link,) = board["links"]
    assert (link["tags"], link["includeVars"], link["keepTime"]) == (["tracedtimeout"], True, True)


@pytest.mark.parametrize("name", BOARDS)
def test_variables_say_where_it_runs_and_which_timeout(name: str) -> None:
    """Each variable follows those before it, of what both pipelines export; all but the timeout may be all."""
    variables = BOARDS[name]["templating"]["list"]
    assert [(v["name"], v["label"], v["type"]) for v in variables] == [
        ("datasource", "Data source", "datasource"),
        ("cluster", "Cluster", "query"),
        ("namespace", "Namespace", "query"),
        ("job", "Job", "query"),
        ("instance", "Instance", "query"),
        ("timeout", "Timeout", "query"),
    ]
    assert variables[0]["query"] == "prometheus"
    before: list[str] = []
    for variable in variables[1:]:
        assert variable["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert variable["refresh"] == 2
        chosen = ", ".join(f'{each}=~"${each}"' for each in before)
        series = f"tracedtimeout_active{{{chosen}}}" if chosen else "tracedtimeout_active"
        assert variable["query"] == f"label_values({series}, {variable['name']})"
        assert variable["multi"], "Grafana escapes the values of these alone"
        before.append(variable["name"])
    alls = [variable["allValue"] for variable in variables[1:] if variable["includeAll"]]
    assert alls == [".*", ".*", ".+", ".+", *([] if name == "one-timeout" else [".+"])], "clusters need not be labelled"


@pytest.mark.parametrize("name", BOARDS)
def test_alerts_and_deploys_are_marked_on_graphs(name: str) -> None:
    """Every dashboard marks alerts that fire and processes that start, of the places that are chosen."""
    marks = {mark["name"]: mark for mark in BOARDS[name]["annotations"]["list"]}
    assert list(marks) == ["Alerts", "Deploys"]
    for mark in marks.values():
        assert mark["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert 'cluster=~"$cluster", namespace=~"$namespace", job=~"$job"' in mark["expr"]
        assert mark["enable"]
    assert marks["Deploys"]["useValueForTime"]


@pytest.mark.parametrize("panel", PANELS, ids=str)
def test_a_panel_explains_itself(panel: Panel) -> None:
    """It has a title, a description, a unit, thresholds and the data source of the variable."""
    assert panel.json["title"]
    assert panel.json["description"].endswith(".")
    assert panel.defaults["unit"]
    assert panel.defaults["thresholds"]["steps"]
    assert {target["datasource"]["uid"] for target in panel.targets} == {"${datasource}"}
    assert panel.json["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("panel", PANELS, ids=str)
def test_a_panel_has_legends(panel: Panel) -> None:
    """Every series says what it is; panels with lines show their legend."""
    assert [target for target in panel.targets if not target["legendFormat"]] == []
    if panel.json["type"] == "timeseries":
        assert panel.json["options"]["legend"]["showLegend"]


def test_links_lead_to_dashboards_that_exist() -> None:
    """Every link of a panel is to a dashboard of ours and takes data source, place, instance and time along."""
    uids = {board["uid"] for board in BOARDS.values()}
    for panel in PANELS:
        for link in panel.links:
            assert link.removeprefix("/d/").partition("?")[0] in uids
            for kept in ("datasource", "cluster", "namespace", "job", "instance"):
                assert f"${{{kept}:queryparam}}" in link
            assert "${__url_time_range}" in link
            chosen = re.findall(r"var-timeout=\$\{([^}]*)\}", link)
            assert [name for name in chosen if not name.endswith(":percentencode")] == [], "names have spaces"


def test_no_panel_links_to_itself() -> None:
    """A link leads to another dashboard, or to the same one for the other timeout that a series names."""
    home = [(panel, link) for panel in PANELS for link in panel.links if f"/{BOARDS[panel.board]['uid']}?" in link]
    assert {str(panel) for panel, _ in home} == {
        "one-timeout: Ended by the deadline of",
        "one-timeout: In flight when it fired",
    }
    assert all("var-timeout=${__field.labels." in link for _, link in home)


@pytest.mark.parametrize("panel", PANELS, ids=str)
def test_a_panel_leads_on(panel: Panel) -> None:
    """Each panel has a link, but for those of *One timeout*, where the way ends, and those lead back."""
    assert panel.links


def test_titles_are_unique_in_a_dashboard() -> None:
    """A panel can be named by its title."""
    names = [str(panel) for panel in PANELS]
    assert len(names) == len(set(names))


def test_panels_fill_the_grid_and_do_not_overlap() -> None:
    """Each row of panels is 24 wide, and no two share a cell."""
    for board in BOARDS.values():
        cells: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not own & cells
            cells |= own
        bottom = max(y for _, y in cells) + 1
        assert cells == {(x, y) for x in range(24) for y in range(bottom)}


@pytest.mark.parametrize(("panel", "expr"), EXPRESSIONS, ids=str)
def test_expressions_select_by_place_and_instance(panel: Panel, expr: str) -> None:
    """Each selector matches the variables; alerts and what is recorded have no instance of their own."""
    for family, matchers in re.findall(r"([\w:]+)\{([^}]*)\}", expr):
        assert 'cluster=~"$cluster", namespace=~"$namespace", job=~"$job"' in matchers
        assert (family == "ALERTS" or ":" in family) != ('instance=~"$instance"' in matchers)


@pytest.mark.parametrize(("panel", "expr"), EXPRESSIONS, ids=str)
def test_rates_are_over_the_rate_interval(panel: Panel, expr: str) -> None:
    """Lines rate over `$__rate_interval`, tables over the whole range; nothing has a window of its own."""
    windows = set(re.findall(r"\[([^\]]*)\]", expr))
    assert windows <= ({"$__range"} if panel.json["type"] == "table" else {"$__rate_interval"})


@pytest.mark.parametrize(("panel", "expr"), EXPRESSIONS, ids=str)
def test_what_is_recorded_is_recorded(panel: Panel, expr: str) -> None:
    """A panel that reads a recording rule names one that there is."""
    assert set(re.findall(r"\w+:\w+:\w+", expr)) <= {record.record for record in RECORDS}


@pytest.mark.parametrize(("panel", "expr"), EXPRESSIONS, ids=str)
def test_histograms_may_be_native(panel: Panel, expr: str) -> None:
    """Whatever reads the buckets, sum or count of a classic histogram reads the native one of that name as well."""
    read = {re.sub("_(bucket|count|sum)$", "", name) for name in re.findall(r"\b(\w+_(?:bucket|count|sum))\{", expr)}
    beside = " ".join(target["expr"] for target in panel.targets)
    assert [name for name in read if not re.search(rf"(rate|increase)\({name}\{{", beside)] == []


@pytest.mark.parametrize(("panel", "expr"), EXPRESSIONS, ids=str)
def test_counters_are_rated_before_they_are_summed(panel: Panel, expr: str) -> None:
    """A sum of counters loses resets, so each counter is inside rate or increase first."""
    for family in re.findall(r"(\w+_(?:total|count|sum|bucket))\{", expr):
        assert re.search(rf"(rate|increase)\({family}\{{", expr)


def test_every_metric_is_on_a_panel() -> None:
    """A family that is exported is shown; one that is shown is exported, and each outcome has its colour."""
    raw = [re.sub(r"\w+:\w+:\w+", "", expr) for _, expr in EXPRESSIONS]
    shown = {name for expr in raw for name in re.findall(r"\btracedtimeout_\w+", expr)}
    families = {re.sub("_(bucket|count|sum)$", "", name) for name in shown}
    assert families == {metric.prometheus_name for metric in METRICS}
    coloured = {
        override["matcher"]["options"].strip("/$")
        for panel in PANELS
        if panel.json["title"] == "Exits by outcome"
        for override in panel.json["fieldConfig"]["overrides"]
    }
    assert coloured == set(Outcome)


def test_exemplars_are_asked_for_where_durations_are() -> None:
    """The panels of one timeout's durations show exemplars."""
    asking = {panel.json["title"] for panel in PANELS if any(target.get("exemplar") for target in panel.targets)}
    assert asking == {"Duration against limit", "Durations", "Exits by outcome"}

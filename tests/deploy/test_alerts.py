"""Alerts, dashboard and scrape settings against the metrics there are and the runbook.

Prometheus' own promtool checks them where it is installed; everywhere, each query is read here:
which metrics it uses, of which type, by which labels.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from ruamel.yaml import YAML

from connectors.telemetry.names import METRICS, PREFIX
from tests.deploy.compose import ROOT

DEPLOY = ROOT / "infra" / "deploy"
NAME = re.compile(rf"{PREFIX}\w+")
HISTOGRAM_PARTS = ("_bucket", "_sum", "_count")
OF_PROMETHEUS = {"job", "instance", "le"}
BUILD_LABELS = {"version", "process", "rules"}
OVER_TIME = re.compile(rf"\b(?:rate|increase)\(({PREFIX}\w+)")
BY = re.compile(r"\bby \(([^)]*)\)")
MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
SHOWN = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")


def _yaml(name: str) -> Any:
    return YAML(typ="safe").load((DEPLOY / name).read_text())


def _rules() -> list[dict[str, Any]]:
    return [rule for group in _yaml("alerts.yml")["groups"] for rule in group["rules"]]


def _panels() -> list[dict[str, Any]]:
    board = json.loads((DEPLOY / "grafana" / "dashboards" / "truecopy.json").read_text())
    panels: list[dict[str, Any]] = board["panels"]
    return panels


def _queries() -> Iterator[tuple[str, str, str]]:
    """Where it stands, the query, and the text that shows its labels."""
    for rule in _rules():
        yield rule["alert"], rule["expr"], rule["annotations"]["summary"]
    for panel in _panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"], target["legendFormat"]


QUERIES = list(_queries())
IDS = [f"{i}-{where}" for i, (where, _, _) in enumerate(QUERIES)]


def _metric(name: str) -> str:
    """The table's name of an exported series; '' if the table has no such metric."""
    bare = name.removeprefix(PREFIX)
    for part in HISTOGRAM_PARTS:
        whole = bare.removesuffix(part)
        if whole != bare and whole in METRICS and METRICS[whole].kind == "histogram":
            return whole
    return bare if bare in METRICS and METRICS[bare].kind != "histogram" else ""


def labels_of(expr: str) -> set[str]:
    """Every label that the metrics of a query may have."""
    found = {METRICS[_metric(name)].label for name in NAME.findall(expr)} | OF_PROMETHEUS
    return found | (BUILD_LABELS if "build_info" in expr else set())


@pytest.mark.parametrize(("where", "expr", "text"), QUERIES, ids=IDS)
def test_a_query_uses_metrics_that_exist_and_labels_that_they_have(
    where: str, expr: str, text: str
) -> None:
    unknown = [name for name in NAME.findall(expr) if not _metric(name)]
    assert unknown == [], f"{where}: no such metric"
    used = {label.strip() for group in BY.findall(expr) for label in group.split(",")}
    used |= set(MATCHER.findall(expr)) | (set(SHOWN.findall(text)) - {"value"})
    assert used <= labels_of(expr), f"{where}: {used - labels_of(expr)}"


@pytest.mark.parametrize(("where", "expr", "text"), QUERIES, ids=IDS)
def test_counters_are_read_over_time_and_gauges_are_not(where: str, expr: str, text: str) -> None:
    """A counter's level says only how long its process has run; a rate of a gauge says nothing."""
    over_time = set(OVER_TIME.findall(expr))
    for name in set(NAME.findall(expr)):
        kind = METRICS[_metric(name)].kind
        compared = f"{name} unless {name} offset" in expr
        counts = kind in ("counter", "histogram")
        assert counts == (name in over_time), f"{where}: {name}"
        assert counts or not compared


@pytest.mark.parametrize(("where", "expr", "text"), QUERIES, ids=IDS)
def test_brackets_of_a_query_are_balanced(where: str, expr: str, text: str) -> None:
    open_ones: list[str] = []
    pairs = {")": "(", "]": "[", "}": "{"}
    for sign in re.sub(r'"[^"]*"', "", expr):
        if sign in pairs.values():
            open_ones.append(sign)
        elif sign in pairs:
            assert open_ones, f"{where}: {sign}"
            assert open_ones.pop() == pairs[sign], f"{where}: {sign}"
    assert open_ones == []


def test_every_metric_is_shown_or_raises_an_alert() -> None:
    """A number that nobody looks at need not be counted."""
    used = {_metric(name) for _, expr, _ in QUERIES for name in NAME.findall(expr)}
    assert set(METRICS) - used == set()


def test_each_alert_has_a_severity_a_summary_and_a_page_of_its_own() -> None:
    names = [rule["alert"] for rule in _rules()]
    assert len(set(names)) == len(names)
    for rule in _rules():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"]["runbook"] == f"RUNBOOK.md#{rule['alert'].lower()}"


def test_the_dashboard_asks_the_source_that_is_provisioned() -> None:
    source = _yaml("grafana/provisioning/datasources/prometheus.yml")["datasources"][0]
    for panel in _panels():
        for place in (panel, *panel["targets"]):
            assert place["datasource"] == {"type": source["type"], "uid": source["uid"]}
    path = _yaml("grafana/provisioning/dashboards/truecopy.yml")["providers"][0]["options"]["path"]
    compose = (ROOT / "docker-compose.yml").read_text()
    assert f"./infra/deploy/grafana/dashboards:{path}:ro" in compose


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = _panels()
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_promtool_accepts_the_rules_and_the_settings() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; the queries were read by the tests above")
    for argv in (["check", "rules", "alerts.yml"], ["check", "config", "prometheus.yml"]):
        done = subprocess.run(
            [promtool, *argv], cwd=DEPLOY, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

"""The alert rules and the dashboard name metrics that exist. `.ci/metrics` evaluates the rules by promtool."""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from app.telemetry import collection_gauges, metrics, process

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
DASHBOARD = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
RULES = [
    rule for group in yaml.safe_load((EXAMPLES / "alerts.yml").read_text())["groups"] for rule in group["rules"]
]
PANELS = DASHBOARD["panels"]
OF_PROMETHEUS = {"up"}


def exported() -> dict[str, set[str]]:
    """Every sample name, with its labels."""
    assert process
    assert collection_gauges
    found = {gauge.name: set(gauge.labels) for gauge in metrics.SCRAPED}
    for metric in metrics.REGISTRY._collector_to_names:
        labels = set(metric._labelnames)
        for name in metrics.REGISTRY._collector_to_names[metric]:
            found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    return found


def expressions() -> list[str]:
    targets = [target["expr"] for panel in PANELS for target in panel.get("targets", ())]
    return [*targets, *(rule["expr"] for rule in RULES)]


def selectors(expression: str) -> list[tuple[str, set[str]]]:
    """The metrics of an expression, each with the labels that select its series."""
    found = re.findall(r"\b((?:lookalike|process)_\w+|up)\b(?:\{([^}]*)\})?", expression)
    return [(name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))) for name, matchers in found]


@pytest.mark.parametrize("expression", expressions())
def test_every_query_names_existing_metrics_and_labels(expression):
    known = exported()
    used = selectors(expression)

    assert used
    assert {name for name, _ in used} <= known.keys() | OF_PROMETHEUS
    for name, labels in used:
        assert labels <= known.get(name, set()) | {"instance", "job"}, name
    grouped = {label for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(", ")}
    assert grouped <= {"instance", *(label for name, _ in used for label in known.get(name, ()))}


def test_the_dashboard_shows_every_metric():
    shown = {name for expression in expressions() for name, _ in selectors(expression)}
    families = {metric._name for metric in metrics.REGISTRY._collector_to_names}
    families |= {gauge.name for gauge in metrics.SCRAPED}

    def is_shown(family):
        return any(name == family or name.removeprefix(family).startswith("_") for name in shown)

    assert {family for family in families if not is_shown(family)} == {
        # It fills the variable of the instances.
        "lookalike_build_info",
        # Times that a graph does not help with.
        "process_start_time_seconds",
        "lookalike_job_last_success_timestamp_seconds",
    }


def test_the_dashboard_has_the_shape_that_grafana_imports():
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= DASHBOARD.keys()
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert variables == {"datasource", "instance"}
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] >= 0
        assert place["x"] + place["w"] <= 24
        if panel["type"] == "row":
            continue
        assert panel["type"] in {"stat", "timeseries"}
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        assert all(target["legendFormat"] for target in panel["targets"]) or panel["type"] == "stat"


def test_panels_do_not_overlap():
    def overlap(one, other):
        a, b = one["gridPos"], other["gridPos"]
        return all(
            a[side] < b[side] + b[size] and b[side] < a[side] + a[size]
            for side, size in (("x", "w"), ("y", "h"))
        )

    assert [(a["title"], b["title"]) for a, b in combinations(PANELS, 2) if overlap(a, b)] == []


def test_every_rule_says_what_happened_and_what_to_do():
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}


def test_the_important_rules_have_cases():
    cases = yaml.safe_load((EXAMPLES / "alerts-test.yml").read_text())["tests"]
    fire = {
        check["alertname"] for case in cases for check in case["alert_rule_test"] if check.get("exp_alerts")
    }

    assert fire <= {rule["alert"] for rule in RULES}
    assert {
        "LookalikeDown",
        "LookalikeServerErrors",
        "LookalikeSearchSlow",
        "LookalikeQueueStuck",
        "LookalikeNoWorker",
        "LookalikeDiskLow",
        "LookalikeIndexLags",
        "LookalikeBackupOld",
    } <= fire

"""Dashboard, alerts and the page for operators speak of metrics that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from app.utils.instruments import INSTRUMENTS, CounterSpec, HistogramSpec
from scripts.update_metrics import PAGE, replace_table
from tests.support.dashboard import ALERTS, DASHBOARD, alert_rules, panel_queries, panels
from tests.support.process import REPOSITORY

PROMTOOL = shutil.which("promtool")
PARTS = ("_bucket", "_sum", "_count")
LABELS = {label for instrument in INSTRUMENTS for label in instrument.labels}
# What Prometheus itself adds.
TARGET = {"instance", "job", "le"}


def series() -> set[str]:
    """The names that queries may use: a histogram has three, and none of its own."""
    names = {instrument.name for instrument in INSTRUMENTS}
    for instrument in INSTRUMENTS:
        if isinstance(instrument, HistogramSpec):
            names.remove(instrument.name)
            names.update(f"{instrument.name}{part}" for part in PARTS)
    return names


def queries() -> Iterator[tuple[str, str]]:
    yield from panel_queries()
    yield from ((rule["alert"], rule["expr"]) for rule in alert_rules())


def metrics_in(query: str) -> set[str]:
    return set(re.findall(r"\b(?:sluice|gen_ai)_\w+", query)) - LABELS


def labels_in(query: str) -> set[str]:
    """The labels that a query selects or groups by."""
    selected = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", query)
    grouped = re.findall(r"\bby \(([^)]*)\)", query)
    return {*selected, *(label.strip() for group in grouped for label in group.split(","))}


def test_every_query_is_of_metrics_and_labels_that_there_are(subtests: pytest.Subtests) -> None:
    for title, query in queries():
        with subtests.test(title):
            assert metrics_in(query) <= series()
            known = {label for each in INSTRUMENTS if each.name in query for label in each.labels}
            assert labels_in(query) <= known | TARGET


def test_legends_and_summaries_name_labels_that_the_query_leaves() -> None:
    for panel in panels():
        for target in panel["targets"]:
            assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= labels_in(target["expr"]) | {"version"}


def test_what_is_counted_is_shown() -> None:
    """Prices and the order of fallback stand in `/models`; every other metric is on the dashboard."""
    shown = {name for _, query in panel_queries() for name in metrics_in(query)}
    unseen = {
        instrument.name
        for instrument in INSTRUMENTS
        if not {instrument.name, *(f"{instrument.name}{part}" for part in PARTS)} & shown
    }
    assert unseen == {"sluice_model_price_usd", "sluice_fallback_position"}


def test_panels_have_places_and_numbers_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        assert panel["description"].endswith(".")
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())


def test_grafana_finds_the_dashboard_and_prometheus_the_rules() -> None:
    """What the provisioning names is what compose mounts there."""
    grafana = REPOSITORY / "deploy" / "grafana" / "provisioning"
    [provider] = yaml.safe_load((grafana / "dashboards" / "sluice.yml").read_text())["providers"]
    [source] = yaml.safe_load((grafana / "datasources" / "prometheus.yml").read_text())["datasources"]
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
    folder = DASHBOARD.parent.relative_to(REPOSITORY)
    assert f"./{folder}:{provider['options']['path']}:ro" in services["grafana"]["volumes"]
    assert "prometheus" in services
    assert source["url"] == "http://prometheus:9090"
    config = yaml.safe_load((ALERTS.parent / "prometheus.yml").read_text())
    assert config["rule_files"] == [ALERTS.name]
    [job] = config["scrape_configs"]
    assert job["dns_sd_configs"][0]["names"] == ["api"]
    assert f'job="{job["job_name"]}"' in alert_rules()[0]["expr"]


def test_every_alert_is_tried_and_explained() -> None:
    """Each fires in the rules' own tests, and the page says what to look at."""
    tests: list[dict[str, Any]] = yaml.safe_load((ALERTS.parent / "alerts_test.yml").read_text())["tests"]
    fired = {each["alertname"] for test in tests for each in test["alert_rule_test"] if each["exp_alerts"]}
    names = {rule["alert"] for rule in alert_rules()}
    assert fired == names
    assert names <= set(re.findall(r"`(Sluice\w+)`", PAGE.read_text(encoding="utf-8")))


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "alerts.yml"), ("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")],
)
def test_promtool_takes_the_rules_and_they_pass_their_own_tests(arguments: tuple[str, ...]) -> None:
    run = subprocess.run([str(PROMTOOL), *arguments], cwd=ALERTS.parent, capture_output=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_page_for_operators_has_every_metric() -> None:
    """`make readme` writes the table."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == replace_table(page)


def test_queries_on_the_page_are_of_metrics_that_there_are() -> None:
    page = PAGE.read_text(encoding="utf-8").partition("## Questions")[2].partition("## Alerts")[0]
    assert metrics_in(page) <= series()


def test_names_say_their_unit_and_labels_are_never_of_a_caller() -> None:
    for instrument in INSTRUMENTS:
        assert instrument.name.endswith("_total") is isinstance(instrument, CounterSpec)
        assert not set(instrument.labels) & {"tenant", "key", "user", "session", "collection", "document", "path"}

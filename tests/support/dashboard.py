"""The queries of the Grafana dashboard and of the alert rules, as they stand in `deploy`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from tests.support.process import REPOSITORY

DASHBOARD = REPOSITORY / "deploy" / "grafana" / "dashboards" / "sluice.json"
ALERTS = REPOSITORY / "deploy" / "prometheus" / "alerts.yml"

# What Grafana puts in the place of its variables, for series that are some seconds old.
VARIABLES = {"$__rate_interval": "30s", "$__range": "1m"}


def panels() -> list[Mapping[str, Any]]:
    """The panels that show something."""
    return [panel for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"] if panel["type"] != "row"]


def panel_queries() -> Iterator[tuple[str, str]]:
    """The title of each panel with each of its queries, as Prometheus gets them."""
    for panel in panels():
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            yield panel["title"], expression


def alert_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]

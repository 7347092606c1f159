"""Metrics and alerts come where Prometheus Operator is, and nowhere else: the installation would fail for its missing kinds."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from chartmaking.copies import ROOT
from tests.chart.rendering import MONITORING, deployment, of_kind, only, rendered

ANNOTATIONS = {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"}


def test_without_prometheus_operator_nothing_asks_for_it() -> None:
    """Another API beside does not help."""
    for apis in ((), ("monitoring.coreos.com/v1alpha1", "example.com/v1")):
        groups = {one["apiVersion"] for one in rendered(apis=apis)}
        assert "monitoring.coreos.com/v1" not in groups


def test_the_monitor_reads_the_port_of_the_pods() -> None:
    """By the name that the container gives it."""
    (endpoint,) = only(rendered(apis=MONITORING), "PodMonitor")["spec"]["podMetricsEndpoints"]
    ports = {one["name"] for one in deployment()["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert endpoint["port"] in ports
    assert endpoint["path"] == "/metrics"


def test_the_rules_are_those_of_the_repository() -> None:
    """Label placeholders included, which look like templates."""
    rule = only(rendered(apis=MONITORING), "PrometheusRule")
    assert rule["spec"] == yaml.safe_load((ROOT / "deploy" / "monitoring" / "backup-rules.yaml").read_text())
    assert "{{ $labels.cr_namespace }}" in rule["spec"]["groups"][0]["rules"][0]["annotations"]["summary"]


OFF: dict[str, Any] = {"monitoring": {"podMonitor": {"enabled": False}}}


@pytest.mark.parametrize(
    ("values", "apis", "wanted"),
    [
        pytest.param({}, (), ANNOTATIONS, id="no operator"),
        pytest.param({}, MONITORING, None, id="a monitor"),
        pytest.param(OFF, MONITORING, ANNOTATIONS, id="no monitor"),
    ],
)
def test_pods_are_scraped_in_one_way(values: dict[str, Any], apis: tuple[str, ...], *, wanted: Any) -> None:
    """Twice would count everything twice."""
    found = deployment(values, apis=apis)["spec"]["template"]["metadata"].get("annotations")
    assert found == wanted
    assert bool(of_kind(rendered(values, apis=apis), "PodMonitor")) is (wanted is None)

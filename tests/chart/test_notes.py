"""What a person reads after the installation: three commands to copy, and a warning for each risky value."""

from __future__ import annotations

import re
from typing import Any

import pytest

from chartmaking.copies import CHART
from ground.helm import notes
from tests.chart.rendering import merged

SAFE = {"image": {"repository": "registry.example.com/dbcustody"}}
RISKY = [
    pytest.param({"image": {"repository": "dbcustody"}}, "image.repository", id="image of nowhere"),
    pytest.param({"image": {"tag": "latest"}}, "image.tag", id="moving tag"),
    pytest.param({"replicas": 1}, "replicas", id="one replica"),
    pytest.param({"crds": {"enabled": False}}, "crds.enabled", id="no CRDs"),
    pytest.param({"crds": {"keep": False}}, "crds.keep", id="CRDs go"),
    pytest.param({"rbac": {"create": False}}, "rbac.create", id="no rights"),
    pytest.param({"policies": {"enabled": False}}, "policies.enabled", id="no policies"),
    pytest.param({"policies": {"actions": ["Audit"]}}, "policies.actions", id="policies without effect"),
    pytest.param({"policies": {"secretsExempt": {"groups": ["g"]}}}, "policies.secretsExempt", id="exempt from secrets"),
    pytest.param({"policies": {"deletionExempt": {"users": ["u"]}}}, "policies.deletionExempt", id="exempt from deletion"),
    pytest.param({"watchNamespaces": ["a"], "scaleNamespaces": ["a", "b"]}, "scaleNamespaces", id="scaled, not served"),
    pytest.param({"networkPolicy": {"enabled": True}}, "networkPolicy.enabled", id="ports of the API server"),
]  # fmt: skip


def said(values: dict[str, Any]) -> str:
    """Return the notes with *values*."""
    return notes(CHART, values, release="dbcustody", namespace="custody")


def warned(values: dict[str, Any]) -> list[str]:
    """Return which values are warned of."""
    return re.findall(r"^WARNING ([a-zA-Z.]+): \S.*\.$", said(values), re.MULTILINE)


def test_three_commands_can_be_copied() -> None:
    """They name the Deployment and the namespace of this release."""
    commands = re.findall(r"^  (kubectl .*)$", said(SAFE), re.MULTILINE)
    assert commands == [
        "kubectl -n custody rollout status deployment/dbcustody-operator",
        "kubectl get dbcustody -A",
        "kubectl explain backuppolicies.dbcustody.dev.spec --recursive",
    ]


def test_safe_values_bring_no_warning() -> None:
    """A warning that always stands there is read by nobody."""
    assert "WARNING" not in said(SAFE)
    assert "every namespace" in said(SAFE)
    assert "the namespaces shop, web." in said({**SAFE, "watchNamespaces": ["shop", "web"]})


@pytest.mark.parametrize(("values", "name"), RISKY)
def test_each_risky_value_is_warned_of(values: dict[str, Any], name: str) -> None:
    """By its name, once, and nothing else with it."""
    assert warned(merged(SAFE, values)) == [name]


def test_a_digest_makes_a_moving_tag_harmless() -> None:
    """Nobody can put another image under it."""
    assert warned(merged(SAFE, {"image": {"tag": "latest", "digest": "sha256:" + "0" * 64}})) == []

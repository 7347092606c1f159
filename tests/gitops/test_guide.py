"""The guide docs/gitops.md: what stands in it is what the API server takes, and what the files are called."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from dbcustody.api.meta import Kind
from dbcustody.naming import API_VERSION
from tests.gitops.argocd import discovered
from tests.gitops.bodies import CRDS
from tests.gitops.test_actions import policy_body

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "gitops.md").read_text()
MANIFESTS: list[dict[str, Any]] = [
    yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
]
OURS = [one for one in MANIFESTS if one["apiVersion"] == API_VERSION]


@pytest.mark.parametrize("manifest", OURS, ids=lambda one: one["kind"])
def test_manifests_fit_their_crd(manifest: dict[str, Any]) -> None:
    """Who copies one gets what is told."""
    crd = yaml.safe_load((CRDS / f"{Kind(manifest['kind']).plural}.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    names = schema["properties"]["spec"]["properties"].keys()

    Draft202012Validator(schema).validate(manifest)
    assert manifest["spec"].keys() <= names


def test_files_and_actions_are_called_so() -> None:
    """Every file that the guide names is there, and it names every action."""
    files = set(re.findall(r"deploy/[\w./-]+\w", GUIDE))

    assert len(OURS) == 3
    assert "deploy/argocd/argocd-cm.yaml" in files
    assert [name for name in files if not (ROOT / name).exists()] == []
    assert [name for name in discovered(policy_body()) if f"`{name}`" not in GUIDE] == []

"""A resource as the API server shows it to any tool: what the plans said, through JSON, with what the CRD fills in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from dbcustody.codec import encode
from dbcustody.naming import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbcustody.api.condition import Condition
    from dbcustody.api.meta import Kind

CRDS: Final = Path(__file__).parents[2] / "crds"


def default_status(kind: Kind) -> dict[str, Any]:
    """Return the status that a resource of *kind* has before anybody wrote one."""
    (version,) = yaml.safe_load((CRDS / f"{kind.plural}.yaml").read_text())["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["status"]["default"]
    return found


def body_of(resource: Any) -> dict[str, Any]:
    """Return *resource* as a tool reads it."""
    about = resource.metadata
    metadata = {
        "name": about.name,
        "namespace": about.namespace,
        "uid": about.uid,
        "generation": about.generation,
        "finalizers": list(about.finalizers),
    }
    if about.deletion_timestamp is not None:
        metadata["deletionTimestamp"] = encode(about.deletion_timestamp)
    return {
        "apiVersion": API_VERSION,
        "kind": type(resource).__name__,
        "metadata": {name: part for name, part in metadata.items() if part != []},
        "spec": encode(resource.spec),
        "status": encode(resource.status),
    }


def fresh(kind: Kind, *, has_default: bool = True) -> dict[str, Any]:
    """Return a resource of *kind* that was created just now; *has_default* tells whether the CRD's default of status is there."""
    body: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": kind.value,
        "metadata": {"name": "new", "namespace": "team", "generation": 1},
        "spec": {},
    }
    return body | {"status": default_status(kind)} if has_default else body


def with_conditions(kind: str, conditions: Iterable[Condition], *, generation: int = 1) -> dict[str, Any]:
    """Return a resource of *kind*, which need not exist yet, whose operator said *conditions* of its generation 1."""
    said = [encode(one) for one in conditions]
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": "any", "namespace": "team", "generation": generation},
        "spec": {},
        "status": {"observedGeneration": 1, "conditions": said},
    }

"""The `job` block: the short list of what a person may say about the pods of our Jobs."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

from dbcustody.api.meta import ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Requests and limits of a container, as Kubernetes quantities."""

    requests: dict[str, str] = field(default_factory=dict)
    limits: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """One toleration, as in a pod."""

    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None
    toleration_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTemplate:
    """How the pods of our Jobs are placed and sized; None or empty means: not said."""

    resources: Resources | None = None
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = ()
    priority_class_name: str | None = None
    service_account_name: str | None = None
    pod_labels: dict[str, str] = field(default_factory=dict)
    pod_annotations: dict[str, str] = field(default_factory=dict)
    image_pull_secrets: tuple[ObjectRef, ...] = ()


def merge_templates(*templates: JobTemplate | None) -> JobTemplate:
    """Return one template; what a later one says replaces what an earlier one said, field by field."""
    merged = JobTemplate()
    for template in (one for one in templates if one is not None):
        said: dict[str, Any] = {f.name: value for f in fields(template) if (value := getattr(template, f.name))}
        merged = replace(merged, **said)
    return merged

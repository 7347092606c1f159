"""The chart as Helm renders it, parsed, and the ways that tests look into it."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import yaml

from chartmaking.copies import CHART
from ground.helm import template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Json = Any

RELEASE: Final = "dbcustody"
MONITORING: Final = ("monitoring.coreos.com/v1",)
FOR_PEOPLE: Final = ("view", "backup-operator", "data-remover", "restore-requester", "migrator", "approver")


def rendered(
    values: Mapping[str, Any] | None = None, *, apis: Sequence[str] = (), release: str = RELEASE
) -> list[Json]:
    """Return every object of the chart with *values*, on a cluster that also serves *apis*."""
    text = _rendered(json.dumps(values or {}), tuple(apis), release)
    return [document for document in yaml.load_all(text, Loader=yaml.CSafeLoader) if document is not None]


@cache
def _rendered(values: str, apis: tuple[str, ...], release: str) -> str:
    return template(CHART, json.loads(values), release=release, namespace="custody", apis=apis)


def of_kind(documents: Sequence[Json], kind: str) -> dict[str, Json]:
    """Return the objects of one kind by name, those in a namespace of users by `namespace/name`."""
    found = {}
    for document in documents:
        metadata = document["metadata"]
        if document["kind"] == kind:
            space = metadata.get("namespace", "custody")
            found[metadata["name"] if space == "custody" else f"{space}/{metadata['name']}"] = document
    return found


def only(documents: Sequence[Json], kind: str) -> Json:
    """Return the one object of its kind."""
    (found,) = of_kind(documents, kind).values()
    return found


def deployment(values: Mapping[str, Any] | None = None, *, apis: Sequence[str] = ()) -> Json:
    """Return the Deployment with *values*."""
    return only(rendered(values, apis=apis), "Deployment")


def nested(path: str, value: Any) -> dict[str, Any]:
    """Return values in which *value* stands at the dotted *path*."""
    for part in reversed(path.split(".")):
        value = {part: value}
    return dict(value)


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return both trees of values as one; *other* wins."""
    both = {**one, **other}
    return {
        key: merged(one[key], value) if isinstance(value, dict) and isinstance(one.get(key), dict) else value
        for key, value in both.items()
    }


def at(document: Json, path: str) -> Any:
    """Return what stands at *path* of an object: names and indexes with slashes between; None when there is nothing."""
    for part in filter(None, path.split("/")):
        if isinstance(document, list):
            document = document[int(part)] if int(part) < len(document) else None
        else:
            document = None if document is None else document.get(part.replace("~", "/"))
    return document


def pod_specs(documents: Sequence[Json]) -> Iterator[tuple[str, Json]]:
    """Yield name and pod specification of everything that runs pods."""
    for document in documents:
        specification = document.get("spec") or {}
        if document["kind"] == "Pod":
            yield document["metadata"]["name"], specification
        inner = at(specification, "template/spec") or at(specification, "jobTemplate/spec/template/spec")
        if isinstance(inner, dict):
            yield document["metadata"]["name"], inner

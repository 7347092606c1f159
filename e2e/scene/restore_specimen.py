"""RestoreRequests as people write them: what the API server must accept and refuse, and what must stay as it is."""

from __future__ import annotations

from typing import Any

import pytest

from dbcustody.api.meta import Kind
from scene import specimen

Json = dict[str, Any]
BUCKET = {"storageRef": {"name": "main"}, "custodyId": "web.shop"}
NAMED = "must have `target.database` with `mode` NewDatabase"
ONE_WISH = "must have exactly one of `source` and `undoOf`"
UNDO_REPLACES = "must have `mode` Replace with `undoOf`"
WHOLE = "must not have `schemas` or `tables` with `mode` Replace"
ONE_SOURCE = "must have exactly one of `backupRef`, `policyRef` and `storageRef`"


RESTORE: Json = dict(specimen.RESTORE)


def _without(spec: Json, field: str) -> Json:
    return {name: value for name, value in spec.items() if name != field}


REPLACE = {**RESTORE, "mode": "Replace", "confirm": "shop@7/16384", "target": {"databaseRef": {"name": "shop"}}}
UNDO = {**_without(REPLACE, "source"), "undoOf": {"name": "back"}}
GOOD_RESTORES = [
    pytest.param(Kind.RESTORE_REQUEST, {**RESTORE, "source": BUCKET}, id="restore from a bucket"),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**RESTORE, "source": {**BUCKET, "backupId": "20260131T020000Z-shop-0a1b2c3d"}},
        id="restore of an id",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**RESTORE, "source": {"policyRef": {"name": "nightly"}, "beforeTime": "2026-01-31T02:00:00Z"}},
        id="restore of a time",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**RESTORE, "target": {"databaseRef": {"name": "shop"}, "database": 'Ærø "; drop'}},
        id="odd name",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**RESTORE, "checks": {"sql": [{"name": "orders", "query": "SELECT count(*) FROM orders", "expect": "7"}]}},
        id="restore with a question",
    ),
    pytest.param(Kind.RESTORE_REQUEST, REPLACE, id="replace"),
    pytest.param(
        Kind.RESTORE_REQUEST, {**REPLACE, "acknowledge": ["CronJobs"], "keepOldSeconds": 0}, id="replace with effects"
    ),
    pytest.param(Kind.RESTORE_REQUEST, {**REPLACE, "confirm": "shop@7"}, id="replace as it was confirmed before"),
    pytest.param(Kind.RESTORE_REQUEST, UNDO, id="undo"),
]

BAD_RESTORES = [
    pytest.param(Kind.RESTORE_REQUEST, {**RESTORE, "source": {}}, ONE_SOURCE, id="restore of nothing"),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**RESTORE, "source": {**RESTORE["source"], "policyRef": {"name": "nightly"}}},
        ONE_SOURCE,
        id="restore of two things",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**RESTORE, "source": {"storageRef": {"name": "main"}}},
        "must have `custodyId` together with `storageRef`",
        id="restore from a bucket of nobody's",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**RESTORE, "source": {**RESTORE["source"], "backupId": "20260131T020000Z-shop-0a1b2c3d"}},
        "must not have `backupId` without `storageRef`",
        id="restore of a Backup and an id",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**RESTORE, "source": {**RESTORE["source"], "beforeTime": "2026-01-31T02:00:00Z"}},
        "must not have `beforeTime` where a backup is named",
        id="restore of a Backup and a time",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**RESTORE, "mode": "Overwrite"},
        'supported values: "NewDatabase"',
        id="restore over data",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**RESTORE, "target": {"databaseRef": {"name": "shop"}, "database": ""}},
        "should be at least 1 chars long",
        id="restore into nothing",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**REPLACE, "confirm": "other@7/16384"},
        "must have in `confirm` the name",
        id="replace of another",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        _without(REPLACE, "confirm"),
        "must have `confirm` with `mode` Replace",
        id="not confirmed",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**RESTORE, "confirm": "shop@7/16384"},
        "must have `confirm` with `mode` Replace",
        id="confirmed for nothing",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**REPLACE, "target": RESTORE["target"]},
        NAMED,
        id="replace by name",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**REPLACE, "undoOf": {"name": "back"}},
        ONE_WISH,
        id="undo of a source",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**_without(RESTORE, "source"), "undoOf": {"name": "b"}},
        UNDO_REPLACES,
        id="undo beside",
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        {**REPLACE, "tables": {"include": ["a"]}},
        WHOLE,
        id="part",
    ),
]

RESTORE_CHANGES = [
    pytest.param(
        Kind.RESTORE_REQUEST, RESTORE, {"source": {"backupRef": {"name": "b"}}}, "spec.source", id="restore's source"
    ),
    pytest.param(Kind.RESTORE_REQUEST, RESTORE, {"target": {"database": "b"}}, "spec.target", id="restore's target"),
    pytest.param(Kind.RESTORE_REQUEST, RESTORE, {"missingRoles": "Create"}, "spec.missingRoles", id="restore's roles"),
    pytest.param(Kind.RESTORE_REQUEST, RESTORE, {"tables": {"include": ["a"]}}, "spec.tables", id="restore's tables"),
    pytest.param(
        Kind.RESTORE_REQUEST, RESTORE, {"schemas": {"include": ["a"]}}, "spec.schemas", id="restore's schemas"
    ),
    pytest.param(
        Kind.RESTORE_REQUEST, RESTORE, {"ownerMap": [{"from": "a", "to": "b"}]}, "spec.ownerMap", id="restore's owners"
    ),
    pytest.param(
        Kind.RESTORE_REQUEST,
        RESTORE,
        {"acknowledge": ["SkippedObjects"]},
        "spec.acknowledge",
        id="restore's acknowledgements",
    ),
    pytest.param(Kind.RESTORE_REQUEST, RESTORE, {"parallelism": 3}, "spec.parallelism", id="restore's streams"),
    pytest.param(Kind.RESTORE_REQUEST, RESTORE, {"job": {"priorityClassName": "b"}}, "spec.job", id="restore's job"),
    pytest.param(Kind.RESTORE_REQUEST, RESTORE, {"approval": {"required": True}}, "spec.approval", id="restore's yes"),
]

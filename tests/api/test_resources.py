"""Resources as the API server sends them, read as values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from dbcustody.api.approval import Approval, Decision
from dbcustody.api.backup import Backup, Origin
from dbcustody.api.database import Database, TlsMode
from dbcustody.api.meta import Kind, Metadata, OwnerReference, reference_to
from dbcustody.api.migration import DatabaseMigration
from dbcustody.api.policy import Algorithm, BackupPolicy
from dbcustody.api.restore import RestoreRequest
from dbcustody.api.storage import BackupStorage
from dbcustody.errors import InvalidSpecError

METADATA = {
    "name": "shop",
    "namespace": "web",
    "uid": "u-1",
    "generation": 3,
    "resourceVersion": "77",
    "creationTimestamp": "2026-01-31T02:00:00Z",
    "labels": {"a": "b"},
    "finalizers": ["dbcustody.dev/finalizer"],
    "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u-2"}],
    "managedFields": [{"manager": "kubectl"}],
}
SPECS: dict[type, dict[str, Any]] = {
    Database: {"connection": {"secretRef": {"name": "shop"}, "tls": {"mode": "VerifyCA"}}},
    BackupStorage: {"s3": {"bucket": "backups"}, "acknowledgeUnencrypted": True},
    BackupPolicy: {"databaseRef": {"name": "shop"}, "storageRef": {"name": "main"}, "schedule": "@daily"},
    Backup: {"policyRef": {"name": "nightly"}, "origin": "Scheduled"},
    RestoreRequest: {
        "source": {"backupRef": {"name": "nightly"}},
        "target": {"databaseRef": {"name": "shop"}, "database": "back"},
    },
    Approval: {
        "requestRef": {"kind": "RestoreRequest", "name": "again"},
        "planHash": "0123456789ab",
        "decision": "Approve",
    },
    DatabaseMigration: {
        "databaseRef": {"name": "shop"},
        "source": {"configMapRefs": [{"name": "shop-migrations"}]},
    },
}
EVERY_RESOURCE = pytest.mark.parametrize("cls", SPECS, ids=lambda cls: cls.__name__)


def body(cls: type, **more: Any) -> dict[str, Any]:
    """Return a resource as the API server sends it."""
    return {"apiVersion": "dbcustody.dev/v1", "kind": cls.__name__, "metadata": METADATA, "spec": SPECS[cls], **more}


@EVERY_RESOURCE
def test_metadata_is_read(cls: Any) -> None:
    """What judgement needs of the metadata is there; the rest is left aside."""
    assert cls.from_body(body(cls)).metadata == Metadata(
        name="shop",
        namespace="web",
        uid="u-1",
        generation=3,
        resource_version="77",
        creation_timestamp=datetime(2026, 1, 31, 2, tzinfo=UTC),
        labels={"a": "b"},
        finalizers=("dbcustody.dev/finalizer",),
        owner_references=(OwnerReference(api_version="batch/v1", kind="Job", name="j", uid="u-2"),),
    )


@EVERY_RESOURCE
@pytest.mark.parametrize("status", [{}, {"status": None}, {"status": {"observedGeneration": -1}}])
def test_a_fresh_resource_has_an_empty_status(cls: Any, status: dict[str, Any]) -> None:
    """Whatever way nothing is said, it is the same status."""
    assert cls.from_body(body(cls, **status)).status == type(cls.from_body(body(cls)).status)()


@EVERY_RESOURCE
def test_a_wrong_status_is_told_by_its_path(cls: Any) -> None:
    """Somebody else may have written there."""
    with pytest.raises(InvalidSpecError, match=r"^status\.conditions\[0\]\.status: must be one of 'True'"):
        cls.from_body(body(cls, status={"conditions": [{"type": "Ready", "status": "Maybe", "reason": "Ready"}]}))


def test_specs_are_read() -> None:
    """What is written arrives, and what is not has its default."""
    assert Database.from_body(body(Database)).spec.connection.tls.mode is TlsMode.VERIFY_CA
    assert BackupStorage.from_body(body(BackupStorage)).spec.s3.bucket == "backups"  # type: ignore[union-attr]
    assert BackupPolicy.from_body(body(BackupPolicy)).spec.compression.algorithm is Algorithm.ZSTD
    assert Backup.from_body(body(Backup)).spec.origin is Origin.SCHEDULED
    approval = Approval.from_body(body(Approval)).spec
    assert (approval.decision, approval.approver, approval.request_ref.name) == (Decision.APPROVE, None, "again")
    assert not RestoreRequest.from_body(body(RestoreRequest)).spec.approval.required


def test_the_custody_is_named_once_and_for_all() -> None:
    """What the spec says, else where the resource stands."""
    assert Database.from_body(body(Database)).custody_id == "web.shop"
    named = {**SPECS[Database], "custodyId": "shop"}
    assert Database.from_body(body(Database, spec=named)).custody_id == "shop"


def test_deletion_is_seen() -> None:
    """A resource that is being deleted says so."""
    alive = Backup.from_body(body(Backup)).metadata
    going = Backup.from_body(body(Backup, metadata={**METADATA, "deletionTimestamp": "2026-01-31T02:00:00Z"})).metadata
    assert (alive.is_being_deleted, going.is_being_deleted) == (False, True)


@pytest.mark.parametrize(
    ("kind", "plural"),
    [
        (Kind.DATABASE, "databases"),
        (Kind.BACKUP_STORAGE, "backupstorages"),
        (Kind.BACKUP_POLICY, "backuppolicies"),
        (Kind.BACKUP, "backups"),
        (Kind.APPROVAL, "approvals"),
    ],
)
def test_kinds_have_a_plural(kind: Kind, plural: str) -> None:
    """The word that stands in URLs."""
    assert kind.plural == plural


def test_children_go_with_their_owner() -> None:
    """A controller's reference, so that deleting the owner deletes the child after it has ended."""
    assert reference_to(Kind.BACKUP, Metadata(name="shop", uid="u-1")) == {
        "apiVersion": "dbcustody.dev/v1",
        "kind": "Backup",
        "name": "shop",
        "uid": "u-1",
        "controller": True,
        "blockOwnerDeletion": True,
    }


@pytest.mark.parametrize(
    ("tables", "is_whole"), [({}, True), ({"include": ["a.b"]}, False), ({"exclude": ["a.b"]}, False)]
)
def test_a_policy_that_leaves_nothing_out_is_whole(tables: dict[str, Any], is_whole: bool) -> None:  # noqa: FBT001 - what is expected
    """Whatever is named leaves something out."""
    read = BackupPolicy.from_body({"metadata": METADATA, "spec": SPECS[BackupPolicy] | {"tables": tables}})
    assert read.spec.is_whole is is_whole

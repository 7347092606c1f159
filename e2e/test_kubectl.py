"""What kubectl shows of the resources: columns, explanations, and ours under the plain word `backups`."""

from __future__ import annotations

import json
import types
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Union, get_args, get_origin

import pytest

from dbcustody.api.approval import ApprovalStatus
from dbcustody.api.backup import BackupStatus
from dbcustody.api.database import DatabaseStatus
from dbcustody.api.meta import Kind
from dbcustody.api.migration import DatabaseMigrationStatus
from dbcustody.api.policy import BackupPolicySpec, BackupPolicyStatus
from dbcustody.api.restore import RestoreRequestStatus
from dbcustody.api.storage import BackupStorageStatus
from dbcustody.codec import decode, encode, hints_of, wire_name
from dbcustody.naming import GROUP
from ground.cache import REPOSITORY
from ground.process import wait_until
from scene.specimen import LEAST, Showcase

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ground.kubernetes import Cluster

    Json = Any

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("api")]
EVERY_KIND = pytest.mark.parametrize("kind", Kind, ids=str)
STATUS: Final[dict[Kind, type]] = {
    Kind.DATABASE: DatabaseStatus,
    Kind.BACKUP_STORAGE: BackupStorageStatus,
    Kind.BACKUP_POLICY: BackupPolicyStatus,
    Kind.BACKUP: BackupStatus,
    Kind.RESTORE_REQUEST: RestoreRequestStatus,
    Kind.DATABASE_MIGRATION: DatabaseMigrationStatus,
    Kind.APPROVAL: ApprovalStatus,
}
SCALARS: Final = {str: "word", int: 17, bool: True, datetime: datetime(2026, 1, 31, 2, tzinfo=UTC)}
COLUMNS: Final = {
    Kind.DATABASE: "NAME READY HOST DATABASE VERSION SIZE LAST-BACKUP REASON AGE",
    Kind.BACKUP_STORAGE: "NAME READY KIND LOCATION ENCRYPTED BACKUPS REASON AGE",
    Kind.BACKUP_POLICY: "NAME READY DATABASE SCHEDULE SUSPEND LAST-OK NEXT RECOVERY-POINT KEPT STORE AGE",
    Kind.BACKUP: "NAME SUCCEEDED DATABASE PROGRESS SIZE VERIFIED EXPIRES POLICY DURATION SCOPE LOCATION REASON AGE",
    Kind.RESTORE_REQUEST: "NAME SUCCEEDED SOURCE TARGET MODE PROGRESS APPROVED DURATION REASON AGE",
    Kind.DATABASE_MIGRATION: "NAME READY DATABASE CURRENT PENDING RISK APPROVED REASON PROGRESS PLAN AGE",
    Kind.APPROVAL: "NAME REQUEST DECISION APPROVER READY REASON AGE",
}
OTHERS: Final = ("postgresql.cnpg.io", "k8up.io", "velero.io")
"""Groups of other operators that have a kind Backup in version v1."""


@pytest.fixture(scope="module")
def showcase(cluster: Cluster) -> Iterator[Showcase]:
    """Yield a namespace of its own, without the operator's word in it."""
    cluster.kubectl("create", "namespace", "kubectl")
    yield Showcase(cluster, "kubectl")
    cluster.kubectl("delete", "namespace", "kubectl", "--wait=false")


def full(kind: Any) -> Any:
    """Return a value of type *kind* in which every field says something."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return full(next(choice for choice in get_args(kind) if choice is not type(None)))
    if origin is tuple:
        return (full(get_args(kind)[0]),)
    if is_dataclass(kind):
        return kind(**{field.name: full(hints_of(kind)[field.name]) for field in fields(kind)})  # type: ignore[operator]
    return next(iter(kind)) if issubclass(kind, Enum) else SCALARS[kind]


@EVERY_KIND
def test_everything_that_the_operator_can_say_is_kept(showcase: Showcase, kind: Kind) -> None:
    """A status in which every field says something is stored whole, and comes back as it was said."""
    said = full(STATUS[kind])
    stored = showcase.create(kind, LEAST[kind])
    assert "patched" in showcase.patch(stored, {"status": encode(said)}, "--subresource=status")
    name = f"{kind.lower()}.{GROUP}/{stored['metadata']['name']}"
    assert decode(STATUS[kind], json.loads(showcase.get(name, "-o", "json"))["status"]) == said


@EVERY_KIND
def test_columns_say_what_is_asked_first(showcase: Showcase, kind: Kind) -> None:
    """The short name shows the documented columns; the wide ones only when asked for."""
    showcase.create(kind, LEAST[kind])
    wide = showcase.get(kind.short_name, "-o", "wide").splitlines()
    assert wide[0].split() == COLUMNS[kind].split()
    narrow = showcase.get(kind.short_name).splitlines()
    assert len(narrow[0].split()) < len(wide[0].split())


def test_the_category_shows_the_whole_estate(showcase: Showcase) -> None:
    """`kubectl get dbcustody` lists all kinds at once."""
    made = {f"{kind.lower()}.{GROUP}/{showcase.create(kind, LEAST[kind])['metadata']['name']}" for kind in Kind}
    assert made <= set(showcase.get("dbcustody", "-o", "name").split())


@pytest.mark.parametrize("kind", [Kind.BACKUP_POLICY, Kind.BACKUP], ids=str)
def test_fields_select(showcase: Showcase, kind: Kind) -> None:
    """The API server itself finds what belongs to a Database."""
    spec = {**LEAST[kind], "databaseRef": {"name": "selected"}}
    made = showcase.create(kind, spec)["metadata"]["name"]
    showcase.create(kind, {**spec, "databaseRef": {"name": "other"}})
    found = showcase.get(kind.short_name, "--field-selector", "spec.databaseRef.name=selected", "-o", "name")
    assert found.split() == [f"{kind.lower()}.{GROUP}/{made}"]


def leaves(cls: type) -> Iterator[str]:
    """Yield the name of every field of *cls* and below, as it stands in a resource."""
    for field in fields(cls):  # type: ignore[arg-type]
        yield wire_name(field.name)
        kinds = (hints_of(cls)[field.name], *get_args(hints_of(cls)[field.name]))
        yield from (name for kind in kinds if is_dataclass(kind) for name in leaves(kind))  # type: ignore[arg-type]


def test_explain_knows_every_field(showcase: Showcase) -> None:
    """`kubectl explain --recursive` shows the whole policy, and a single field with its sentence and its default."""

    def explained(*words: str) -> str:
        return showcase.cluster.kubectl("explain", *words, check=False)

    assert wait_until(lambda: "<boolean>" in explained("backuppolicy.spec", "--recursive"), 30)
    shown = {line.split()[0] for line in explained("backuppolicy.spec", "--recursive").splitlines() if "\t<" in line}
    assert set(leaves(BackupPolicySpec)) <= shown
    field = explained("backuppolicy.spec.startingDeadlineSeconds")
    assert "How late a run may start" in " ".join(field.split())


def other_backups(group: str) -> str:
    """Return another operator's CRD with the plain name `backups`."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"kind": "Backup", "plural": "backups", "singular": "backup"}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
    metadata = {"name": f"backups.{group}"}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": metadata,
        "spec": spec,
    }
    return json.dumps(crd)


@pytest.fixture
def crowded(showcase: Showcase) -> Iterator[Showcase]:
    """Yield the showcase while other operators serve `backups` too."""
    cluster = showcase.cluster
    for group in OTHERS:
        cluster.kubectl("apply", "-f", "-", stdin=other_backups(group))
        cluster.kubectl("wait", "--for=condition=Established", f"crd/backups.{group}", "--timeout=30s")
    yield showcase
    for group in OTHERS:
        cluster.kubectl("delete", "crd", f"backups.{group}")


def test_plain_backups_are_ours(crowded: Showcase, tmp_path: Path) -> None:
    """`kubectl get backups` lists our Backups, also where other operators have resources of that name."""
    made = crowded.create(Kind.BACKUP, LEAST[Kind.BACKUP])["metadata"]["name"]
    fresh = f"--cache-dir={tmp_path}"  # what kubectl remembers may be older than the other operators
    assert wait_until(
        lambda: all(group in crowded.cluster.kubectl("api-resources", fresh, "--cached=false") for group in OTHERS), 30
    )
    assert f"backup.{GROUP}/{made}" in crowded.get("backups", "-o", "name", fresh).split()
    assert f"backup.{GROUP}/{made}" in crowded.get("backup", "-o", "name", fresh).split()


def test_the_examples_apply_together(showcase: Showcase) -> None:
    """`kubectl apply -f examples/` creates everything, strictly validated, and a second time changes nothing."""
    words = ("apply", "--validate=strict", "-n", showcase.namespace, "-f", str(REPOSITORY / "examples"))
    first = showcase.cluster.kubectl(*words).splitlines()
    kinds = {line.split(".", 1)[0] for line in first if GROUP in line}
    assert kinds == {kind.lower() for kind in Kind}
    assert all(line.endswith(" created") for line in first)
    second = [line for line in showcase.cluster.kubectl(*words).splitlines() if GROUP in line]
    assert [line for line in second if not line.endswith(" unchanged")] == []


def test_the_definitions_apply_again(showcase: Showcase) -> None:
    """An update by plain `kubectl apply -f crds/` works, with the same words as the installation."""
    answer = showcase.cluster.kubectl("apply", "--validate=strict", "-f", str(REPOSITORY / "crds"))
    assert [line.split()[-1] for line in answer.splitlines()] == ["unchanged"] * len(Kind)

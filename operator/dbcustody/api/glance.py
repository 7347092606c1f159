"""A resource at a glance: what a client tells people of any kind, and nothing else.

Reasons, stages and condition types stand here as the texts that they are on the wire: a client that is older than the operator must
still be able to say what it does not know itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.database import LastBackup, Server
from dbcustody.api.meta import Kind, Metadata, ObjectRef, read_metadata
from dbcustody.api.restore import OldDatabase, RestoreSource
from dbcustody.codec import decode
from dbcustody.naming import GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping

ONE_SHOT: Final = frozenset({Kind.BACKUP, Kind.RESTORE_REQUEST})
"""Kinds that are done once, and then are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One condition, as it was said."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    observed_generation: int | None = None
    last_transition_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a restore goes; *database* None: into the Database's own place."""

    database_ref: ObjectRef
    database: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """A workload that is stopped for a swap; *replicas* is what it had."""

    kind: str
    name: str
    replicas: int = 0
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What hangs on a database whose place is to be taken."""

    kind: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The part of a plan that a person has to accept."""

    side_effects: tuple[Effect, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The part of a `spec` that says what hangs together with what."""

    database_ref: ObjectRef | None = None
    policy_ref: ObjectRef | None = None
    storage_ref: ObjectRef | None = None
    target: Target | None = None
    suspend: bool = False
    source: RestoreSource | None = None
    undo_of: ObjectRef | None = None
    acknowledge: tuple[str, ...] = ()
    workloads: tuple[Scaled, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Where a backup lies, and how big it is there."""

    location: str
    stored: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """A database of a Database's server that a restore made or put away."""

    name: str
    left: bool = False
    """Whether nobody drops it any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The part of a `status` that people are told; None means: not known, or not of this kind."""

    observed_generation: int = -1
    conditions: tuple[Said, ...] = ()
    last_backup: LastBackup | None = None
    next_schedule_time: datetime | None = None
    prune_hash: str | None = None
    snapshot_time: datetime | None = None
    finish_time: datetime | None = None
    artefact: Stored | None = None
    missing_grants: tuple[str, ...] = ()
    server: Server | None = None
    plan: Told | None = None
    workloads: tuple[Scaled, ...] = ()
    old_database: OldDatabase | None = None
    oid: int | None = None
    inspected_time: datetime | None = None
    copies: tuple[Beside, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """A resource of any kind."""

    kind: Kind
    metadata: Metadata
    spec: Wanted = field(default_factory=Wanted)
    status: Found = field(default_factory=Found)

    @classmethod
    def from_body(cls, kind: Kind, body: Mapping[str, Any]) -> Glance:
        """Return the resource that the Kubernetes object *body* describes; raises InvalidSpecError with the field's path."""
        return cls(
            kind=kind,
            metadata=read_metadata(body),
            spec=decode(Wanted, body.get("spec") or {}, "spec"),
            status=decode(Found, _without_other_plans(kind, body.get("status") or {}), "status"),
        )

    @property
    def name(self) -> str:
        """The resource's name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The namespace that it lies in."""
        return self.metadata.namespace

    @property
    def place(self) -> str:
        """The way kubectl takes it, unmistakable beside other operators' kinds of the same name."""
        return f"{self.kind.plural}.{GROUP}/{self.name}"

    @property
    def is_current(self) -> bool:
        """Whether status is about the spec that stands there now."""
        return self.status.observed_generation == self.metadata.generation

    def said(self, kind: str) -> Said | None:
        """Return the condition *kind*, or None when it was never said."""
        return next((one for one in self.status.conditions if one.type == kind), None)

    def is_true(self, kind: str) -> bool:
        """Return whether the condition *kind* stands and says yes."""
        found = self.said(kind)
        return found is not None and found.status == "True"

    @property
    def is_proof(self) -> bool:
        """Whether a Backup succeeded and its data is not known to be gone since."""
        return self.is_true("Succeeded") and not self.is_false("Uploaded")

    def is_false(self, kind: str) -> bool:
        """Return whether the condition *kind* stands and says no."""
        found = self.said(kind)
        return found is not None and found.status == "False"


def _without_other_plans(kind: Kind, status: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return *status* without a plan that is not of a restore: a policy's is a list of what retention does."""
    if kind is Kind.RESTORE_REQUEST:
        return status
    return {name: value for name, value in status.items() if name != "plan"}

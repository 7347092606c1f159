"""Database: a PostgreSQL database that somebody else runs and that we take custody of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dbcustody.api.condition import Condition
from dbcustody.api.job_template import JobTemplate
from dbcustody.api.meta import Metadata, ObjectRef, SecretKeyRef, read_metadata
from dbcustody.codec import decode
from dbcustody.naming import default_custody_id

if TYPE_CHECKING:
    from collections.abc import Mapping


class Environment(StrEnum):
    """How much is at stake; presets of later work depend on it."""

    DEVELOPMENT = "Development"
    STAGING = "Staging"
    PRODUCTION = "Production"


class TlsMode(StrEnum):
    """libpq's sslmode, in the words of Kubernetes; never plain unless said."""

    DISABLE = "Disable"
    REQUIRE = "Require"
    VERIFY_CA = "VerifyCA"
    VERIFY_FULL = "VerifyFull"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How the connection is protected; mode None means VerifyFull with a CA and Require without."""

    mode: TlsMode | None = None
    ca_secret_ref: SecretKeyRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the database is and which Secret opens it."""

    secret_ref: ObjectRef
    key_map: dict[str, str] = field(default_factory=dict)
    host: str | None = None
    port: int | None = None
    database: str | None = None
    maintenance_database: str = "postgres"
    tls: Tls = field(default_factory=Tls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role of its own for one task; its Secret follows the same conventions as the connection's."""

    secret_ref: ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The roles for tasks that act now; each falls back to the connection."""

    backup: Role | None = None
    restore: Role | None = None
    migrator: Role | None = None


class WorkloadKind(StrEnum):
    """What can be scaled through its scale subresource."""

    DEPLOYMENT = "Deployment"
    STATEFUL_SET = "StatefulSet"

    @property
    def plural(self) -> str:
        """How the API server calls it in URLs."""
        return f"{self.value.lower()}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What uses the database, and is stopped while another one takes its place."""

    kind: WorkloadKind
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseSpec:
    """What is wanted."""

    connection: Connection
    environment: Environment = Environment.PRODUCTION
    custody_id: str | None = None
    roles: Roles = field(default_factory=Roles)
    workloads: tuple[Workload, ...] = ()
    inspect_interval_seconds: int = 3600
    job: JobTemplate | None = None
    suspend: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """An installed extension."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What the server says of itself."""

    version: str
    major_version: int
    system_identifier: str | None = None
    timeline: int | None = None
    size_bytes: int | None = None
    in_recovery: bool | None = None
    extensions: tuple[Extension, ...] = ()


class CopyStage(StrEnum):
    """How far a database is that a restore of ours made, or put away."""

    RESTORING = "Restoring"
    READY = "Ready"
    """Complete and shut: it waits to take another's place."""
    RESTORED = "Restored"
    KEPT = "Kept"
    """Another one took its place, and it is kept, shut, for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A database of the server that a restore of ours made or put away; None means: its comment does not tell."""

    name: str
    oid: int
    stage: CopyStage
    mark: str
    """For what it was made or put away: the request's name and a digest of what it asks for, or a command's time."""
    custody_id: str | None = None
    """Of the Database whose place it had or is to take; None: it stands by itself, or is not that far."""
    backup_id: str | None = None
    drop_after: datetime | None = None
    left: bool = False
    """Whether its time is over, and no request is there that will drop it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastBackup:
    """The newest good backup."""

    name: str
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStatus:
    """What was found; None means: not known yet."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    endpoint: str | None = None
    database: str | None = None
    oid: int | None = None
    """Of the database; it changes whenever another one takes its place."""
    convention: str | None = None
    server: Server | None = None
    copies: tuple[Copy, ...] = ()
    """The first ones by name."""
    more_copies: int | None = None
    """How many there are besides; None: none."""
    missing_grants: tuple[str, ...] = ()
    last_backup: LastBackup | None = None
    inspected_time: datetime | None = None
    inspect_failures: int = 0
    check_now: str | None = None
    job_ref: ObjectRef | None = None
    ordinal: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """The resource."""

    metadata: Metadata
    spec: DatabaseSpec
    status: DatabaseStatus = field(default_factory=DatabaseStatus)

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> Database:
        """Return the resource that the Kubernetes object *body* describes; raises InvalidSpecError with the field's path."""
        return cls(
            metadata=read_metadata(body),
            spec=decode(DatabaseSpec, body["spec"], "spec"),
            status=decode(DatabaseStatus, body.get("status") or {}, "status"),
        )

    @property
    def custody_id(self) -> str:
        """The identity in every storage; it survives fail-over, major upgrades and a new cluster."""
        return self.spec.custody_id or default_custody_id(self.metadata.namespace, self.metadata.name)

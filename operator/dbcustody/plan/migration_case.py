"""A DatabaseMigration at one moment: what was seen around it, and what of that its source names."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dbcustody.api.approval import Approval
from dbcustody.api.backup import Backup
from dbcustody.api.condition import ConditionStatus, ConditionType, find
from dbcustody.api.database import Database
from dbcustody.api.meta import Metadata, read_metadata
from dbcustody.api.migration import DatabaseMigration, MigrationProgress
from dbcustody.api.policy import BackupPolicy
from dbcustody.contract import Verb
from dbcustody.migration.digest import file_digest, source_digest
from dbcustody.naming import ANNOTATION_CHECK_NOW, LABEL_MIGRATION_SOURCE
from dbcustody.plan.freeze import FreezeWindow
from dbcustody.plan.observed import SeenJob
from dbcustody.plan.request import Missing, missing
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dbcustody.api.migration import DatabaseMigrationStatus


def files_of(body: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Yield the files of the ConfigMap *body*: names, and the bytes that a pod finds in them."""
    yield from ((name, text.encode()) for name, text in (body.get("data") or {}).items())
    yield from ((name, base64.b64decode(text)) for name, text in (body.get("binaryData") or {}).items())


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenConfigMap:
    """A ConfigMap that may be a source; *files* are names and digests, and None while only its metadata was read."""

    metadata: Metadata
    files: tuple[tuple[str, str], ...] | None = None

    @classmethod
    def from_body(cls, body: Mapping[str, Any]) -> SeenConfigMap:
        """Return what the ConfigMap *body* says, by the bytes that a pod finds in its files."""
        files = tuple(sorted((name, file_digest(content)) for name, content in files_of(body)))
        return cls(metadata=read_metadata(body), files=files)

    @property
    def is_source(self) -> bool:
        """Whether it says that it is one."""
        return LABEL_MIGRATION_SOURCE in self.metadata.labels


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMigration:
    """What was seen around a DatabaseMigration; None: it is not there."""

    image: str
    database: Database | None = None
    config_maps: tuple[SeenConfigMap, ...] = ()
    """Those of the source that are there, with their files."""
    jobs: tuple[SeenJob, ...] = ()
    policy: BackupPolicy | None = None
    """The one by which a backup has to be there."""
    backups: tuple[Backup, ...] = ()
    """Those of that policy, what was taken by it for this resource among them."""
    promotion: DatabaseMigration | None = None
    """The one by which the source has to be in first."""
    approvals: tuple[Approval, ...] = ()
    """All those that name it."""
    is_stamped: bool = False
    """Whether admission policies write down who asks and who approves."""
    freeze_windows: tuple[FreezeWindow, ...] = ()
    progress: MigrationProgress | None = None
    """What the run that is under way said last."""
    runs: int = 1
    """How many runs are watched, in the whole cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the resource refers to, and is there."""

    database: Database
    source_digest: str | None
    """Of all files; None: they lie in an image, and only a Job can look into it."""


@dataclass(frozen=True, slots=True)
class MigrationCase:
    """A DatabaseMigration at one moment, with everything that the rules look at."""

    migration: DatabaseMigration
    seen: SeenMigration
    now: datetime

    @property
    def status(self) -> DatabaseMigrationStatus:
        """What was last said."""
        return self.migration.status

    @property
    def generation(self) -> int:
        """That of the spec as it stands."""
        return self.migration.metadata.generation

    @property
    def check_now(self) -> str | None:
        """What a person wrote into the annotation that asks for a look, or a new try, at once."""
        return self.migration.metadata.annotations.get(ANNOTATION_CHECK_NOW)

    @property
    def planning_jobs(self) -> tuple[SeenJob, ...]:
        """The Jobs that only look, or settle."""
        return tuple(job for job in self.seen.jobs if job.verb is not Verb.MIGRATE)

    @property
    def running_jobs(self) -> tuple[SeenJob, ...]:
        """The Jobs that carry migrations out."""
        return tuple(job for job in self.seen.jobs if job.verb is Verb.MIGRATE)

    @property
    def run_job(self) -> SeenJob | None:
        """The Job of the last run, or None when it is not there."""
        run = self.status.run
        return next((job for job in self.running_jobs if run is not None and job.name == run.job_name), None)

    @property
    def found(self) -> Found | Missing:
        """What the resource refers to, or the first of it that is missing and may come."""
        if self.seen.database is None:
            return missing(Reason.DATABASE_NOT_FOUND, "Database", self.migration.spec.database_ref.name)
        if self.migration.spec.source.image is not None:
            return Found(database=self.seen.database, source_digest=None)
        there = {one.metadata.name: one for one in self.seen.config_maps}
        for reference in self.migration.spec.source.config_map_refs:
            config_map = there.get(reference.name)
            if config_map is None:
                return missing(Reason.SOURCE_NOT_FOUND, "ConfigMap", reference.name)
            if not config_map.is_source:
                what = f"ConfigMap {reference.name!r}: lacks the label {LABEL_MIGRATION_SOURCE}, by which its changes are heard of; add it"
                return Missing(reason=Reason.SOURCE_NOT_FOUND, message=what)
        return Found(database=self.seen.database, source_digest=source_digest(self._files(there)))

    def _files(self, there: Mapping[str, SeenConfigMap]) -> Iterator[tuple[str, str]]:
        source = self.migration.spec.source
        yield from ((one.name, file_digest(one.sql.encode())) for one in source.inline)
        for reference in source.config_map_refs:
            yield from there[reference.name].files or ()

    def is_planned(self, found: Found) -> bool:
        """Return whether the plan in status, or why there is none, is about this spec and the source that was found."""
        planned = find(self.status.conditions, ConditionType.PLANNED)
        if planned is None or planned.status is ConditionStatus.UNKNOWN:
            return False
        is_same = found.source_digest in {None, self.status.source_digest}
        return planned.observed_generation == self.generation and is_same

"""Commits with migrations, the database that they are for, and the DatabaseMigration in between, whose operator hears of things late.

What a sync was told is held against what the database really has: nothing here looks at status to know that.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.backup import BackupScope
from dbcustody.api.condition import ConditionType, yes
from dbcustody.api.meta import ObjectRef
from dbcustody.api.migration import (
    BackupGate,
    DatabaseMigration,
    DatabaseMigrationStatus,
    MigrationApproval,
    MigrationGates,
    MigrationRef,
    PromotionGate,
    RiskClass,
    StatedMigration,
    StatedMigrationPlan,
)
from dbcustody.api.migration_source import InlineFile, MigrationSource, SourceImage
from dbcustody.api.restore import StatedObstacle
from dbcustody.contract import Verb
from dbcustody.facts import MigrationFacts
from dbcustody.migration.digest import file_digest, source_digest
from dbcustody.naming import LABEL_MIGRATION_SOURCE
from dbcustody.plan.migration_case import SeenConfigMap
from dbcustody.reason import Reason
from tests.fakes import migration_plane, seen
from tests.fakes.migration_plane import MigrationPlane, migration, told
from tests.gitops.argocd import Phase, Sync
from tests.gitops.bodies import body_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dbcustody.contract import MigrationTerms
    from dbcustody.plan.observed import SeenJob

APP: Final = "app"
NIGHTLY: Final = ObjectRef(name="nightly")
WAITS_FOR: Final[dict[str, dict[str, Any]]] = {
    "nothing": {},
    "person": {"approval": MigrationApproval(required=True)},
    "backup": {"gates": MigrationGates(backup=BackupGate(policy_ref=NIGHTLY))},
    "promotion": {"gates": MigrationGates(promotion=PromotionGate(migration_ref=MigrationRef(name="staging")))},
}
"""What each kind of rollout stops for, in the spec's words."""
_GOOD: Final = tuple(
    yes(kind, reason)
    for kind, reason in [
        (ConditionType.FINISHED, Reason.SUCCEEDED),
        (ConditionType.SUCCEEDED, Reason.SUCCEEDED),
        (ConditionType.VERIFIED, Reason.VERIFIED),
    ]
)
_IN: Final = (yes(ConditionType.READY, Reason.APPLIED), yes(ConditionType.APPLIED, Reason.APPLIED))

Files = dict[str, str]
"""Their texts, by name."""


class Lies(StrEnum):
    """Where the files of a commit lie."""

    IN_CONFIG_MAP = "ConfigMap"
    IN_IMAGE = "Image"
    INLINE = "Inline"


def digest_of(files: Mapping[str, str]) -> str:
    """Return the digest of the source that *files* are."""
    return source_digest((name, file_digest(text.encode())) for name, text in files.items())


@dataclass
class Ledger:
    """What is in the database, and whether anybody knows how the last run ended."""

    rows: Files = field(default_factory=dict)
    is_unsettled: bool = False

    def pending(self, files: Files) -> list[str]:
        """Return which of *files* are not in."""
        return [name for name in files if name not in self.rows]

    def plan(self, files: Files) -> StatedMigrationPlan:
        """Return what would come next of *files*."""
        pending = self.pending(files)
        mark = hashlib.sha256(repr((pending, files, self.rows)).encode()).hexdigest()[:12]
        edited = [name for name in files if self.rows.get(name, files[name]) != files[name]]
        return StatedMigrationPlan(
            hash=mark,
            migrations=tuple(StatedMigration(name=name, risk=RiskClass.SAFE) for name in pending),
            risk=RiskClass.SAFE if pending else None,
            obstacles=tuple(
                StatedObstacle(reason=Reason.HISTORY_BROKEN.value, message=f"{one}: edited") for one in edited
            ),
            ahead=not pending and self.rows.keys() > files.keys(),
        )

    def facts(self, files: Files) -> MigrationFacts:
        """Return what a Job tells that holds *files* against it."""
        stated = self.plan(files)
        return MigrationFacts(
            source_digest=digest_of(files),
            applied=len(self.rows),
            pending=len(stated.migrations),
            plan=stated,
            current=next(reversed(self.rows), None),
            unsettled=self.is_unsettled,
        )

    def has(self, files: Files) -> bool:
        """Return whether all of *files* are in, as they are."""
        return files.items() <= self.rows.items()


@dataclass
class Rollout:
    """One application whose new version must not start before its migrations are in; as a hook, each sync makes the resource anew."""

    waits_for: str = "nothing"
    is_hook: bool = False
    plane: MigrationPlane = field(default_factory=MigrationPlane)
    ledger: Ledger = field(default_factory=Ledger)
    files: Files = field(default_factory=dict)
    """Those of the last commit."""
    config_maps: dict[str, Files] = field(default_factory=dict)
    images: dict[str, Files] = field(default_factory=dict)
    stale: DatabaseMigration | None = None
    """What the operator still takes for the resource; None: it knows it as it is."""
    agreed: dict[str, bool] = field(default_factory=dict)
    """Of each Job that began to migrate, whether its plan was still the one that was pending."""
    births: int = 0

    def __post_init__(self) -> None:
        """Nothing is applied yet; the first commit brings the resource."""
        spec = WAITS_FOR[self.waits_for]
        self.plane = MigrationPlane(migration=migration(source=MigrationSource(), **spec))
        self.around(config_maps=(), policy=seen.policy())
        self.sync = self._new_sync()

    def around(self, **values: Any) -> None:
        """Let something else be around it."""
        self.plane.around = replace(self.plane.around, **values)

    def _new_sync(self) -> Sync:
        return Sync([["migration"], [APP]], hooks=frozenset({"migration"} if self.is_hook else ()))

    # --- the team

    def commit(self, files: Files, *, lies: Lies = Lies.IN_CONFIG_MAP, name: str | None = None, **spec: Any) -> None:
        """Let Git have *files*, under *name* where they lie outside (None: it is made of their content), and a sync of that begin."""
        self.files, name = files, name or f"shop-migrations-{digest_of(files)[:10]}"
        if lies is Lies.INLINE:
            source = MigrationSource(inline=tuple(InlineFile(name=one, sql=text) for one, text in files.items()))
        elif lies is Lies.IN_IMAGE:
            self.images[name] = files
            source = MigrationSource(image=SourceImage(reference=name, path="/migrations"))
        else:
            self.config_maps[name] = files
            source = MigrationSource(config_map_refs=(ObjectRef(name=name),))
        self._apply(source, spec)
        self.sync = self._new_sync()

    def _apply(self, source: MigrationSource, spec: Mapping[str, Any]) -> None:
        self.stale = self.stale or self.plane.migration
        if self.is_hook:
            self._is_made_anew()
        before = self.plane.migration.spec
        if replace(before, source=source, **spec) != before:
            self.plane.edit(source=source, **spec)

    @property
    def lies(self) -> Lies:
        """Where the files of the last commit lie."""
        source = self.plane.migration.spec.source
        if source.image is not None:
            return Lies.IN_IMAGE
        return Lies.INLINE if source.inline else Lies.IN_CONFIG_MAP

    def _is_made_anew(self) -> None:
        """Delete the resource, whose Jobs end with it, and create it of the same name."""
        self.births += 1
        if self.is_at_work(Verb.MIGRATE):
            self.ledger.is_unsettled = True
        self.plane.jobs.clear()
        about = replace(self.plane.migration.metadata, uid=f"uid-{self.births}", generation=1)
        self.plane.migration = replace(self.plane.migration, metadata=about, status=DatabaseMigrationStatus())

    def looks_on(self) -> Phase:
        """Let the sync look at the resource as the API server has it."""
        return self.sync.look({"migration": body_of(self.plane.migration)})

    @property
    def is_let_go(self) -> bool:
        """Whether the application's wave was applied."""
        return self.sync.applied > 1

    # --- the operator

    def hears(self) -> None:
        """Let the operator learn what the resource is by now."""
        self.stale = None

    def hears_of_sources(self) -> None:
        """Let the operator list ConfigMaps."""
        self.around(config_maps=tuple(self._seen_config_map(name) for name in self.config_maps))

    def _seen_config_map(self, name: str) -> SeenConfigMap:
        labels = {LABEL_MIGRATION_SOURCE: "shop"}
        metadata = {"name": name, "namespace": "team", "uid": f"uid-{name}", "labels": labels}
        return SeenConfigMap.from_body({"metadata": metadata, "data": self.config_maps[name]})

    def works(self, *, dies_after: int) -> None:
        """Let the operator plan once; what it would write of an older resource than there is, the API server refuses, and it reads anew."""
        if self.stale is None:
            self.plane.step(dies_after=dies_after)
            return
        around = replace(self.plane.around, jobs=tuple(self.plane.jobs.values()))
        found = migration_plane.plan(self.stale, around, self.plane.now)
        if found.status != self.stale.status:
            self.stale = None

    # --- the Jobs

    @property
    def at_work(self) -> SeenJob | None:
        """The Job that was started last, if it is there and has not ended."""
        job = self.plane.jobs.get(self.plane.name) if self.plane.started else None
        return job if job is not None and not job.is_finished else None

    def is_at_work(self, verb: Verb) -> bool:
        """Return whether a Job of *verb* is under way."""
        return self.at_work is not None and self.at_work.verb is verb

    @property
    def given(self) -> Files | None:
        """The files that the Job at work was given; None: a ConfigMap of them is gone, and its pod never starts."""
        terms = self._terms
        if terms.image is not None:
            return self.images[terms.image.reference]
        names = [one.name for one in terms.config_map_refs]
        if any(name not in self.config_maps for name in names):
            return None
        files = {one.name: one.sql for one in terms.inline}
        return files | {name: text for one in names for name, text in self.config_maps[one].items()}

    @property
    def _terms(self) -> MigrationTerms:
        terms = self.plane.asked().migration
        assert terms is not None
        return terms

    def migrates(self, most: int = 1) -> None:
        """Let the Job that migrates settle what was left, and carry out the next of its files, *most* of them, if its plan still holds."""
        files, name = self.given, self.plane.name
        assert files is not None
        self.ledger.is_unsettled = False
        self.agreed.setdefault(name, self.ledger.plan(files).hash == self._terms.plan_hash)
        for one in self.ledger.pending(files)[:most] if self.agreed[name] else ():
            self.ledger.rows[one] = files[one]

    def ends(self, how: str) -> None:
        """Let the Job at work end `well`, `refused` by the database, `for now`, or `killed`."""
        job, files = self.at_work, self.given
        assert job is not None
        if how == "killed" or files is None:
            self.ledger.is_unsettled |= job.verb is Verb.MIGRATE
            self.plane.ends(None)
            return
        if job.verb is Verb.SETTLE_MIGRATION:
            self.ledger.is_unsettled = False
        reason = {"refused": Reason.MIGRATION_FAILED, "for now": Reason.LOCK_NOT_OBTAINED}.get(how, Reason.APPLIED)
        if job.verb is not Verb.MIGRATE:
            found = Reason.HOST_UNREACHABLE if how != "well" else Reason.PLANNED
            self.plane.ends(told(self.ledger.facts(files) if how == "well" else None, found))
            return
        self.migrates(most=len(files) if how == "well" else 0)
        reason = reason if self.agreed[job.name] else Reason.PLAN_CHANGED
        self.plane.ends(told(self.ledger.facts(files), reason, "so it was"))

    # --- what is waited for

    def is_in_elsewhere(self) -> None:
        """Let the source of the last commit be in by the other DatabaseMigration."""
        other = replace(migration(), metadata=seen.metadata("staging"))
        status = {"source_digest": digest_of(self.files), "pending": 0, "observed_generation": 1, "conditions": _IN}
        self.around(promotion=seen.with_status(other, **status))

    def is_backed_up(self) -> None:
        """Let a backup of just now be there."""
        now = self.plane.now
        told_of = {"conditions": _GOOD, "scope": BackupScope.WHOLE, "snapshot_time": now, "finish_time": now}
        self.around(backups=(seen.with_status(seen.backup(policy_ref=NIGHTLY), **told_of),))

"""Everything that was heard of the cluster, parsed once and kept: what `observe` reads instead of asking for each object again.

It may lag behind; nothing rests on it being current. A write carries the resource version that was seen, names are deterministic,
and an older version never replaces a newer one.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from dbcustody.api.approval import Approval
from dbcustody.api.backup import Backup
from dbcustody.api.condition import ConditionType, is_true
from dbcustody.api.database import Database
from dbcustody.api.meta import Kind
from dbcustody.api.migration import DatabaseMigration
from dbcustody.api.policy import BackupPolicy
from dbcustody.api.restore import RestoreRequest
from dbcustody.api.storage import BackupStorage
from dbcustody.contract import Verb
from dbcustody.naming import LABEL_DATABASE, LABEL_OWNER_KIND, LABEL_OWNER_NAME, LABEL_POLICY, label_value
from dbcustody.plan.adoption import is_of_schedule
from dbcustody.plan.hold import is_settled
from dbcustody.plan.observed import SeenCronJob, SeenJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from dbcustody.plan.migration_case import SeenConfigMap

Resource = Database | BackupStorage | BackupPolicy | Backup | RestoreRequest | Approval | DatabaseMigration
KINDS: dict[Kind, type[Resource]] = {
    Kind.DATABASE: Database,
    Kind.BACKUP_STORAGE: BackupStorage,
    Kind.BACKUP_POLICY: BackupPolicy,
    Kind.BACKUP: Backup,
    Kind.RESTORE_REQUEST: RestoreRequest,
    Kind.APPROVAL: Approval,
    Kind.DATABASE_MIGRATION: DatabaseMigration,
}


class Key(NamedTuple):
    """Which resource is meant."""

    kind: Kind
    namespace: str
    name: str


class Place(NamedTuple):
    """An object's namespace and name."""

    namespace: str
    name: str


Item = TypeVar(
    "Item",
    Database,
    BackupStorage,
    BackupPolicy,
    Backup,
    RestoreRequest,
    Approval,
    DatabaseMigration,
    SeenJob,
    SeenCronJob,
)


class Shelf(Generic[Item]):
    """All objects of one kind, found by place and by whatever *indices* call them."""

    def __init__(self, indices: Callable[[Item], Iterator[tuple[str, ...]]]) -> None:
        self._items: dict[Place, Item] = {}
        self._indices: Callable[[Item], Iterator[tuple[str, ...]]] = indices
        self._found: defaultdict[tuple[str, ...], set[Place]] = defaultdict(set)

    def __iter__(self) -> Iterator[Item]:
        return iter(tuple(self._items.values()))

    def __len__(self) -> int:
        return len(self._items)

    def get(self, place: Place) -> Item | None:
        """Return the object at *place*, or None."""
        return self._items.get(place)

    def put(self, item: Item) -> bool:
        """Keep *item* and return True, unless this or a newer version is kept already."""
        place = Place(item.metadata.namespace, item.metadata.name)
        before = self._items.get(place)
        if before is not None and _is_no_news(before, item):
            return False
        self.drop(place)
        self._items[place] = item
        for index in self._indices(item):
            self._found[index].add(place)
        return True

    def drop(self, place: Place, uid: str | None = None) -> Item | None:
        """Forget what is at *place* (with *uid*: only that very object) and return it; None when there was nothing."""
        item = self._items.get(place)
        if item is None or (uid is not None and item.metadata.uid != uid):
            return None
        del self._items[place]
        for index in self._indices(item):
            self._found[index].discard(place)
            if not self._found[index]:
                del self._found[index]
        return item

    def count(self, *index: str) -> int:
        """Return how many objects *index* names."""
        return len(self._found.get(index, ()))

    def find(self, *index: str) -> tuple[Item, ...]:
        """Return the objects that *index* names, in the order of their names."""
        return tuple(self._items[place] for place in sorted(self._found.get(index, ())))

    def among(self, *index: str) -> Iterator[Item]:
        """Yield the objects that *index* names, in no order: for many, of which only few matter."""
        return (self._items[place] for place in self._found.get(index, ()))

    def uids(self) -> dict[Place, str]:
        """Return which object is where."""
        return {place: item.metadata.uid for place, item in self._items.items()}


class World:
    """The shelves, one for each kind of object that is watched."""

    def __init__(self) -> None:
        self.databases: Shelf[Database] = Shelf(_by_namespace)
        self.storages: Shelf[BackupStorage] = Shelf(_by_namespace)
        self.policies: Shelf[BackupPolicy] = Shelf(_indices_of_policy)
        self.backups: Shelf[Backup] = Shelf(_indices_of_backup)
        self.restores: Shelf[RestoreRequest] = Shelf(_indices_of_restore)
        self.approvals: Shelf[Approval] = Shelf(_indices_of_approval)
        self.migrations: Shelf[DatabaseMigration] = Shelf(_indices_of_migration)
        self.jobs: Shelf[SeenJob] = Shelf(_indices_of_job)
        self.cron_jobs: Shelf[SeenCronJob] = Shelf(_by_namespace)
        self.config_maps: dict[Place, SeenConfigMap] = {}
        """Those that say that they are sources of migrations; their files only once somebody asked for them."""

    def shelf(self, kind: Kind) -> Shelf[Any]:
        """Return the shelf of *kind*."""
        shelves: dict[Kind, Shelf[Any]] = {
            Kind.DATABASE: self.databases,
            Kind.BACKUP_STORAGE: self.storages,
            Kind.BACKUP_POLICY: self.policies,
            Kind.BACKUP: self.backups,
            Kind.RESTORE_REQUEST: self.restores,
            Kind.APPROVAL: self.approvals,
            Kind.DATABASE_MIGRATION: self.migrations,
        }
        return shelves[kind]

    def get(self, key: Key) -> Resource | None:
        """Return the resource, or None when it is not there."""
        found: Resource | None = self.shelf(key.kind).get(Place(key.namespace, key.name))
        return found

    def put(self, kind: Kind, body: Mapping[str, Any]) -> Resource | None:
        """Keep the resource in *body* and return it; None when nothing new is in it. Raises InvalidSpecError for a body that is none."""
        resource: Resource = KINDS[kind].from_body(body)
        return resource if self.shelf(kind).put(resource) else None

    @property
    def unfinished(self) -> int:
        """How many Backups and RestoreRequests are not over."""
        return self.backups.count("unfinished") + self.restores.count("unfinished")

    def jobs_of(self, key: Key) -> tuple[SeenJob, ...]:
        """Return the Jobs that say in their labels that they work for the resource."""
        return self.jobs.find("owner", key.namespace, key.kind.value, label_value(key.name))

    def approvals_of(self, key: Key) -> tuple[Approval, ...]:
        """Return the Approvals that name the request, in the order of their names."""
        return self.approvals.find("request", key.namespace, key.kind.value, key.name)

    def database_of(self, backup: Backup) -> str | None:
        """Return the name of the Database that *backup* is of: its own word, else its policy's; None when nobody says."""
        named = _database_named_by(backup)
        if named is not None or backup.spec.policy_ref is None:
            return named
        policy = self.policies.get(Place(backup.metadata.namespace, backup.spec.policy_ref.name))
        return policy.spec.database_ref.name if policy is not None else None

    def backups_of(self, namespace: str, database: str) -> tuple[Backup, ...]:
        """Return the Backups of the Database, also those that only name a policy, in no particular order."""
        found = list(self.backups.among("database", namespace, database))
        for policy in self.policies.among("database", namespace, database):
            named = self.backups.among("policy", namespace, policy.metadata.name)
            found += [backup for backup in named if _database_named_by(backup) is None]
        return tuple(found)


def keys_of(kind: Kind, items: Iterable[Resource]) -> Iterator[Key]:
    """Yield the keys of *items*, which are all of *kind*."""
    return (Key(kind, item.metadata.namespace, item.metadata.name) for item in items)


def is_finished(one: Backup | RestoreRequest) -> bool:
    """Return whether *one* is over."""
    return is_true(one.status.conditions, ConditionType.FINISHED)


def is_good(backup: Backup) -> bool:
    """Return whether *backup* succeeded, and its data is not known to be gone since."""
    return is_true(backup.status.conditions, ConditionType.SUCCEEDED) and backup.status.loss is None


def _by_namespace(item: Database | BackupStorage | BackupPolicy | SeenCronJob) -> Iterator[tuple[str, ...]]:
    yield ("namespace", item.metadata.namespace)


def _indices_of_policy(policy: BackupPolicy) -> Iterator[tuple[str, ...]]:
    yield from _by_namespace(policy)
    yield ("database", policy.metadata.namespace, policy.spec.database_ref.name)


def _indices_of_backup(backup: Backup) -> Iterator[tuple[str, ...]]:
    namespace, labels, spec = backup.metadata.namespace, backup.metadata.labels, backup.spec
    if not is_finished(backup):
        yield from (("unfinished",), ("unfinished", namespace))
    if not is_finished(backup) or backup.metadata.is_being_deleted or not is_settled(backup):
        yield ("open",)
    policy = spec.policy_ref.name if spec.policy_ref is not None else labels.get(LABEL_POLICY)
    if policy:
        yield ("policy", namespace, policy)
    if backup.status.storage:
        yield ("storage", namespace, backup.status.storage)
    database = _database_named_by(backup)
    if database:
        yield ("database", namespace, database)


def _indices_of_restore(request: RestoreRequest) -> Iterator[tuple[str, ...]]:
    yield ("database", request.metadata.namespace, request.spec.target.database_ref.name)
    if not is_finished(request):
        yield from (("unfinished",), ("unfinished", request.metadata.namespace))
    if not is_finished(request) or request.status.keeps_old:
        yield from (("open",), ("sparing", request.metadata.namespace))


def _indices_of_migration(migration: DatabaseMigration) -> Iterator[tuple[str, ...]]:
    namespace, spec = migration.metadata.namespace, migration.spec
    yield ("namespace", namespace)
    yield from (("source", namespace, reference.name) for reference in spec.source.config_map_refs)
    if spec.gates.backup is not None:
        yield ("policy", namespace, spec.gates.backup.policy_ref.name)
    if spec.gates.promotion is not None:
        before = spec.gates.promotion.migration_ref
        yield ("promotion", before.namespace or namespace, before.name)


def _indices_of_approval(approval: Approval) -> Iterator[tuple[str, ...]]:
    request, conditions = approval.spec.request_ref, approval.status.conditions
    yield ("request", approval.metadata.namespace, request.kind.value, request.name)
    if not is_true(conditions, ConditionType.READY) and not is_true(conditions, ConditionType.STALLED):
        yield ("open",)


def _database_named_by(backup: Backup) -> str | None:
    named = backup.spec.database_ref
    return named.name if named is not None else backup.metadata.labels.get(LABEL_DATABASE)


def _indices_of_job(job: SeenJob) -> Iterator[tuple[str, ...]]:
    namespace, labels = job.metadata.namespace, job.metadata.labels
    yield ("owner", namespace, labels.get(LABEL_OWNER_KIND, ""), labels.get(LABEL_OWNER_NAME, ""))
    if LABEL_POLICY in labels:
        yield ("policy", namespace, labels[LABEL_POLICY])
    if is_of_schedule(job):
        yield ("of a schedule",)
    if LABEL_DATABASE in labels and not job.is_finished:
        yield ("at work", namespace, labels[LABEL_DATABASE])
    if job.verb is Verb.PRUNE and not job.is_finished:
        yield ("deleting", namespace)


def _is_no_news(
    before: Resource | SeenJob | SeenCronJob,
    after: Resource | SeenJob | SeenCronJob,
) -> bool:
    """Return whether *after* is the same object at the same or an older version; Kubernetes' versions can be compared as numbers."""
    if before.metadata.uid != after.metadata.uid:
        return False
    return _number(after.metadata.resource_version) <= _number(before.metadata.resource_version)


def _number(version: str) -> int:
    return int(version) if version.isdigit() else 0

"""The one thing that operator and Job both speak: the request, the result, and the records on standard output.

The operator decides and writes down what exactly was decided; the Job does that and nothing else, and never reads a resource again.
The result comes back twice: short in the termination message (the kubelet keeps 4096 bytes), whole as a framed record in the log.
N-1 is understood: unknown fields are left aside, a missing one has its default.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from dbcustody.api.backup import Progress
from dbcustody.api.database import DatabaseSpec
from dbcustody.api.meta import ObjectRef
from dbcustody.api.migration import MigrationPolicy, MigrationProgress, Resolution
from dbcustody.api.migration_source import InlineFile, SourceFormat, SourceImage
from dbcustody.api.policy import CaptureOptions, Retention
from dbcustody.api.restore import Assertion, MissingRoles, OwnerMapping, Patterns, RestoreProgress, SideEffect
from dbcustody.api.storage import BackupStorageSpec
from dbcustody.codec import decode, encode, parse_json
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.facts import (
    BackupFacts,
    HoldFacts,
    InspectionFacts,
    MigrationFacts,
    ProbeFacts,
    PruneFacts,
    RestoreFacts,
    ReWrapFacts,
)
from dbcustody.reason import ExitCode, Reason

CONTRACT: Final = 1
UNDERSTOOD: Final = frozenset({1})
TERMINATION_MESSAGE_BYTES: Final = 4096
FRAME_PREFIX: Final = "dbcustody-record"
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,14}")
REQUEST_VARIABLE: Final = "DBCUSTODY_REQUEST"
ATTEMPT_VARIABLE: Final = "DBCUSTODY_ATTEMPT"
"""The pod's UID, by the downward API: names the attempt in the storage."""
JOB_NAME_VARIABLE: Final = "DBCUSTODY_JOB_NAME"
"""The Job's name, by the downward API: a scheduled Backup bears it."""


class Verb(StrEnum):
    """What a Job can be asked to do."""

    INSPECT = "inspect"
    PROBE = "probe"
    BACKUP = "backup"
    SETTLE = "settle"
    PRUNE = "prune"
    RE_WRAP = "re-wrap"
    HOLD = "hold"
    PLAN_RESTORE = "plan-restore"
    RESTORE = "restore"
    SETTLE_RESTORE = "settle-restore"
    SWAP = "swap"
    DROP_REPLACED = "drop-replaced"
    PLAN_MIGRATION = "plan-migration"
    SETTLE_MIGRATION = "settle-migration"
    MIGRATE = "migrate"


RESTORING: Final = frozenset({
    Verb.PLAN_RESTORE, Verb.RESTORE, Verb.SETTLE_RESTORE, Verb.SWAP, Verb.DROP_REPLACED,
})  # fmt: skip
"""What works on the server where a database is to be made, as the role that restores."""
MIGRATING: Final = frozenset({Verb.PLAN_MIGRATION, Verb.SETTLE_MIGRATION, Verb.MIGRATE})
"""What works as the role that migrates."""
DataProgress = Progress | RestoreProgress
"""What a Job tells that moves data."""
AnyProgress = DataProgress | MigrationProgress
"""What a Job may tell while it works."""


class Mount(StrEnum):
    """Where the pod finds what was mounted for it; one folder each below MOUNT_ROOT, with a file per key of the Secret."""

    CONNECTION = "connection"
    CONNECTION_CA = "connection-ca"
    S3_CREDENTIALS = "s3-credentials"
    S3_CA = "s3-ca"
    KEYRING = "keyring"
    VOLUME = "volume"
    TEST_SERVER = "test-server"
    """The folder of the throw-away server's socket; no Secret."""
    SOURCE = "source"
    """With a dash and a number behind: the ConfigMap of that number, from 0, that is a source of migrations."""
    SOURCE_IMAGE = "source-image"
    """What was copied out of the image that is the source of migrations."""


MOUNT_ROOT: Final = "/var/run/dbcustody"
TEST_SUPERUSER: Final = "postgres"
"""Of the throw-away server in the same pod; whoever reaches its socket is believed to be him."""
TEST_SERVER_SAID: Final = "said"
"""The file beside the socket that tells why the server did not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownBackup:
    """A backup that was seen in the storage before, as its resource remembers it."""

    name: str
    manifest_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceTerms:
    """What a database has to take the place of another: the one that the connection names."""

    custody_id: str
    """Of the live database, under which dumps, migrations and swaps of it exclude each other."""
    confirm: str
    """What was confirmed, see `replacement.confirmation`."""
    keep_old_seconds: int
    undoes: str | None = None
    """The mark of a swap that is to be taken back: the database that was put away for it is put back, and nothing is restored."""
    kept_time: datetime | None = None
    """When that was put away: whoever was erased since would come back with it. None: nobody says, so whoever ever was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreTerms:
    """What exactly is to be restored, and where to; the custody is the request's."""

    database: str
    """The name of the database that is made."""
    mark: str
    """Says in the database for whom it was made: whoever asks for the same again finds it done."""
    backup_id: str | None = None
    policy: str | None = None
    before_time: datetime | None = None
    """Without *backup_id* the newest good backup is meant, of *policy* and not younger than *before_time* where these are given.

    One of the whole database comes first; to take another's place nothing else will do.
    """
    missing_roles: MissingRoles = MissingRoles.FAIL
    schemas: Patterns = field(default_factory=Patterns)
    tables: Patterns = field(default_factory=Patterns)
    owner_map: tuple[OwnerMapping, ...] = ()
    acknowledge: tuple[SideEffect, ...] = ()
    parallelism: int = 1
    assertions: tuple[Assertion, ...] = ()
    plan_hash: str | None = None
    """The plan that was told; another one is not carried out. None: any."""
    replace: ReplaceTerms | None = None
    """None: it stays beside what runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationTerms:
    """Which files are meant, and what is to be done with them."""

    source_digest: str | None = None
    """Of all files, see `migration.digest`: what is mounted may be older or newer than what was decided about. None: whatever is found."""
    inline: tuple[InlineFile, ...] = ()
    config_map_refs: tuple[ObjectRef, ...] = ()
    image: SourceImage | None = None
    format: SourceFormat = SourceFormat.AUTO
    policy: MigrationPolicy = field(default_factory=MigrationPolicy)
    target_revision: str | None = None
    resolutions: tuple[Resolution, ...] = ()
    plan_hash: str | None = None
    """The plan that is to be carried out, and no other; None for who only looks, or settles."""
    approval: str | None = None
    """Who agreed to that plan, for the ledger; None: nobody was asked."""
    backup: str | None = None
    """Which backup was there before, for the ledger; None: none was asked for."""
    lock_wait_seconds: int = 60
    """How long whoever else works on the database is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What exactly was decided; everything a Job needs but the Secrets' content."""

    contract: int = CONTRACT
    verb: Verb
    namespace: str
    name: str
    """Of the resource that the work is for: Database, BackupStorage, BackupPolicy or Backup; a scheduled backup takes its Job's name."""
    owner_uid: str
    custody_id: str | None = None
    database_name: str | None = None
    database: DatabaseSpec | None = None
    storage_name: str | None = None
    storage: BackupStorageSpec | None = None
    policy_name: str | None = None
    options: CaptureOptions | None = None
    every_nth: int = 1
    """Of so many backups one is restored at level Restore; whoever asks for one backup has it restored."""
    untestable: str | None = None
    """Why no throw-away server stands beside the work, whatever the level; None: one does where the level is Restore."""
    retention: Retention | None = None
    time_zone: str | None = None
    confirm_prune: str | None = None
    """The plan hash that a person confirmed by annotation."""
    held_names: tuple[str, ...] = ()
    """Backups that a legal hold of their resource keeps: retention leaves them alone, also before the storage says so."""
    hold: bool = False
    """For the verb of that name: whether the resource's hold is to stand beside its backup, or to be released."""
    known_backups: tuple[KnownBackup, ...] = ()
    """What must still be there, or have a tombstone: whoever can write to the storage and has no key can remove, and leaves none."""
    live_attempts: tuple[str, ...] = ()
    """Pod UIDs that may still write: a sweep leaves their objects alone."""
    restore: RestoreTerms | None = None
    migration: MigrationTerms | None = None
    timeout_seconds: int = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What became of a request; exactly the facts of its verb are there, and only as far as they were found."""

    contract: int = CONTRACT
    verb: Verb
    exit_code: ExitCode
    reason: Reason
    message: str = ""
    request_sha256: str = ""
    attempt: str = ""
    repeated_requests: int | None = None
    """Sent to the storage again, whatever the verb and its end; 0 is told as 0, None: no storage was asked, or an older Job does not tell.

    Beside the facts and not among them, because a run without facts, which a sick storage ends most often, has to tell it too.
    """
    inspection: InspectionFacts | None = None
    probe: ProbeFacts | None = None
    backup: BackupFacts | None = None
    prune: PruneFacts | None = None
    re_wrap: ReWrapFacts | None = None
    hold: HoldFacts | None = None
    restore: RestoreFacts | None = None
    migration: MigrationFacts | None = None
    complete: bool = True
    """False in a termination message that had no room for the facts: the log has them."""


_FACTS: Final = ("inspection", "probe", "backup", "prune", "re_wrap", "hold", "restore", "migration")


class RecordKind(StrEnum):
    """What a framed record on standard output says."""

    PROGRESS = "progress"
    RESULT = "result"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One framed line of a Job's log; *number* counts from 1 within the pod."""

    number: int
    kind: RecordKind
    data: dict[str, Any] = field(default_factory=dict)


def opened_by(database: DatabaseSpec, verb: Verb) -> ObjectRef:
    """Return the Secret of the role that does *verb* at *database*: its own where it has one, else that of the connection."""
    roles = database.roles
    role = roles.migrator if verb in MIGRATING else roles.restore if verb in RESTORING else roles.backup
    return role.secret_ref if role is not None else database.connection.secret_ref


def dump_request(request: JobRequest) -> str:
    """Return *request* as the text that stands in the pod's REQUEST_VARIABLE; no secret is in it."""
    return _compact(encode(request))


def load_request(text: str) -> JobRequest:
    """Return the request that *text* holds; raises RefusedError (ContractUnknown) for a contract of another age."""
    return decode(JobRequest, _checked_contract(text, "the Job's request"))


def dump_result(result: JobResult, *, limit_bytes: int = TERMINATION_MESSAGE_BYTES) -> str:
    """Return *result* as JSON of at most *limit_bytes*.

    Where the whole does not fit, the facts are left out (`complete` false), then the message is cut; reason and exit code always stand.
    """
    text = _compact(encode(result))
    if len(text.encode()) <= limit_bytes:
        return text
    facts: dict[str, Any] = dict.fromkeys(_FACTS)
    short = replace(result, complete=False, **facts)
    room = limit_bytes - _size_bytes(replace(short, message=""))
    return _compact(encode(replace(short, message=_cut(short.message, room))))


def _cut(message: str, room_bytes: int) -> str:
    """Return as much of the beginning of *message* as takes at most *room_bytes* in JSON."""
    taken = 0
    for length, character in enumerate(message):
        taken += len(json.dumps(character)) - len('""')
        if taken > room_bytes:
            return message[:length]
    return message


def _size_bytes(result: JobResult) -> int:
    return len(_compact(encode(result)))


def load_result(text: str) -> JobResult:
    """Return the result that *text* holds; raises InvalidSpecError when it is not one, RefusedError for an unknown contract."""
    return decode(JobResult, _checked_contract(text, "the Job's result"))


def frame(record: Record) -> str:
    """Return *record* as one line: prefix, number, kind, digest, JSON; a line cut or mixed up on its way is recognised."""
    body = _compact(encode(record.data))
    return f"{FRAME_PREFIX} {record.number} {record.kind} {_digest(str(record.number), record.kind, body)} {body}"


def unframe(line: str) -> Record | None:
    """Return the record that *line* holds, or None when it is an ordinary or a damaged line, or of a kind that only a newer peer knows."""
    match line.rstrip("\n").split(" ", 4):
        case [prefix, number, kind, digest, body] if prefix == FRAME_PREFIX and digest == _digest(number, kind, body):
            data = _parse_object(body)
            if kind in set(RecordKind) and _NUMBER.fullmatch(number) and data is not None:
                return Record(number=int(number), kind=RecordKind(kind), data=data)
    return None


def progress_record(number: int, progress: AnyProgress) -> Record:
    """Return the record that tells *progress*."""
    return Record(number=number, kind=RecordKind.PROGRESS, data=encode(progress))


def result_record(number: int, result: JobResult) -> Record:
    """Return the record that tells the whole *result*."""
    return Record(number=number, kind=RecordKind.RESULT, data=encode(result))


def digest_of(request_text: str) -> str:
    """Return the SHA-256 that ties a result to the request it answers."""
    return hashlib.sha256(request_text.encode()).hexdigest()


def _checked_contract(text: str, what: str) -> dict[str, Any]:
    value = _parse_object(text)
    if value is None:
        raise InvalidSpecError(f"{what}: must be a JSON object")
    spoken = value.get("contract")
    if type(spoken) is not int or spoken not in UNDERSTOOD:
        raise RefusedError(
            f"{what}: speaks contract {str(spoken)[:20]}; this version understands {sorted(UNDERSTOOD)}",
            reason=Reason.CONTRACT_UNKNOWN,
        )
    return value


def _parse_object(text: str) -> dict[str, Any] | None:
    """Return the JSON object in *text*; None when there is none."""
    try:
        value = parse_json(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=True)


def _digest(*parts: str) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]

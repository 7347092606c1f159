"""What a person asks for at the command line, as the resource that says so: a Backup now, a backup brought back, a yes or no."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.approval import ApprovalSpec, Decision, RequestRef
from dbcustody.api.meta import Kind, ObjectRef
from dbcustody.api.restore import (
    MissingRoles,
    Mode,
    RestoreRequestSpec,
    RestoreSource,
    RestoreTarget,
    SideEffect,
    WantedApproval,
)
from dbcustody.codec import encode
from dbcustody.errors import InvalidSpecError
from dbcustody.naming import API_VERSION, GROUP, MAX_NAME_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dbcustody.api.glance import Glance

NAMES_TRIED: Final = 9
"""How many people can ask for the same thing in the same second."""


def read_kind(text: str) -> Kind:
    """Return the kind that *text* means: its name, plural, singular or short name, with or without the group.

    Raises InvalidSpecError for anything else.
    """
    word = text.lower().removesuffix(f".{GROUP}")
    for kind in Kind:
        if word in {kind.value.lower(), kind.plural, kind.short_name}:
            return kind
    known = ", ".join(f"{kind.value.lower()} ({kind.short_name})" for kind in Kind)
    raise InvalidSpecError(f"{text}: is no kind of {GROUP}; there are: {known}")


def read_place(text: str) -> tuple[Kind, str]:
    """Return the kind and name that *text* (KIND/NAME) means; raises InvalidSpecError when it says none."""
    kind, slash, name = text.partition("/")
    if not slash or not name:
        raise InvalidSpecError(f"{text}: must be KIND/NAME, such as backuppolicy/nightly")
    return read_kind(kind), name


def choose_policy(database: str, policies: Sequence[Glance], named: str | None) -> str:
    """Return the policy by which a backup of *database* is taken: the one that was *named*, or the only one.

    Raises InvalidSpecError, naming what there is.
    """
    own = sorted(one.name for one in policies if one.spec.database_ref == ObjectRef(name=database))
    said = ", ".join(own) or "none"
    if named is not None and named not in own:
        raise InvalidSpecError(f"--policy {named}: is no BackupPolicy of Database {database}; there are: {said}")
    if named is None and len(own) != 1:
        must = "one must be named with --policy" if own else "create a BackupPolicy first"
        raise InvalidSpecError(f"Database {database}: has {len(own)} policies ({said}); {must}")
    return named or own[0]


def names_from(front: str, now: datetime) -> Iterator[str]:
    """Yield names that nobody is likely to have taken, the plainest first: *front*, and the time in UTC behind it."""
    stamp = f"{now:%Y%m%d-%H%M%S}"
    for number in range(1, NAMES_TRIED + 1):
        back = stamp if number == 1 else f"{stamp}-{number}"
        plain = front.lower().replace("_", "-").replace(".", "-")
        yield f"{plain[: MAX_NAME_LENGTH - len(back) - 1].strip('-')}-{back}"


def backup_body(name: str, *, database: str, policy: str) -> dict[str, Any]:
    """Return the Backup *name* of *database*, taken as *policy* says."""
    spec = {"policyRef": {"name": policy}, "databaseRef": {"name": database}}
    return _body(Kind.BACKUP, name, spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreWish:
    """What was typed: where from, where to, and how; exactly one of *into*, *replace* and *undo* says what is wanted."""

    into: str | None = None
    replace: str | None = None
    """The Database whose place is taken."""
    undo: str | None = None
    """The RestoreRequest whose swap is taken back."""
    backup: str | None = None
    policy: str | None = None
    before: datetime | None = None
    storage: str | None = None
    custody_id: str | None = None
    backup_id: str | None = None
    database: str | None = None
    missing_roles: MissingRoles = MissingRoles.FAIL
    parallelism: int = 2
    confirm: str | None = None
    keep_old_seconds: int | None = None
    """None: what the CRD says."""
    acknowledge: tuple[SideEffect, ...] = ()
    no_safety_backup: bool = False
    approval: bool = False

    @property
    def is_swap(self) -> bool:
        """Whether a database takes another's place."""
        return self.into is None


def check_wish(wish: RestoreWish) -> None:
    """Raise InvalidSpecError when *wish* wants nothing, several things, or half of one."""
    if sum(one is not None for one in (wish.into, wish.replace, wish.undo)) != 1:
        raise InvalidSpecError("exactly one must be given: --into, --replace or --undo")
    if not wish.is_swap and (
        wish.confirm or wish.acknowledge or wish.no_safety_backup or wish.keep_old_seconds is not None
    ):
        raise InvalidSpecError(
            "--confirm, --keep-old, --acknowledge, --no-safety-backup: go with --replace or --undo only"
        )
    if wish.is_swap and wish.database is not None:
        raise InvalidSpecError("--on: goes with --into only")
    _check_source(wish)


def _check_source(wish: RestoreWish) -> None:
    named = sum(one is not None for one in (wish.backup, wish.policy, wish.storage))
    if wish.undo is not None and named:
        raise InvalidSpecError("--undo: takes no source; what was put away is put back")
    if wish.undo is None and named != 1:
        raise InvalidSpecError("exactly one source must be named: BACKUP, --policy, or --storage with --custody")
    if wish.before is not None and wish.policy is None:
        raise InvalidSpecError("--before: goes with --policy only")
    if wish.storage is not None and wish.custody_id is None:
        raise InvalidSpecError("--storage: needs --custody, the custody id below which the backups lie")
    if wish.storage is None and (wish.custody_id or wish.backup_id):
        raise InvalidSpecError("--custody and --backup-id: go with --storage only")
    if wish.storage is not None and not wish.is_swap and wish.database is None:
        raise InvalidSpecError("--storage: needs --on, the Database on whose server the new database is made")


def restore_body(name: str, wish: RestoreWish, *, database: str) -> dict[str, Any]:
    """Return the RestoreRequest *name* for *wish*, on the server of *database*, or in its place."""
    spec = RestoreRequestSpec(
        source=_source(wish) if wish.undo is None else None,
        target=RestoreTarget(database_ref=ObjectRef(name=database), database=wish.into),
        missing_roles=wish.missing_roles,
        parallelism=wish.parallelism,
        approval=WantedApproval(required=wish.approval),
    )
    if wish.is_swap:
        keep = wish.keep_old_seconds
        spec = replace(
            spec,
            mode=Mode.REPLACE,
            confirm=wish.confirm,
            undo_of=_ref(wish.undo),
            safety_backup=not wish.no_safety_backup,
            keep_old_seconds=spec.keep_old_seconds if keep is None else keep,
            acknowledge=wish.acknowledge,
        )
    return _body(Kind.RESTORE_REQUEST, name, encode(spec))


def _source(wish: RestoreWish) -> RestoreSource:
    return RestoreSource(
        backup_ref=_ref(wish.backup),
        policy_ref=_ref(wish.policy),
        storage_ref=_ref(wish.storage),
        custody_id=wish.custody_id,
        backup_id=wish.backup_id,
        before_time=wish.before,
    )


def approval_body(
    name: str, *, request: RequestRef, plan_hash: str, decision: Decision, reason: str | None
) -> dict[str, Any]:
    """Return the Approval *name*; who decided is written by the API server's policies."""
    spec = ApprovalSpec(request_ref=request, plan_hash=plan_hash, decision=decision, reason=reason)
    return _body(Kind.APPROVAL, name, encode(spec))


def database_of(resource: Glance, policies: Sequence[Glance] = ()) -> str | None:
    """Return the Database that a policy, a Backup or a request is about; None: it does not say."""
    if resource.spec.target is not None:
        return resource.spec.target.database_ref.name
    if resource.spec.database_ref is not None:
        return resource.spec.database_ref.name
    asked = (resource.namespace, resource.spec.policy_ref)
    named = (one.spec.database_ref for one in policies if (one.namespace, ObjectRef(name=one.name)) == asked)
    return next((ref.name for ref in named if ref is not None), None)


def live_oid(database: Glance, requests: Iterable[Glance]) -> int | None:
    """Return the OID of the live database, as the last that took its place told, or who looked at it since; None: nobody told."""
    told = [
        (over.last_transition_time, one.status.oid)
        for one in requests
        if database_of(one) == database.name and (over := one.said("Finished")) is not None and over.status == "True"
    ]
    told.append((database.status.inspected_time, database.status.oid))
    dated = [(time, oid) for time, oid in told if time is not None and oid is not None]
    return max(dated, key=lambda one: one[0], default=(None, None))[1]


def _ref(name: str | None) -> ObjectRef | None:
    return None if name is None else ObjectRef(name=name)


def _body(kind: Kind, name: str, spec: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind.value, "metadata": {"name": name}, "spec": spec}

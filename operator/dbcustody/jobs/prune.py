"""The prune Job: retention is decided where the truth is, from the inventory itself, and carried out at once.

A request with retention thins out the custody and sweeps what dead runs left. One without is about the single backup that it names: a
person deleted it and asked for its data to go; then only holds, locks and doubts stand in the way.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.objectstore import Deletion, DeletionState
from dbcustody.api.policy import PlanEntry, Retained
from dbcustody.contract import Verb
from dbcustody.errors import InvalidSpecError
from dbcustody.facts import PruneFacts
from dbcustody.jobs.commitment import read_claim
from dbcustody.jobs.custody import open_custody, open_storage, read_custody
from dbcustody.jobs.deletion import Tally, delete_backup, erase, finish_deletions, remove
from dbcustody.jobs.hold import Spot, own_holds, placed_by, release
from dbcustody.jobs.stock import disbelief, take_stock
from dbcustody.jobs.sweep import GARBAGE, dead_before, sweep
from dbcustody.jobs.tools import check_stop, custody_id_of
from dbcustody.jobs.verdict import fail, give
from dbcustody.plan.retention import Because, RetentionPlan, decide
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.inventory import Inventory
from dbcustody.repository.layout import backup_prefix, backup_time, make_backup_id, names_prefix
from dbcustody.repository.leftover import deletable, sweepable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from dbcustody.api.policy import Retention
    from dbcustody.contract import JobRequest, JobResult
    from dbcustody.jobs.custody import OpenStorage
    from dbcustody.jobs.tools import Tools
    from dbcustody.repository.inventory import ReadBackup

TOLD_AGAIN: Final = timedelta(days=7)
"""How long a deletion is reported: the run that did it may have been killed before it could say so."""


def run(request: JobRequest, tools: Tools) -> JobResult:
    """Return what became of retention, or of the removal of one backup.

    RetentionEnforced and Held are good; RetentionFrozen and RetentionNeedsConfirmation deleted nothing by the rules; DeletionFailed names
    what the storage refused. Raises the errors of storage and keys.
    """
    storage, custody_id = open_storage(tools, request), custody_id_of(request)
    if read_custody(storage.store, custody_id) is None:
        return _never_begun(request, tools)
    open_custody(storage, request, now=tools.now())
    inventory = take_stock(storage, custody_id, tools)
    if request.retention is None:
        return _remove(storage, inventory, request, tools)
    return _thin_out(storage, inventory, request, tools, retention=request.retention)


def _never_begun(request: JobRequest, tools: Tools) -> JobResult:
    """Return what there is to say where no custody lies: nothing was ever stored, or somebody took away everything that is known."""
    facts, vanished = _facts(Tally(), names={}), _vanished(Inventory(), request)
    if request.retention is None or not vanished:
        return give(Verb.PRUNE, Reason.RETENTION_ENFORCED, "nothing was ever stored", prune=facts)
    plan = decide(
        Inventory(), request.retention, time_zone=request.time_zone or "Etc/UTC", now=tools.now(), vanished=vanished
    )
    return _concluded(plan, Tally(), replace(facts, vanished=vanished))


def _thin_out(
    storage: OpenStorage, inventory: Inventory, request: JobRequest, tools: Tools, *, retention: Retention
) -> JobResult:
    vanished = _vanished(inventory, request)
    plan = decide(
        inventory,
        retention,
        time_zone=request.time_zone or "Etc/UTC",
        now=tools.now(),
        policy=request.policy_name,
        held_names=frozenset(request.held_names),
        vanished=vanished,
        confirmed=request.confirm_prune,
    )
    tally = Tally()
    if not inventory.doubts and not vanished:
        finish_deletions(storage, inventory, tools, tally)
        _carry_out(storage, inventory, plan, tools, tally=tally)
        sweep(storage, inventory, request, tools, custody_id=custody_id_of(request), tally=tally)
    _note_earlier(inventory, request, tally, tools.now())
    names = _names(storage, inventory, (*tally.deleted, *tally.held, *tally.failed))
    left = _left(inventory, tally)
    facts = replace(_facts(tally, left, names=names, plan=plan), vanished=vanished, breaks=_breaks(inventory, left))
    return _concluded(plan, tally, facts)


def _vanished(inventory: Inventory, request: JobRequest) -> tuple[str, ...]:
    """Return the names of the known backups that *inventory* does not prove."""
    return tuple(one.name for one in request.known_backups if not inventory.proves(one.manifest_sha256))


def _breaks(inventory: Inventory, left: Iterable[ReadBackup]) -> tuple[str, ...]:
    """Return the names of those *left* whose predecessor is not there; when they go, the break goes with them."""
    broken = set(inventory.breaks)
    return tuple(one.manifest.name for one in left if one.manifest.backup_id in broken)


def _carry_out(storage: OpenStorage, inventory: Inventory, plan: RetentionPlan, tools: Tools, *, tally: Tally) -> None:
    """Delete what *plan* lets go, oldest first; after a refusal nothing more is begun, because the next would be refused as well."""
    by_id = {one.manifest.backup_id: one for one in inventory.live}
    for backup_id in plan.deletions:
        if tally.failed:
            return
        check_stop(tools)
        outcome = delete_backup(storage, inventory, by_id[backup_id], tools, because="retention")
        tally.note(backup_id, outcome)


def _left(inventory: Inventory, tally: Tally) -> tuple[ReadBackup, ...]:
    """Return the backups that are still there and ours; one that is held by a lock has its tombstone and counts no more."""
    gone = {*tally.deleted, *tally.held, *tally.failed}
    return tuple(one for one in inventory.live if one.manifest.backup_id not in gone and not one.is_stranger)


def _facts(
    tally: Tally, left: Collection[ReadBackup] = (), *, names: Mapping[str, str], plan: RetentionPlan | None = None
) -> PruneFacts:
    """Return what is told: backups by the names that people know, ids where no name is known any more."""
    times = [one.manifest.snapshot for one in left]
    entries = () if plan is None else plan.entries
    return PruneFacts(
        retained=Retained(
            count=len(left),
            bytes=sum(one.manifest.stored_bytes for one in left),
            oldest_time=min(times, default=None),
            newest_time=max(times, default=None),
        ),
        plan=tuple(
            PlanEntry(name=one.name, keep=one.keep, because=one.because, expires_time=one.expires)
            for one in entries
            if Because.OTHER_POLICY not in one.because
        ),
        plan_hash="" if plan is None else plan.hash,
        deleted=tuple(names.get(one, one) for one in tally.deleted),
        held=tuple(names.get(one, one) for one in tally.held),
        failed=tuple(names.get(one, one) for one in tally.failed),
        swept_objects=tally.swept_objects,
        swept_uploads=tally.swept_uploads,
    )


def _concluded(plan: RetentionPlan, tally: Tally, facts: PruneFacts) -> JobResult:
    """Return the result in the order of what a person has to know first."""
    if plan.frozen is not None:
        reason, message = plan.frozen
        return fail(Verb.PRUNE, reason, message, prune=facts)
    if tally.failed:
        return fail(Verb.PRUNE, Reason.DELETION_FAILED, tally.trouble, prune=facts)
    breaks = f"; the chain of manifests is broken before {', '.join(facts.breaks)}" if facts.breaks else ""
    if tally.held:
        return give(Verb.PRUNE, Reason.HELD, tally.trouble + breaks, prune=facts)
    done = f"{facts.retained.count} backups kept, {len(tally.deleted)} deleted, {tally.swept_objects} leftovers removed"
    return give(Verb.PRUNE, Reason.RETENTION_ENFORCED, done + breaks, prune=facts)


def _note_earlier(inventory: Inventory, request: JobRequest, tally: Tally, now: datetime) -> None:
    """Note as deleted what was deleted lately: whoever did it may have been killed before it could say so.

    And whatever is still taken for good: who takes it so was never told, however long ago it was, or by whom.
    """
    known = {one.manifest_sha256 for one in request.known_backups}
    left = set(deletable(inventory))
    unfinished = {found.parsed.backup_id for found in inventory.objects if found.key in left}
    untold = (one.backup_id for one in inventory.gone if one.manifest_sha256 in known or now - one.time < TOLD_AGAIN)
    tally.deleted += [one for one in untold if one not in unfinished]


def _names(storage: OpenStorage, inventory: Inventory, backup_ids: Iterable[str]) -> dict[str, str]:
    """Return the names of *backup_ids*; the claims still know those whose manifest is gone, because an id comes from its name."""
    known = {one.manifest.backup_id: one.manifest.name for one in inventory.backups}
    unknown = [one for one in backup_ids if one not in known and one != GARBAGE]
    custody_id = next((found.parsed.custody_id for found in inventory.objects), None)
    if not unknown or custody_id is None:
        return known
    prefix = names_prefix(custody_id)
    for entry in storage.store.entries(prefix):
        name = entry.key.removeprefix(prefix).removesuffix(".json")
        known |= {one: name for one in unknown if _is_named(one, name)}
    return known


def _is_named(backup_id: str, name: str) -> bool:
    try:
        return make_backup_id(name, backup_time(backup_id)) == backup_id
    except InvalidSpecError:
        return False


def _remove(storage: OpenStorage, inventory: Inventory, request: JobRequest, tools: Tools) -> JobResult:
    """Delete the one backup that the request names, whatever retention would say; a hold, a lock or a doubt keeps it."""
    custody_id, tally = custody_id_of(request), Tally()
    backup_id = read_claim(storage.store, custody_id, request.name)
    if backup_id is None:
        return _removed(request, tally)
    refusal = disbelief(inventory, backup_id)
    if refusal is not None:
        return fail(Verb.PRUNE, refusal.reason, f"{refusal.message} and stays; delete it by hand")
    inventory, backup = _without_own_hold(storage, inventory, request, tools, backup_id=backup_id)
    if backup is not None and backup.is_held:
        held = Deletion(key=backup_id, state=DeletionState.HELD, detail="a hold without a release")
        tally.note(backup_id, held)
    elif backup is not None:
        tally.note(backup_id, delete_backup(storage, inventory, backup, tools, because="deleted by a person"))
    else:
        tally.note(backup_id, _remove_leftovers(storage, inventory, request, tools, backup_id=backup_id))
    return _removed(request, tally)


def _without_own_hold(
    storage: OpenStorage, inventory: Inventory, request: JobRequest, tools: Tools, *, backup_id: str
) -> tuple[Inventory, ReadBackup | None]:
    """Return the inventory and the backup in it after the hold of the resource that asks for the removal was released.

    It asks only when it wants no hold any more; those of others stay.
    """
    backup, because = _live(inventory, backup_id), (placed_by(request.owner_uid),)
    if backup is None or not own_holds(backup, because):
        return inventory, backup
    custody_id = custody_id_of(request)
    release(Spot(storage, custody_id, backup_id), tools, because)
    after = take_stock(storage, custody_id, tools)
    return after, _live(after, backup_id)


def _live(inventory: Inventory, backup_id: str) -> ReadBackup | None:
    return next((one for one in inventory.live if one.manifest.backup_id == backup_id), None)


def _remove_leftovers(
    storage: OpenStorage, inventory: Inventory, request: JobRequest, tools: Tools, *, backup_id: str
) -> Deletion | None:
    """Remove what is left of a backup without a manifest: of a deletion that was begun, else of attempts that are dead."""
    prefix = backup_prefix(custody_id_of(request), backup_id)
    begun = [key for key in deletable(inventory) if key.startswith(prefix)]
    if begun:
        return erase(storage, begun, tools)
    live = {*request.live_attempts, tools.attempt}
    garbage = sweepable(inventory, older_than=dead_before(request, tools.now()), live_attempts=live)
    ours = [key for key in garbage if key.startswith(prefix)]
    return remove(storage, ours) if ours else None


def _removed(request: JobRequest, tally: Tally) -> JobResult:
    """Return what became of the removal; one that is held has to wait, which is no error but not done either: the Backup waits for it."""
    facts = _facts(tally, names=dict.fromkeys((*tally.deleted, *tally.held, *tally.failed), request.name))
    if tally.failed:
        return fail(Verb.PRUNE, Reason.DELETION_FAILED, tally.trouble, prune=facts)
    if tally.held:
        return replace(give(Verb.PRUNE, Reason.HELD, tally.trouble, prune=facts), exit_code=ExitCode.REFUSED)
    return give(Verb.PRUNE, Reason.RETENTION_ENFORCED, f"{request.name}: nothing of it is left", prune=facts)

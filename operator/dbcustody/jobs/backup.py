"""The backup Job: takes one backup, or adopts the one that its name already stands for, and proves what lies in the storage then.

A backup counts from its manifest on, which is written last and read back. Whatever happens before leaves nothing that counts; whatever
happens after finds it again by its name. Nothing is ever deleted here.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from dbcustody.api.backup import Progress, Stage
from dbcustody.api.policy import CaptureOptions, Level, highest_level
from dbcustody.contract import Verb
from dbcustody.errors import ConflictError, InterruptedRunError, RefusedError
from dbcustody.jobs.artefact import Shelf
from dbcustody.jobs.capture import Capture
from dbcustody.jobs.commitment import claim_name, commit, make_manifest, undertake
from dbcustody.jobs.custody import open_custody, open_storage
from dbcustody.jobs.evidence import Standing, facts_of
from dbcustody.jobs.proof import min_level, prove_up_to_level
from dbcustody.jobs.quantity import grouped, size_text
from dbcustody.jobs.reading import read_catalogue_of
from dbcustody.jobs.sitting import sit_down
from dbcustody.jobs.stock import open_data_key, take_stock
from dbcustody.jobs.tools import custody_id_of
from dbcustody.jobs.verdict import fail, give
from dbcustody.reason import Reason
from dbcustody.repository.binding import Place
from dbcustody.repository.inventory import Doubt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.contract import JobRequest, JobResult
    from dbcustody.jobs.custody import OpenStorage
    from dbcustody.jobs.tools import Tools
    from dbcustody.repository.inventory import ReadBackup


def run(request: JobRequest, tools: Tools) -> JobResult:
    """Return what became of the backup: Succeeded, Adopted, or why what lies in the storage is not good.

    Raises everything that prevented a commit: the reasons of Secrets, storage, keys, connection, dump; Skipped when it was not its turn.
    """
    storage = open_storage(tools, request)
    open_custody(storage, request, now=tools.now())
    name, custody_id = request.name or tools.job_name, custody_id_of(request)
    backup_id = claim_name(storage, custody_id, name, tools.now())
    standing = find_standing(storage, custody_id, backup_id, tools)
    if standing is None:
        place = Place(storage_id=storage.storage_id, custody_id=custody_id, backup_id=backup_id, attempt=tools.attempt)
        standing = _take(request, storage, tools, name=name, place=place)
    return prove(storage, standing, request, tools)


def find_standing(storage: OpenStorage, custody_id: str, backup_id: str, tools: Tools) -> Standing | None:
    """Return the committed backup of *backup_id* as it lies in *storage*, or None when nothing was committed.

    Raises RefusedError: NameTaken when it was deleted, because a name stands for one backup for ever; KeyMissing when nobody can say
    whose it is without a key that is not there; ArchiveDamaged when its manifest cannot be believed: a second one would hide that.
    """
    inventory = take_stock(storage, custody_id, tools)
    if any(one.backup_id == backup_id for one in inventory.gone):
        raise _deleted(backup_id)
    found = next((one for one in inventory.backups if one.manifest.backup_id == backup_id), None)
    doubts = [text for text in inventory.doubts if backup_id in text]
    if found is not None and found.is_deleted:
        raise _deleted(backup_id)
    if doubts:
        is_key_missing = found is not None and set(found.doubts) == {Doubt.KEY_MISSING}
        reason = Reason.KEY_MISSING if is_key_missing else Reason.ARCHIVE_DAMAGED
        raise RefusedError(f"backup {backup_id}: {'; '.join(doubts)[:400]}", reason=reason)
    return None if found is None else _standing(storage, found)


def _deleted(backup_id: str) -> RefusedError:
    return RefusedError(
        f"backup {backup_id}: was taken under this name and deleted since; a name stands for one backup: choose another",
        reason=Reason.NAME_TAKEN,
    )


def _standing(storage: OpenStorage, found: ReadBackup) -> Standing:
    key = open_data_key(storage, found.manifest.place, found.key_ids) if found.manifest.encryption else None
    return Standing(
        manifest=found.manifest,
        manifest_sha256=found.manifest_sha256,
        key_ids=found.key_ids,
        not_captured=read_catalogue_of(storage, found.manifest, key).not_captured,
        verified_before=highest_level(found.verified_levels),
        adopted=True,
    )


def _take(request: JobRequest, storage: OpenStorage, tools: Tools, *, name: str, place: Place) -> Standing:
    """Dump, and commit; when another attempt was faster, return what that one committed."""
    started, options = tools.now(), request.options or CaptureOptions()
    with sit_down(request, options, tools) as sitting:
        undertaking = undertake(storage, place, name=name, started=started)
        shelf = Shelf(store=storage.store, place=place, data_key=undertaking.data_key)
        captured = Capture(sitting, options, shelf, tools).run()
        tools.report(Progress(stage=Stage.COMMITTING, summary="Committing", updated_time=tools.now()))
        link = take_stock(storage, place.custody_id, tools).next_link
        manifest = make_manifest(undertaking, captured, request=request, client=sitting.client, tools=tools, link=link)
        try:
            digest = commit(storage, manifest)
        except ConflictError:
            other = find_standing(storage, place.custody_id, place.backup_id, tools)
            if other is None:
                raise
            return other
    return Standing(
        manifest=manifest,
        manifest_sha256=digest,
        key_ids=(storage.keyring.active_key_id,) if storage.keyring is not None else (),
        not_captured=captured.catalogue.not_captured,
        start_up_seconds=round((captured.begun_time - started).total_seconds(), 3),
    )


def prove(storage: OpenStorage, standing: Standing, request: JobRequest, tools: Tools) -> JobResult:
    """Return the result for *standing*, verified at the level of *request* first unless that is known already."""
    with _telling_of_commit(standing.manifest.backup_id):
        standing = prove_up_to_level(storage, standing, request, tools)
    return conclude(storage, standing, level=(request.options or CaptureOptions()).verification.level)


@contextmanager
def _telling_of_commit(backup_id: str) -> Iterator[None]:
    """Let an interruption say that the backup itself is safe: whoever reads of a stopped run must not believe it lost."""
    try:
        yield
    except InterruptedRunError as error:
        raise InterruptedRunError(
            f"{error.message}; backup {backup_id} is committed and not verified yet: a run of the same name takes it up from there"
        ) from error


def conclude(storage: OpenStorage, standing: Standing, *, level: Level, verb: Verb = Verb.BACKUP) -> JobResult:
    """Return the result of *verb* for a committed backup: good when *level* is known to have passed.

    Level Restore is Read here: a test that could not be made proves nothing against a backup, and one that it failed took Read from it.
    """
    facts, verified, reached = facts_of(storage, standing), standing.verified, standing.reached
    if reached is None or not reached.reaches(min_level(level)):
        reason = verified.reason if verified is not None else Reason.VERIFICATION_FAILED
        message = verified.message if verified is not None else "the level that is due was not reached"
        return fail(verb, reason, message, backup=facts)
    reason = Reason.ADOPTED if standing.adopted else Reason.SUCCEEDED
    return give(verb, reason, describe(standing), backup=facts)


def describe(standing: Standing) -> str:
    """Return what a good backup holds, in one line."""
    manifest = standing.manifest
    rows = "rows not counted" if manifest.row_count is None else f"{grouped(manifest.row_count)} rows"
    return f"{manifest.table_count} tables, {rows}, {size_text(manifest.stored_bytes)} stored"

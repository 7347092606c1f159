"""`dbcustody backups list` and `dbcustody verify`: what lies in the storage, and whether it can be trusted.

Both look, and add nothing but knowledge: a verification that passed is written down beside the backup.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from dbcustody.api.policy import CaptureOptions, Level, highest_level
from dbcustody.cli.answer import answer, answering
from dbcustody.cli.ending import Exit, complain, exit_of, interruptible, told
from dbcustody.cli.environment import read_standalone
from dbcustody.cli.figures import count_text, size_text, table_text, time_text
from dbcustody.cli.progress import make_display
from dbcustody.cli.standalone import require_clients, require_test_server, set_up, verification_at
from dbcustody.contract import Verb
from dbcustody.errors import DbcustodyError, InterruptedRunError, RefusedError
from dbcustody.jobs.custody import open_storage, read_marker
from dbcustody.jobs.evidence import Standing, record_verified
from dbcustody.jobs.proof import examine
from dbcustody.jobs.stock import take_stock
from dbcustody.reason import Reason
from dbcustody.repository.inventory import AttemptState, Doubt, Inventory

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from dbcustody.cli.standalone import Bench
    from dbcustody.jobs.custody import OpenStorage
    from dbcustody.jobs.verification import Verified
    from dbcustody.repository.inventory import ReadBackup

_HEADER = ("NAME", "SNAPSHOT", "SIZE", "TABLES", "ROWS", "VERIFIED", "STATE")
_NAMES_SHOWN = 20
_LEFTOVERS = frozenset({AttemptState.ORPHANED, AttemptState.UNFINISHED, AttemptState.DELETED})
_UNREAD = frozenset({Doubt.FORGED_MANIFEST, Doubt.MISPLACED})
"""With one of these, the manifest is not ours to follow."""


def list_backups(environ: Mapping[str, str], *, as_json: bool) -> int:
    """Show what lies in the storage for the database, oldest first, with every doubt; returns the exit code."""
    return answering(lambda: _list(environ, as_json=as_json), as_json=as_json)


def _list(environ: Mapping[str, str], *, as_json: bool) -> int:
    settings = read_standalone(environ, needs_database=False)

    def work(stop: threading.Event) -> int:
        with set_up(settings, environ, stop=stop) as bench:
            location, inventory = look(bench)
        if as_json:
            return answer(_as_json(bench, location, inventory), as_json=True)
        click.echo(_as_text(bench, location, inventory))
        return Exit.DONE

    return interruptible(work)


def look(bench: Bench) -> tuple[str, Inventory]:
    """Return where the storage is and what lies in it for the custody; a storage that nobody used yet holds nothing. Writes nothing."""
    store = bench.tools.store()
    if read_marker(store) is None:
        return store.location, Inventory()
    storage = open_storage(bench.tools, bench.request(Verb.SETTLE, read_only=True), store=store)
    return store.location, take_stock(storage, bench.custody_id, bench.tools)


def state_of(backup: ReadBackup) -> str:
    """Return how *backup* stands, in a word, or in its doubts."""
    words = [doubt.value for doubt in backup.doubts] or ["Good" if backup.is_good else "NotVerified"]
    if backup.is_deleted:
        words = ["Deleted"]
    more = ((not backup.manifest.is_whole, "Partial"), (backup.is_held, "Held"))
    return ",".join([*words, *(word for holds, word in more if holds)])


def _as_text(bench: Bench, location: str, inventory: Inventory) -> str:
    if not inventory.backups and not inventory.doubts:
        return f"no backups of {bench.custody_id} in {location}"
    rows = [_row(backup) for backup in inventory.backups]
    leftovers = [folder for folder in inventory.attempts if folder.state in _LEFTOVERS]
    size = size_text(sum(folder.stored_bytes for folder in leftovers))
    more = [f"{len(leftovers)} unfinished or deleted attempts, {size}: swept by a later backup"] if leftovers else []
    more += [f"doubt: {doubt}" for doubt in inventory.doubts]
    more += [
        f"doubt: {backup_id}: ContinuityUnproven, the manifest before it is missing" for backup_id in inventory.breaks
    ]
    return "\n".join([table_text(_HEADER, rows), *more])


def _row(backup: ReadBackup) -> tuple[str, ...]:
    manifest = backup.manifest
    return (
        manifest.name,
        time_text(manifest.snapshot),
        size_text(manifest.stored_bytes),
        str(manifest.table_count),
        "-" if manifest.row_count is None else count_text(manifest.row_count),
        _level_of(backup) or "no",
        state_of(backup),
    )


def _level_of(backup: ReadBackup) -> str | None:
    level = highest_level(backup.verified_levels)
    return None if level is None else level.value


def _as_json(bench: Bench, location: str, inventory: Inventory) -> dict[str, Any]:
    return {
        "custodyId": bench.custody_id,
        "location": location,
        "backups": [_entry(backup) for backup in inventory.backups],
        "doubts": list(inventory.doubts),
        "breaks": list(inventory.breaks),
        "unfinishedAttempts": sum(folder.state in _LEFTOVERS for folder in inventory.attempts),
    }


def _entry(backup: ReadBackup) -> dict[str, Any]:
    manifest = backup.manifest
    return {
        "name": manifest.name,
        "backupId": manifest.backup_id,
        "policy": manifest.policy,
        "origin": manifest.origin.value,
        "scope": manifest.scope.value,
        "snapshotTime": time_text(manifest.snapshot),
        "finishTime": time_text(manifest.finished),
        "storedBytes": manifest.stored_bytes,
        "logicalBytes": manifest.logical_bytes,
        "tables": manifest.table_count,
        "rows": manifest.row_count,
        "serverVersion": manifest.server.version,
        "compression": manifest.compression,
        "encrypted": manifest.encryption is not None,
        "authenticated": backup.authenticated,
        "keyIds": list(backup.key_ids),
        "verifiedLevel": _level_of(backup),
        "good": backup.is_good,
        "held": backup.is_held,
        "deleted": backup.is_deleted,
        "doubts": [doubt.value for doubt in backup.doubts],
    }


def verify(environ: Mapping[str, str], *, name: str | None, level: str) -> int:
    """Read the backup *name* (None: the newest) back at *level* and say what was found; returns the exit code, 7 for a damaged one."""
    settings = read_standalone(environ, needs_database=False)
    if Level(level) is Level.RESTORE:
        require_test_server(settings)

    def work(stop: threading.Event) -> int:
        display = make_display()
        with set_up(settings, environ, report=display.report, stop=stop) as bench, display:
            if Level(level).reaches(Level.READ):
                require_clients(bench.tools)
            storage, backup = find_backup(bench, name)
            try:
                found = _prove(bench, storage, backup, Level(level))
            except InterruptedRunError as error:
                raise InterruptedRunError("stopped; nothing was found out, and nothing was changed") from error
        return _tell(backup, found, Level(level))

    return interruptible(work)


def find_backup(bench: Bench, name: str | None, *, read_only: bool = False) -> tuple[OpenStorage, ReadBackup]:
    """Return the storage and the backup *name* in it (None: the newest); *read_only* promises that nothing is written.

    Raises RefusedError when there is no such backup, or it cannot be believed.
    """
    store = bench.tools.store()
    if read_marker(store) is None:
        raise RefusedError(
            f"{store.location}: holds no backup of anything; check bucket, prefix or folder",
            reason=Reason.NO_BACKUP_YET,
        )
    storage = open_storage(bench.tools, bench.request(Verb.SETTLE, read_only=read_only), store=store)
    inventory = take_stock(storage, bench.custody_id, bench.tools)
    backup = _chosen(inventory, name)
    if backup is None:
        names = ", ".join(one.manifest.name for one in inventory.live[-_NAMES_SHOWN:]) or "none"
        raise RefusedError(
            f"{store.location}: holds no backup {name or ''} of {bench.custody_id}; there are: {names}",
            reason=Reason.BACKUP_NOT_FOUND if name else Reason.NO_BACKUP_YET,
        )
    if not _UNREAD.isdisjoint(backup.doubts):
        doubts = ", ".join(doubt.value for doubt in backup.doubts)
        raise RefusedError(
            f"backup {backup.manifest.name}: its manifest is not what we wrote ({doubts})",
            reason=Reason.ARCHIVE_DAMAGED,
        )
    return storage, backup


def _chosen(inventory: Inventory, name: str | None) -> ReadBackup | None:
    """Return the backup called *name*, or the newest; one whose manifest is forged is taken too, so that it is told."""
    wanted = [one for one in inventory.live if name is None or one.manifest.name == name]
    ours = [one for one in wanted if not one.is_stranger]
    return next(reversed(ours or wanted), None)


def _prove(bench: Bench, storage: OpenStorage, backup: ReadBackup, level: Level) -> Verified:
    """Return how far *backup* is proven, all of it done anew; a test that could not be made says why it was not."""
    standing = Standing(manifest=backup.manifest, manifest_sha256=backup.manifest_sha256, key_ids=backup.key_ids)
    request = bench.request(Verb.SETTLE)
    wanted = replace(request.options or CaptureOptions(), verification=verification_at(level, bench.settings))
    standing = examine(storage, standing, replace(request, options=wanted), bench.tools)
    try:
        record_verified(storage, standing, bench.tools.now())
    except DbcustodyError as error:
        complain(f"what was found could not be written down: {error.message}", kind="note")
    return _outcome(standing)


def _outcome(standing: Standing) -> Verified:
    found, trial = standing.verified, standing.trial
    assert found is not None  # noqa: S101 - nothing was known before, so everything was read
    if trial is None or trial.has_passed or trial.condemns:
        return found
    return replace(found, message=f"it was read and is whole, but not restored: {trial.message}", reason=trial.reason)


def _tell(backup: ReadBackup, found: Verified, level: Level) -> int:
    name = backup.manifest.name
    if found.reason is Reason.VERIFIED:
        trust = "" if backup.authenticated else " (not encrypted: nobody can say who wrote it)"
        click.echo(f"backup {name}: {level.value} passed{trust}: {found.message}")
        return Exit.DONE
    complain(told(found.reason, f"backup {name}: {found.message}"))
    return exit_of(found.reason)

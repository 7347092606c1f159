"""The sweep: what runs left behind that came to nothing, once nobody can be at work on it any more.

Objects of attempts without a manifest and uploads that were never completed are invisible in any list of backups, and cost money. Nothing
is touched outside `backups/`, nothing younger than the longest run, nothing of an attempt that may be alive.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.objectstore import Deletion, DeletionState
from dbcustody.api.policy import CaptureOptions
from dbcustody.errors import RefusedError
from dbcustody.jobs.deletion import remove
from dbcustody.jobs.tools import check_stop
from dbcustody.repository.layout import backups_prefix, manifest_key
from dbcustody.repository.leftover import sweepable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from dbcustody.contract import JobRequest
    from dbcustody.jobs.custody import OpenStorage
    from dbcustody.jobs.deletion import Tally
    from dbcustody.jobs.tools import Tools
    from dbcustody.repository.inventory import Inventory

LEAST_AGE: Final = timedelta(hours=24)
"""F11: younger garbage may belong to a run that nobody told us of."""
_MARGIN: Final = timedelta(hours=1)
GARBAGE: Final = "garbage"


def dead_before(request: JobRequest, now: datetime) -> datetime:
    """Return the time such that whoever wrote last before it cannot be at work any more at *now*."""
    options = request.options or CaptureOptions()
    longest = timedelta(seconds=options.timeout_seconds + options.starting_deadline_seconds)
    return now - max(LEAST_AGE, longest + _MARGIN)


def sweep(
    storage: OpenStorage, inventory: Inventory, request: JobRequest, tools: Tools, *, custody_id: str, tally: Tally
) -> None:
    """Remove the garbage that *inventory* shows, and abort dead uploads; what became of it is noted in *tally*."""
    older_than = dead_before(request, tools.now())
    live = {*request.live_attempts, tools.attempt}
    garbage = _uncommitted(storage, inventory, sweepable(inventory, older_than=older_than, live_attempts=live))
    refusal = remove(storage, garbage) if garbage else None
    if refusal is None:
        tally.swept_objects += len(garbage)
    else:
        tally.note(GARBAGE, refusal)
    _abort_uploads(storage, custody_id, tools, older_than=older_than, live=live, tally=tally)


def _uncommitted(storage: OpenStorage, inventory: Inventory, keys: Iterable[str]) -> list[str]:
    """Return those of *keys* whose backup has no manifest, asked for by its name: what a listing leaves out may be there all the same."""
    listed = {found.parsed.backup_id for found in inventory.objects if found.parsed.is_manifest}
    of_backup = {found.key: (found.parsed.custody_id, found.parsed.backup_id) for found in inventory.objects}
    keys = list(keys)
    backups = {of_backup[key] for key in keys if of_backup[key][1] not in listed}
    committed = {backup for backup in backups if storage.store.read(manifest_key(*backup)) is not None}
    return [key for key in keys if of_backup[key] not in committed]


def _abort_uploads(
    storage: OpenStorage, custody_id: str, tools: Tools, *, older_than: datetime, live: set[str], tally: Tally
) -> None:
    """Abort the uploads that were begun before *older_than* and are of no attempt in *live*."""
    for upload in list(storage.store.list_unfinished(backups_prefix(custody_id))):
        check_stop(tools)
        if upload.started >= older_than or not live.isdisjoint(upload.key.split("/")):
            continue
        try:
            storage.store.abort_unfinished(upload)
        except RefusedError as error:
            tally.note(GARBAGE, Deletion(key=upload.key, state=DeletionState.DENIED, detail=error.message))
            return
        tally.swept_uploads += 1

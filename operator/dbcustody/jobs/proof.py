"""The proof of a backup up to a level: read back first, and where level Restore is due, restored on a throw-away server as well.

What passed is written down once all is done, the lesser level with the higher one. A test that shows the backup to be wrong leaves it
with level Checksum, as a reading does that finds other rows than the snapshot had; bytes that changed leave it with none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbcustody.api.policy import CaptureOptions, Level
from dbcustody.contract import Verb
from dbcustody.errors import DamagedError
from dbcustody.jobs.evidence import Standing, record_verified
from dbcustody.jobs.reading import read_with_care
from dbcustody.jobs.source import open_source
from dbcustody.jobs.stock import open_data_key, take_stock
from dbcustody.jobs.tools import custody_id_of
from dbcustody.jobs.trial import RestoreTest, Trial, try_restore
from dbcustody.jobs.verification import Verified, verify
from dbcustody.plan.restore_test import why_not_due
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.contract import JobRequest
    from dbcustody.jobs.custody import OpenStorage
    from dbcustody.jobs.tools import Tools


def prove_up_to_level(storage: OpenStorage, standing: Standing, request: JobRequest, tools: Tools) -> Standing:
    """Return *standing* proven at the level that *request* asks for, as `examine` does it, and write down what passed."""
    found = examine(storage, standing, request, tools)
    if found is not standing:
        record_verified(storage, found, tools.now())
    return found


def examine(storage: OpenStorage, standing: Standing, request: JobRequest, tools: Tools) -> Standing:
    """Return *standing* with how far it is proven at the level that *request* asks for; itself when nothing had to be found out.

    Raises the errors of storage and keys, and InterruptedRunError when told to stop.
    """
    level = (request.options or CaptureOptions()).verification.level
    before, read = standing.verified_before, min_level(level)
    if before is None or not before.reaches(read):
        standing = replace(standing, verified=_read_back(storage, standing, read, tools))
    if level is Level.RESTORE and before is not Level.RESTORE:
        standing = _tested(standing, _test(storage, standing, request, tools))
    return standing


def min_level(level: Level) -> Level:
    """Return the level up to which a backup is read back for the sake of *level*."""
    return Level.READ if level.reaches(Level.READ) else level


def _read_back(storage: OpenStorage, standing: Standing, level: Level, tools: Tools) -> Verified:
    manifest = standing.manifest
    key = open_data_key(storage, manifest.place, standing.key_ids) if manifest.encryption else None
    return verify(storage, manifest, level=level, tools=tools, data_key=key)


def _tested(standing: Standing, trial: Trial) -> Standing:
    """Return *standing* with what *trial* says of the backup; one that was not even read keeps what its reading said."""
    rows = standing.verified.rows if standing.verified is not None else standing.manifest.row_count
    if trial.has_passed:
        passed = Verified(level=Level.RESTORE, message=trial.message, rows=rows, reason=Reason.VERIFIED)
        return replace(standing, trial=trial, verified=passed)
    if not trial.condemns or not _is_read(standing):
        return replace(standing, trial=trial)
    is_damaged = trial.reason is Reason.ARCHIVE_DAMAGED
    wrong = Verified(
        level=None if is_damaged else Level.CHECKSUM,
        message=trial.message,
        reason=Reason.ARCHIVE_DAMAGED if is_damaged else Reason.VERIFICATION_FAILED,
    )
    return replace(standing, trial=trial, verified=wrong)


def _is_read(standing: Standing) -> bool:
    return standing.reached is not None and standing.reached.reaches(Level.READ)


def _test(storage: OpenStorage, standing: Standing, request: JobRequest, tools: Tools) -> Trial:
    if not _is_read(standing):
        reason = standing.verified.reason if standing.verified is not None else Reason.VERIFICATION_FAILED
        return Trial(reason=reason, message="was not restored, because it did not pass level Read")
    why = _why_not_due(storage, standing, request, tools)
    if why is not None:
        return Trial(reason=Reason.NOT_REQUESTED, message=why)
    if request.untestable is not None:
        return Trial(reason=Reason.TEST_SERVER_UNAVAILABLE, message=request.untestable)
    if request.verb is Verb.SETTLE and tools.test_server() is None:
        return Trial(reason=Reason.INTERRUPTED, message="the run ended before its restore test did")
    options = request.options or CaptureOptions()
    source = open_source(storage, standing)
    test = RestoreTest(source=source, terms=options.verification, parallelism=options.parallelism)
    try:
        return read_with_care(lambda: try_restore(test, tools))
    except DamagedError as error:
        return Trial(reason=error.reason, message=error.message)


def _why_not_due(storage: OpenStorage, standing: Standing, request: JobRequest, tools: Tools) -> str | None:
    if request.every_nth <= 1:
        return None
    inventory = take_stock(storage, custody_id_of(request), tools)
    return why_not_due(inventory, standing.manifest.backup_id, request.every_nth)

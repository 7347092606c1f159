"""The settle Job: finds out from the storage what became of a backup whose run left no result.

The manifest is the commit: where one lies under the name, the backup was taken, and what the lost run did not prove is proven now. Where
none lies, nothing was committed, and that is an answer as well.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbcustody.contract import Verb
from dbcustody.errors import RefusedError
from dbcustody.facts import BackupFacts
from dbcustody.jobs.backup import find_standing, prove
from dbcustody.jobs.commitment import claimed_backup
from dbcustody.jobs.custody import open_storage
from dbcustody.jobs.tools import custody_id_of
from dbcustody.jobs.verdict import fail
from dbcustody.reason import ExitCode, Reason

if TYPE_CHECKING:
    from dbcustody.contract import JobRequest, JobResult
    from dbcustody.jobs.custody import OpenStorage
    from dbcustody.jobs.evidence import Standing
    from dbcustody.jobs.tools import Tools


def run(request: JobRequest, tools: Tools) -> JobResult:
    """Return what lies in the storage under the request's name.

    Succeeded, or what its verification says against it; JobLost with exit code 0 and facts without an artefact when nothing was committed;
    NameTaken and ArchiveDamaged when it was deleted since, or cannot be believed. Raises the errors of storage and keys, which may pass.
    """
    storage = open_storage(tools, request)
    try:
        standing = _find(storage, request, tools)
    except RefusedError as error:
        if error.reason not in {Reason.NAME_TAKEN, Reason.ARCHIVE_DAMAGED}:
            raise
        return fail(Verb.SETTLE, error.reason, error.message, backup=BackupFacts(name=request.name))
    if standing is None:
        return _nothing(request)
    return replace(prove(storage, replace(standing, adopted=False), request, tools), verb=Verb.SETTLE)


def _find(storage: OpenStorage, request: JobRequest, tools: Tools) -> Standing | None:
    """Return the backup that was committed under the request's name, or None; nothing is minted on the way."""
    backup_id = claimed_backup(storage, request, tools.now())
    return None if backup_id is None else find_standing(storage, custody_id_of(request), backup_id, tools)


def _nothing(request: JobRequest) -> JobResult:
    """Return that nothing was committed: the question is answered, so the Job is done, and the run is lost."""
    message = f"{request.name}: no manifest lies in the storage"
    lost = fail(Verb.SETTLE, Reason.JOB_LOST, message, backup=BackupFacts(name=request.name))
    return replace(lost, exit_code=ExitCode.DONE)

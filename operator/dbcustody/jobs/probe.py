"""The probe Job: shows that the storage does what our safety rests on, makes it ours on first use, and counts what lies in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.objectstore import probe
from dbcustody.api.storage import AccessMode, Capabilities, FoundBackup
from dbcustody.contract import Verb
from dbcustody.errors import DbcustodyError, InterruptedRunError
from dbcustody.facts import ProbeFacts
from dbcustody.jobs.custody import open_storage, storage_of, stored_key_ids, unwrap_storage_key
from dbcustody.jobs.survey import survey
from dbcustody.jobs.tools import check_stop
from dbcustody.jobs.verdict import fail, give
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.objectstore import Conformance
    from dbcustody.contract import JobRequest, JobResult
    from dbcustody.jobs.custody import OpenStorage
    from dbcustody.jobs.tools import Tools

MOST_FOUND: Final = 50
"""How many backups are told for import: each becomes a resource, and a Job that asks for it."""


def run(request: JobRequest, tools: Tools) -> JobResult:
    """Return what was found: reason StorageReachable, or what the storage or the keyring lacks, with as many facts as there are.

    Raises what prevents the storage from being opened at all.
    """
    spec = storage_of(request)
    store = tools.store()
    facts = ProbeFacts(location=store.location, encrypted=spec.encryption is not None)
    try:
        found = probe(store, read_only=spec.access_mode is AccessMode.READ_ONLY, multipart=spec.s3 is not None)
        check_stop(tools)
        storage = open_storage(tools, request, store=store)
        _check_every_key(storage)
        facts = _count(storage, tools, found, facts)
        facts = facts if spec.import_backups else replace(facts, found=())
    except InterruptedRunError:
        raise
    except DbcustodyError as error:
        return fail(Verb.PROBE, error.reason, error.message, probe=facts)
    return give(Verb.PROBE, Reason.STORAGE_REACHABLE, f"{facts.backups} backups in {facts.location}", probe=facts)


def _check_every_key(storage: OpenStorage) -> None:
    """Open the storage key with every key of the keyring that it was closed for: a wrong old key is found before it is needed."""
    if storage.keyring is None:
        return
    for key_id in stored_key_ids(storage.store):
        if key_id in storage.keyring.keys:
            unwrap_storage_key(storage.store, storage.storage_id, storage.keyring, key_id)


def _count(storage: OpenStorage, tools: Tools, found: Conformance, facts: ProbeFacts) -> ProbeFacts:
    surveyed = survey(storage.store, tools)
    standing = surveyed.standing(storage.keyring)
    return ProbeFacts(
        location=facts.location,
        encrypted=facts.encrypted,
        storage_id=storage.storage_id,
        capabilities=Capabilities(
            conditional_put=found.conditional_put,
            conditional_complete=found.conditional_complete,
            range_get=found.range_get,
            delete=found.delete,
        ),
        keys=standing.keys,
        unwrapped=len(standing.waiting),
        unopened=standing.unopened,
        backups=surveyed.backups,
        used_bytes=surveyed.used_bytes,
        found=tuple(FoundBackup(custody_id=custody_id, name=name) for custody_id, name in surveyed.named[:MOST_FOUND]),
    )

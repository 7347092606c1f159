"""Which backup a restore is of, opened at its storage, and whether somebody was erased who would come back with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbcustody.api.storage import AccessMode
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.jobs.custody import open_storage, read_marker, storage_of
from dbcustody.jobs.source import Source, open_source, refuse_pending_erasures
from dbcustody.jobs.stock import take_stock
from dbcustody.jobs.tools import custody_id_of, entries_below
from dbcustody.plan.choice import choose_named, choose_newest
from dbcustody.reason import Reason
from dbcustody.repository.ledger import entry_sequence, ledger_prefix

if TYPE_CHECKING:
    from datetime import datetime

    from dbcustody.contract import JobRequest, RestoreTerms
    from dbcustody.jobs.tools import Tools


def terms_of(request: JobRequest) -> RestoreTerms:
    """Return what *request* wants restored; raises InvalidSpecError when it does not say."""
    if request.restore is None:
        raise InvalidSpecError(f"request {request.verb.value}: restore: is missing; must be given")
    return request.restore


def open_chosen(request: JobRequest, tools: Tools) -> Source:
    """Return the backup that is meant, opened; nothing is written into the storage, whatever its access mode is."""
    store = tools.store()
    if read_marker(store) is None:
        raise RefusedError(
            f"{store.location}: holds no backup of anything; check bucket, prefix or volume",
            reason=Reason.BACKUP_NOT_FOUND,
        )
    reading = replace(request, storage=replace(storage_of(request), access_mode=AccessMode.READ_ONLY))
    storage = open_storage(tools, reading, store=store)
    inventory = take_stock(storage, custody_id_of(request), tools)
    terms = terms_of(request)
    if terms.backup_id is not None:
        return open_source(storage, choose_named(inventory, terms.backup_id))
    must_be_whole = terms.replace is not None
    newest = choose_newest(inventory, policy=terms.policy, before=terms.before_time, must_be_whole=must_be_whole)
    return open_source(storage, newest)


def refuse_erased(request: JobRequest, tools: Tools) -> None:
    """Raise RefusedError (ErasuresPending) when somebody was erased whom a swap would bring back.

    A database that was restored knows the ledger as far as its backup did; one that was put away, as far as the moment it was, and
    where nobody says when that was, nothing of it.
    """
    replacing = terms_of(request).replace
    if replacing is None or replacing.undoes is None:
        refuse_pending_erasures(open_chosen(request, tools), tools)
        return
    _refuse_erased_since(replacing.kept_time, request, tools)


def _refuse_erased_since(kept_time: datetime | None, request: JobRequest, tools: Tools) -> None:
    custody_id, store = custody_id_of(request), tools.store()
    for entry in entries_below(store, ledger_prefix(custody_id), tools):
        is_news = kept_time is None or entry.modified >= kept_time
        if is_news and entry_sequence(custody_id, entry.key) is not None:
            raise RefusedError(
                "undo: people were erased since the database was put away, and would be in it",
                reason=Reason.ERASURES_PENDING,
            )

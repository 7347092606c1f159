"""The Jobs of a RestoreRequest: what exactly is asked of them, and under which mark the database remembers for whom it was made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dbcustody.api.meta import Kind
from dbcustody.api.restore import Mode
from dbcustody.api.storage import AccessMode
from dbcustody.codec import encode
from dbcustody.contract import JobRequest, ReplaceTerms, RestoreTerms, Verb
from dbcustody.plan.manifest import Work
from dbcustody.plan.replacement import incoming_name
from dbcustody.plan.request import is_tied
from dbcustody.repository.canonical import canonical, sha256_hex

if TYPE_CHECKING:
    from dbcustody.api.database import Database
    from dbcustody.api.restore import RestoreRequest
    from dbcustody.plan.restore_case import Origin

PLAN_SECONDS: Final = 900
_HASH_DIGITS: Final = 12


def mark_of(request: RestoreRequest) -> str:
    """Return what the database remembers of *request*: its name, and a digest of what it asks for.

    The uid is not in it: a request that was deleted and filed again is the same wish. Another wish under the same name is not.
    """
    spec, metadata = request.spec, request.metadata
    further = {
        "schemas": spec.schemas,
        "tables": spec.tables,
        "ownerMap": spec.owner_map,
        "acknowledge": sorted(spec.acknowledge),
    }
    asked = [
        canonical(spec.source or spec.undo_of).decode(),
        canonical(spec.target).decode(),
        canonical(spec.checks).decode(),
        spec.mode.value,
        spec.missing_roles.value,
        *(canonical([name, encode(value)]).decode() for name, value in further.items() if encode(value)),
    ]
    return f"RestoreRequest {metadata.namespace}/{metadata.name} {sha256_hex(canonical(asked))[:_HASH_DIGITS]}"


def restore_work(
    verb: Verb,
    request: RestoreRequest,
    database: Database,
    origin: Origin,
    *,
    image: str,
    undone: RestoreRequest | None = None,
) -> Work:
    """Return the work that plans *request* or carries a part of it out; the plan that was told is the only one that may be."""
    status, is_run = request.status, verb is not Verb.PLAN_RESTORE
    chosen = status.backup if is_run else None
    terms = replace(
        _terms(request, database, undone),
        backup_id=chosen.backup_id if chosen is not None else origin.backup_id,
        policy=origin.policy,
        before_time=origin.before_time,
        plan_hash=status.plan.hash if is_run and status.plan is not None else None,
    )
    asked = replace(
        _request(verb, request, database, terms),
        custody_id=origin.custody_id,
        storage_name=origin.storage.metadata.name,
        storage=replace(origin.storage.spec, job=None, access_mode=AccessMode.READ_ONLY),
        timeout_seconds=request.spec.timeout_seconds if is_run else PLAN_SECONDS,
    )
    return Work(
        request=asked,
        image=image,
        owner_kind=Kind.RESTORE_REQUEST,
        owner_name=request.metadata.name,
        request_name=request.metadata.name,
        templates=(database.spec.job, origin.storage.spec.job, request.spec.job),
        is_tied=is_tied(origin.storage),
        is_once=verb is Verb.SWAP,
    )


def server_work(
    verb: Verb, request: RestoreRequest, database: Database, *, image: str, undone: RestoreRequest | None = None
) -> Work:
    """Return the work that needs the server alone: find out what became of a run without a result, or drop what was put away.

    What fails is tried again by the operator.
    """
    return Work(
        request=_request(verb, request, database, _terms(request, database, undone)),
        image=image,
        owner_kind=Kind.RESTORE_REQUEST,
        owner_name=request.metadata.name,
        request_name=request.metadata.name,
        templates=tuple(
            replace(one, resources=None) if one is not None else None for one in (database.spec.job, request.spec.job)
        ),
        retries=0,
    )


def _terms(request: RestoreRequest, database: Database, undone: RestoreRequest | None) -> RestoreTerms:
    mark = mark_of(request)
    return RestoreTerms(
        database=request.spec.target.database or incoming_name(mark),
        mark=mark,
        replace=_replace_terms(request, database, undone) if request.spec.mode is Mode.REPLACE else None,
        missing_roles=request.spec.missing_roles,
        schemas=request.spec.schemas,
        tables=request.spec.tables,
        owner_map=request.spec.owner_map,
        acknowledge=request.spec.acknowledge,
        parallelism=request.spec.parallelism,
        assertions=request.spec.checks.sql,
    )


def _replace_terms(request: RestoreRequest, database: Database, undone: RestoreRequest | None) -> ReplaceTerms:
    spec, old = request.spec, undone.status.old_database if undone is not None else None
    return ReplaceTerms(
        custody_id=database.custody_id,
        confirm=spec.confirm or "",
        keep_old_seconds=spec.keep_old_seconds,
        undoes=mark_of(undone) if undone is not None else None,
        kept_time=old.kept_time if old is not None else None,
    )


def _request(verb: Verb, request: RestoreRequest, database: Database, terms: RestoreTerms) -> JobRequest:
    return JobRequest(
        verb=verb,
        namespace=request.metadata.namespace,
        name=request.metadata.name,
        owner_uid=request.metadata.uid,
        database_name=database.metadata.name,
        database=replace(database.spec, job=None),
        restore=terms,
        timeout_seconds=PLAN_SECONDS,
    )

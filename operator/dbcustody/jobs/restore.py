"""The Jobs of a RestoreRequest: the plan that is told first, the restore, and the question what became of one that left no result.

All three find in the target's own comment what was done before: a request that is filed again finds its database and leaves it alone, and
a run that goes on after a killed one drops what that left and begins anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.landing import drop_database, read_landing
from dbcustody.api.restore import ChosenBackup, RestoreChecks, RestoreProgress, RestoreStage
from dbcustody.api.storage import AccessMode
from dbcustody.contract import RestoreTerms, Verb
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.facts import RestoreFacts
from dbcustody.jobs.custody import open_storage, read_marker, storage_of
from dbcustody.jobs.restoration import RestoreOrder, find_imprint, find_left, make_plan, restore, told_plan, without
from dbcustody.jobs.source import Source, open_source, refuse_pending_erasures
from dbcustody.jobs.stock import take_stock
from dbcustody.jobs.tools import custody_id_of, database_of
from dbcustody.jobs.verdict import fail, give
from dbcustody.plan.choice import choose_named, choose_newest
from dbcustody.plan.imprint import Imprint
from dbcustody.plan.restoration import Landing, Wish
from dbcustody.plan.selection import Choice
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.layout import backup_prefix

if TYPE_CHECKING:
    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.adapters.postgres.session import Session
    from dbcustody.contract import JobRequest, JobResult
    from dbcustody.jobs.tools import Tools


def run(request: JobRequest, tools: Tools) -> JobResult:
    """Return what came of the verb of *request*.

    plan-restore: TargetSafe with the plan, or the first obstacle with all of them in it; Adopted when the database of this very request
    stands there. restore: Restored with what was compared. settle-restore: Restored, or JobLost with exit code 0 when nothing is left.
    Raises what `restoration.restore` raises.
    """
    work = {Verb.PLAN_RESTORE: _plan, Verb.SETTLE_RESTORE: _settle}.get(request.verb, _restore)
    return work(request, tools)


def _plan(request: JobRequest, tools: Tools) -> JobResult:
    tools.report(RestoreProgress(stage=RestoreStage.PLANNING, summary="Planning", updated_time=tools.now()))
    with connect(_server(request, tools)) as session:
        if _is_handed_over(session, terms_of(request)):
            return _adopted(request)
        order = _order(request, tools, _open(request, tools))
        refuse_pending_erasures(order.source, tools)
        plan = make_plan(order, without(Landing(**read_landing(session)), find_left(session, order), order))
    facts = RestoreFacts(backup=_chosen(order.source), plan=told_plan(order, plan))
    if plan.obstacles:
        message = "; ".join(one.text for one in plan.obstacles)
        return fail(request.verb, plan.obstacles[0].reason, message, restore=facts)
    return give(request.verb, Reason.TARGET_SAFE, "nothing stands in the way", restore=facts)


def _restore(request: JobRequest, tools: Tools) -> JobResult:
    with connect(_server(request, tools)) as session:
        if _is_handed_over(session, terms_of(request)):
            return _adopted(request)
    source = _open(request, tools)
    restored = restore(_order(request, tools, source), tools)
    accepted = restored.accepted
    facts = RestoreFacts(
        backup=_chosen(source),
        is_handed_over=True,
        checks=RestoreChecks(
            tables=accepted.tables,
            rows=accepted.rows,
            sequences=accepted.sequences,
            assertions=len(terms_of(request).assertions),
        ),
        unknown_settings=restored.unknown_settings,
    )
    message = f"{source.manifest.name} is restored into {restored.database}, compared and equal"
    return give(request.verb, Reason.RESTORED, message, restore=facts)


def _settle(request: JobRequest, tools: Tools) -> JobResult:
    """Return whether the database was handed over; what is half-done is dropped, with whoever still works on it."""
    terms = terms_of(request)
    with connect(_server(request, tools)) as session:
        found = find_imprint(session, terms.database)
        left = "nothing was made"
        if found is not None and found[1].mark == terms.mark:
            if found[1].is_handed_over:
                message = f"{terms.database} was handed over, compared and equal"
                return give(request.verb, Reason.RESTORED, message, restore=RestoreFacts(is_handed_over=True))
            drop_database(session, found[0])
            left = "what was half-done is dropped"
    lost = fail(request.verb, Reason.JOB_LOST, f"{terms.database}: {left}", restore=RestoreFacts())
    return replace(lost, exit_code=ExitCode.DONE)


def _is_handed_over(session: Session, terms: RestoreTerms) -> bool:
    found = find_imprint(session, terms.database)
    return found is not None and found[1] == Imprint(mark=terms.mark, is_handed_over=True)


def _adopted(request: JobRequest) -> JobResult:
    message = f"{terms_of(request).database} was restored for this request before"
    return give(request.verb, Reason.ADOPTED, message, restore=RestoreFacts(is_handed_over=True))


def terms_of(request: JobRequest) -> RestoreTerms:
    """Return what *request* wants restored; raises InvalidSpecError when it does not say."""
    if request.restore is None:
        raise InvalidSpecError(f"request {request.verb.value}: restore: is missing; must be given")
    return request.restore


def _server(request: JobRequest, tools: Tools) -> PostgresTarget:
    return tools.target(request.verb).at(database_of(request).connection.maintenance_database)


def _order(request: JobRequest, tools: Tools, source: Source) -> RestoreOrder:
    terms = terms_of(request)
    return RestoreOrder(
        source=source,
        server=_server(request, tools),
        wish=Wish(
            database=terms.database,
            missing_roles=terms.missing_roles,
            choice=Choice(schemas=terms.schemas, tables=terms.tables),
            owner_map=terms.owner_map,
            acknowledged=frozenset(terms.acknowledge),
        ),
        parallelism=terms.parallelism,
        report=tools.report,
        assertions=terms.assertions,
        mark=terms.mark,
        agreed_hash=terms.plan_hash,
    )


def _open(request: JobRequest, tools: Tools) -> Source:
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
    return open_source(storage, choose_newest(inventory, policy=terms.policy, before=terms.before_time))


def _chosen(source: Source) -> ChosenBackup:
    manifest, store = source.manifest, source.storage.store
    return ChosenBackup(
        name=manifest.name,
        backup_id=manifest.backup_id,
        custody_id=manifest.custody_id,
        location=f"{store.location}/{backup_prefix(manifest.custody_id, manifest.backup_id)}".rstrip("/"),
        manifest_sha256=source.manifest_sha256,
        snapshot_time=manifest.snapshot,
        major_version=manifest.server.major_version,
        logical_bytes=manifest.logical_bytes,
        tables=manifest.table_count,
        rows=manifest.row_count,
    )

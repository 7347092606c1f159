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
from dbcustody.contract import Verb
from dbcustody.facts import RestoreFacts
from dbcustody.jobs.chosen import open_chosen, terms_of
from dbcustody.jobs.newdatabase import find_begun, find_imprint
from dbcustody.jobs.replacement import Marked, find_marked, look_at_live, old_database
from dbcustody.jobs.restoration import RestoreOrder, find_left, make_plan, restore, told_plan, without
from dbcustody.jobs.source import Source, refuse_pending_erasures
from dbcustody.jobs.swap import settle_replace
from dbcustody.jobs.tools import database_of
from dbcustody.jobs.verdict import fail, give
from dbcustody.plan.incoming import judge_incoming
from dbcustody.plan.replacement import undo_plan
from dbcustody.plan.restoration import Landing, Wish
from dbcustody.plan.selection import Choice
from dbcustody.reason import ExitCode, Reason
from dbcustody.repository.layout import backup_prefix

if TYPE_CHECKING:
    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.adapters.postgres.session import Session
    from dbcustody.adapters.postgres.swapping import Place
    from dbcustody.contract import JobRequest, JobResult
    from dbcustody.jobs.tools import Tools


def run(request: JobRequest, tools: Tools) -> JobResult:
    """Return what came of the verb of *request*.

    plan-restore: TargetSafe with the plan, or the first obstacle with all of them in it; Adopted when the database of this very request
    stands there. restore: Restored with what was compared. settle-restore: Restored, or JobLost with exit code 0 when nothing is left.
    Raises what `restoration.restore` raises.
    """
    is_replace = terms_of(request).replace is not None
    if request.verb is Verb.SETTLE_RESTORE:
        return (settle_replace if is_replace else _settle)(request, tools)
    work = _plan if request.verb is Verb.PLAN_RESTORE else _restore
    return work(request, tools)


def _plan(request: JobRequest, tools: Tools) -> JobResult:
    tools.report(RestoreProgress(stage=RestoreStage.PLANNING, summary="Planning", updated_time=tools.now()))
    with connect(_server(request, tools)) as session:
        if (before := _done_before(session, request)) is not None:
            return before
        if _undoes(request) is not None:
            return _plan_undo(session, request, tools)
        order = _order(session, request, tools)
        refuse_pending_erasures(order.source, tools)
        plan = make_plan(order, without(Landing(**read_landing(session)), find_left(session, order), order))
    facts = RestoreFacts(backup=_chosen(order.source), plan=told_plan(order, plan))
    if plan.obstacles:
        message = "; ".join(one.text for one in plan.obstacles)
        return fail(request.verb, plan.obstacles[0].reason, message, restore=facts)
    return give(request.verb, Reason.TARGET_SAFE, "nothing stands in the way", restore=facts)


def _restore(request: JobRequest, tools: Tools) -> JobResult:
    with connect(_server(request, tools)) as session:
        if (before := _done_before(session, request)) is not None:
            return before
        order = _order(session, request, tools)
    restored = restore(order, tools)
    accepted, is_ready = restored.accepted, order.replacement is not None
    facts = RestoreFacts(
        backup=_chosen(order.source),
        is_handed_over=not is_ready,
        is_ready=is_ready,
        checks=RestoreChecks(
            tables=accepted.tables,
            rows=accepted.rows,
            sequences=accepted.sequences,
            constraints=accepted.constraints,
            remarks=accepted.remarks,
            assertions=len(terms_of(request).assertions),
        ),
        unknown_settings=restored.unknown_settings,
    )
    message = f"{order.source.manifest.name} is restored into {restored.database}, compared and equal"
    return give(request.verb, Reason.RESTORED, message, restore=facts)


def _settle(request: JobRequest, tools: Tools) -> JobResult:
    """Return whether the database was handed over; what is half-done is dropped, with whoever still works on it."""
    terms = terms_of(request)
    with connect(_server(request, tools)) as session:
        found = find_imprint(session, terms.database, terms.mark)
        if found is not None and found[1].is_handed_over:
            message = f"{terms.database} was handed over, compared and equal"
            return give(request.verb, Reason.RESTORED, message, restore=RestoreFacts(is_handed_over=True))
        left, begun = "nothing was made", find_begun(session, terms.database, terms.mark)
        if begun is not None:
            drop_database(session, begun)
            left = "what was half-done is dropped"
    lost = fail(request.verb, Reason.JOB_LOST, f"{terms.database}: {left}", restore=RestoreFacts())
    return replace(lost, exit_code=ExitCode.DONE)


def _done_before(session: Session, request: JobRequest) -> JobResult | None:
    """Return the result for a request that was carried out before, or None; one that was undone since is not carried out again."""
    terms = terms_of(request)
    if terms.replace is None:
        found = find_imprint(session, terms.database, terms.mark)
        is_there = found is not None and found[1].is_handed_over
        return _adopted(request, terms.database) if is_there else None
    marked = find_marked(session, terms.mark)
    if marked.undone is not None:
        return fail(
            request.verb, Reason.ALREADY_UNDONE, f"{marked.undone.name}: was replaced for this request, and put back"
        )
    return _adopted_swap(request, marked, marked.swapped) if marked.swapped is not None else None


def _adopted(request: JobRequest, database: str) -> JobResult:
    message = f"{database} was restored for this request before"
    return give(request.verb, Reason.ADOPTED, message, restore=RestoreFacts(is_handed_over=True))


def _adopted_swap(request: JobRequest, marked: Marked, place: Place) -> JobResult:
    """Return the result for a swap that was done before, with what was put away for it: it is still to be dropped, or put back."""
    facts = RestoreFacts(is_handed_over=True, old_database=old_database(marked), oid=place.oid)
    return give(request.verb, Reason.ADOPTED, f"{place.name} was swapped in for this request before", restore=facts)


def _undoes(request: JobRequest) -> str | None:
    replace_terms = terms_of(request).replace
    return replace_terms.undoes if replace_terms is not None else None


def _plan_undo(session: Session, request: JobRequest, tools: Tools) -> JobResult:
    """Return the plan for putting back what was put away for the swap that is undone."""
    kept = find_marked(session, _undoes(request) or "").kept
    plan = undo_plan(kept.oid if kept is not None else None, look_at_live(session, request, tools))
    facts = RestoreFacts(plan=plan)
    if plan.obstacles:
        message = "; ".join(one.message for one in plan.obstacles)
        return fail(request.verb, Reason(plan.obstacles[0].reason), message, restore=facts)
    return give(request.verb, Reason.TARGET_SAFE, "nothing stands in the way", restore=facts)


def _server(request: JobRequest, tools: Tools) -> PostgresTarget:
    return tools.target(request.verb).at(database_of(request).connection.maintenance_database)


def _order(session: Session, request: JobRequest, tools: Tools) -> RestoreOrder:
    terms, source, replacement = terms_of(request), open_chosen(request, tools), None
    if terms.replace is not None:
        live = look_at_live(session, request, tools)
        replacement = judge_incoming(live, source.manifest, source.catalogue, terms)
    return RestoreOrder(
        source=source,
        replacement=replacement,
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

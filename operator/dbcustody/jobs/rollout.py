"""The Jobs of a DatabaseMigration: look how the database stands to the source, settle what a dead run left, carry out what is pending.

The same engine as the command line's; what a Job adds is that files, plan and order are those that were decided about, and no others.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

import structlog

import dbcustody
from dbcustody.api.migration import DeclaredState, MigrationProgress, MigrationStage, OutOfOrder
from dbcustody.contract import Verb
from dbcustody.errors import DbcustodyError, InterruptedRunError, InvalidSpecError
from dbcustody.facts import MigrationFacts
from dbcustody.jobs.checkup import told_unfinished
from dbcustody.jobs.foresight import foresee, require_passed
from dbcustody.jobs.migration import MigrationOrder, migrate, refuses_drift, settled
from dbcustody.jobs.migration_source import find_source
from dbcustody.jobs.tally import told_by
from dbcustody.jobs.tools import custody_id_of, database_of
from dbcustody.jobs.verdict import fail, give
from dbcustody.migration.aim import Declaration
from dbcustody.migration.directive import Waiver
from dbcustody.migration.history import Kind
from dbcustody.migration.ledger import State
from dbcustody.migration.patience import Limits
from dbcustody.migration.statedplan import stated_attempts, stated_drift, stated_error, stated_plan
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.api.migration import Resolution
    from dbcustody.contract import JobRequest, JobResult, MigrationTerms
    from dbcustody.jobs.tools import Tools

_WAITING_WORDS: Final = (": gives way to ", "waits for ")
_RUNS: Final = UUID("5b1f4a1e-6c86-4a53-9d0c-0f6f4f6d2b0e")
"""A namespace of UUIDs, for the runs of attempts that are not called by one."""
_LOG = structlog.stdlib.get_logger("dbcustody.job")


def run(request: JobRequest, tools: Tools) -> JobResult:
    """Return how the database stands once *request* is done: reason Planned, or Applied.

    A run that failed tells it, too, as far as the database answers. Raises as `jobs.migration.migrate` does, and with SourceInvalid and
    SourceNotFound.
    """
    order = _order(request, tools)
    if request.verb is not Verb.MIGRATE:
        if request.verb is Verb.SETTLE_MIGRATION:
            settled(order)
        facts = _facts(order)
        return give(request.verb, Reason.PLANNED, f"migrations pending: {facts.pending}", migration=facts)
    try:
        require_passed(foresee(order).plan)
        migrate(order)
        facts = order.tally.on(_facts(order))
    except InterruptedRunError:
        raise
    except DbcustodyError as error:
        if tools.stop.is_set():
            raise
        return fail(request.verb, error.reason, error.message, migration=_facts_after(order))
    return give(request.verb, Reason.APPLIED, f"migrations in: {facts.applied}", migration=facts)


def _facts_after(order: MigrationOrder) -> MigrationFacts | None:
    """Return how the database stands after a run that failed; None: it does not answer."""
    try:
        return order.tally.on(_facts(order))
    except DbcustodyError:
        _LOG.warning("the ledger could not be read after the run", exc_info=True)
        return None


def _order(request: JobRequest, tools: Tools) -> MigrationOrder:
    terms, policy = _terms_of(request), _terms_of(request).policy
    source = find_source(request.verb, terms, tools.sources())
    return MigrationOrder(
        target=tools.target(request.verb),
        custody_id=custody_id_of(request),
        maintenance_database=database_of(request).connection.maintenance_database,
        scripts=source.tree.scripts,
        is_alembic=source.tree.is_alembic,
        run=_run_of(tools.attempt),
        owner=_owner_of(request),
        actor=f"DatabaseMigration {request.namespace}/{request.name}",
        tool=f"dbcustody {dbcustody.__version__}",
        limits=Limits(
            lock_timeout_milliseconds=policy.lock_timeout_milliseconds,
            statement_timeout_seconds=policy.statement_timeout_seconds,
            lock_attempts=policy.lock_attempts,
        ),
        allows_out_of_order=policy.out_of_order is OutOfOrder.ALLOW,
        fail_on=policy.lint.fail_on,
        waivers=tuple(Waiver(rule=one.rule, reason=one.reason) for one in policy.lint.waivers),
        agreed_hash=terms.plan_hash,
        approval=terms.approval,
        backup=terms.backup,
        source_digest=source.digest,
        drift=policy.drift,
        exclude=policy.exclude,
        accepted_fingerprint=policy.accepted_fingerprint,
        accepts_heritage=policy.beside_other_history,
        aim=terms.target_revision,
        may_go_back=policy.allow_downgrade,
        declarations=tuple(map(_declaration, terms.resolutions)),
        lock_wait_seconds=terms.lock_wait_seconds,
        stop=tools.stop,
        say=lambda words: _say(tools, words),
    )


def _say(tools: Tools, words: str) -> None:
    """Tell *words* to whoever reads the log, and to the status."""
    _LOG.info("migrating", what=words)
    waits = any(sign in words for sign in _WAITING_WORDS)
    stage = MigrationStage.WAITING if waits else MigrationStage.RUNNING
    tools.report(MigrationProgress(stage=stage, summary=words, updated_time=tools.now()))


def _declaration(said: Resolution) -> Declaration:
    state = State.RESOLVED_APPLIED if said.as_ is DeclaredState.APPLIED else State.RESOLVED_ROLLED_BACK
    return Declaration(name=said.migration, state=state, reason=said.reason)


def _terms_of(request: JobRequest) -> MigrationTerms:
    if request.migration is None:
        raise InvalidSpecError(f"request {request.verb.value}: migration: is missing; must be given")
    return request.migration


def _run_of(attempt: str) -> UUID:
    """Return the UUID of the run: that of the pod, which is nobody else's."""
    try:
        return UUID(attempt)
    except ValueError:
        return uuid5(_RUNS, attempt)


def _owner_of(request: JobRequest) -> str | None:
    """Return the resource of this cluster whose run it is: the operator makes its next Job when the last one has ended."""
    return hashlib.sha256(request.owner_uid.encode()).hexdigest()[:8] if request.owner_uid else None


def _facts(order: MigrationOrder) -> MigrationFacts:
    """Return how the database stands to the source now."""
    foreseen = foresee(order, looks_always=True)
    history, drift = foreseen.history, foreseen.drift
    refused = drift if drift is not None and refuses_drift(order, drift) else None
    kinds = {one.kind for one in history.differences}
    unfinished = told_unfinished(order) if Kind.PARTIAL in kinds else ()
    return MigrationFacts(
        source_digest=order.source_digest or "",
        applied=len(history.applied),
        pending=len(foreseen.plan.aim.forth),
        plan=stated_plan(foreseen.plan, history, heritage=foreseen.heritage, drift=refused, unfinished=unfinished),
        current=history.applied[-1] if history.applied else None,
        history=stated_attempts(history),
        unsettled=Kind.UNSETTLED in kinds,
        last_error=told_by(order.tally, stated_error(history), history),
        drift=stated_drift(drift),
    )

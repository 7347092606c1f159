"""The Jobs of a DatabaseMigration: what exactly is asked of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from dbcustody.api.meta import Kind, reference_to
from dbcustody.contract import JobRequest, MigrationTerms, Verb
from dbcustody.plan.manifest import Work, job_manifest

if TYPE_CHECKING:
    from dbcustody.plan.migration_case import Found, MigrationCase

LOOK_SECONDS: Final = 900
"""How long a look, or settling what a dead run left, may take: an index that was broken off is dropped then."""


def look_job(case: MigrationCase, found: Found, name: str, *, settles: bool) -> dict[str, Any]:
    """Return the Job *name* that holds the database against the source; with *settles* it finds out first how the last run ended."""
    terms = _terms(case, found.source_digest)
    verb = Verb.SETTLE_MIGRATION if settles else Verb.PLAN_MIGRATION
    work = _work(case, found, _request(case, found, verb, terms))
    return _manifest(case, replace(work, retries=0), name)


def run_job(case: MigrationCase, found: Found) -> dict[str, Any]:
    """Return the Job of the run that stands in status: one attempt, by the very plan and source that it was begun for."""
    run = case.status.run
    assert run is not None  # noqa: S101 - it is written down before its Job is made
    terms = _terms(case, run.source_digest)
    terms = replace(terms, plan_hash=run.plan_hash, approval=run.approval, backup=run.backup)
    request = _request(case, found, Verb.MIGRATE, terms)
    request = replace(request, timeout_seconds=case.migration.spec.timeout_seconds)
    return _manifest(case, replace(_work(case, found, request), is_once=True), run.job_name)


def _terms(case: MigrationCase, digest: str | None) -> MigrationTerms:
    spec = case.migration.spec
    return MigrationTerms(
        source_digest=digest,
        inline=spec.source.inline,
        config_map_refs=spec.source.config_map_refs,
        image=spec.source.image,
        format=spec.source.format,
        policy=spec.policy,
        target_revision=spec.target_revision,
        resolutions=spec.resolutions,
    )


def _request(case: MigrationCase, found: Found, verb: Verb, terms: MigrationTerms) -> JobRequest:
    metadata, database = case.migration.metadata, found.database
    return JobRequest(
        verb=verb,
        namespace=metadata.namespace,
        name=metadata.name,
        owner_uid=metadata.uid,
        custody_id=database.custody_id,
        database_name=database.metadata.name,
        database=replace(database.spec, job=None),
        migration=terms,
        timeout_seconds=LOOK_SECONDS,
    )


def _work(case: MigrationCase, found: Found, request: JobRequest) -> Work:
    return Work(
        request=request,
        image=case.seen.image,
        owner_kind=Kind.DATABASE_MIGRATION,
        owner_name=case.migration.metadata.name,
        request_name=case.migration.metadata.name,
        templates=(found.database.spec.job, case.migration.spec.job),
    )


def _manifest(case: MigrationCase, work: Work, name: str) -> dict[str, Any]:
    return job_manifest(work, name=name, owner=reference_to(Kind.DATABASE_MIGRATION, case.migration.metadata))

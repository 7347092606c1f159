"""What becomes of a CronJob's Job that no Backup bears the name of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.backup import Backup, Origin
from dbcustody.api.meta import Kind, ObjectRef
from dbcustody.contract import Verb
from dbcustody.naming import LABEL_BACKUP, LABEL_DATABASE, LABEL_OWNER_KIND, LABEL_POLICY, LABEL_STORAGE
from dbcustody.plan.actions import CreateBackup, DeleteJob, LetJobGo
from dbcustody.plan.adoption import GONE_AFTER_SECONDS, backup_manifest, is_of_schedule, plan_absent
from dbcustody.plan.observed import ANNOTATION_BACKUP_UID, BY_HAND, SeenJob
from tests.fakes.seen import NOW, job, scheduled_job

NAME = "nightly-29500000"


def with_labels(seen: SeenJob, **labels: str | None) -> SeenJob:
    """Return *seen* with *labels*, given by their constant's name, set or (None) taken away."""
    keys = {"owner": LABEL_OWNER_KIND, "policy": LABEL_POLICY, "database": LABEL_DATABASE}
    wanted = seen.metadata.labels | {keys[name]: value for name, value in labels.items()}
    kept = {label: value for label, value in wanted.items() if value is not None}
    return replace(seen, metadata=replace(seen.metadata, labels=kept))


def marked(seen: SeenJob, **more: Any) -> SeenJob:
    """Return *seen* as recorded by a Backup."""
    annotations = seen.metadata.annotations | {ANNOTATION_BACKUP_UID: "uid-of-a-backup"}
    return replace(seen, metadata=replace(seen.metadata, annotations=annotations, **more))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(scheduled_job(), True, id="by-the-clock"),
        pytest.param(scheduled_job(by_hand=True), True, id="by-hand"),
        pytest.param(job("monday-1"), False, id="a-backups-own"),
        pytest.param(with_labels(scheduled_job(), owner=Kind.BACKUP.value), False, id="owned-by-a-backup"),
        pytest.param(with_labels(scheduled_job(), policy=None), False, id="of-no-policy"),
        pytest.param(replace(scheduled_job(), verb=Verb.PRUNE), False, id="a-policys-prune"),
    ],
)
def test_which_jobs_are_backups(seen: SeenJob, expected: bool) -> None:  # noqa: FBT001
    """Only a Job that takes a backup for a policy is one; everything else has an owner that looks after it."""
    assert expected is is_of_schedule(seen)


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        pytest.param(scheduled_job(), CreateBackup, id="new-and-running"),
        pytest.param(scheduled_job(outcome="Complete"), CreateBackup, id="over-before-anybody-looked"),
        pytest.param(marked(scheduled_job(outcome="Failed")), LetJobGo, id="its-backup-is-gone-and-it-is-over"),
        pytest.param(marked(scheduled_job()), DeleteJob, id="its-backup-was-deleted-while-it-runs"),
        pytest.param(scheduled_job(outcome="Complete", has_ttl=True), None, id="is-allowed-to-go"),
        pytest.param(marked(scheduled_job(), deletion_timestamp=NOW), None, id="is-going"),
        pytest.param(job("monday-1"), None, id="not-of-a-schedule"),
    ],
)
def test_the_one_thing_to_do_with_a_job(seen: SeenJob, kind: type | None) -> None:
    """A run is recorded once; a run whose record was deleted ends with it and is never recorded again."""
    assert ([] if kind is None else [kind]) == [type(action) for action in plan_absent((seen,)).actions]


def test_nothing_is_said_where_there_is_no_resource() -> None:
    """There is no status to write, and no Job means nothing to do."""
    found = plan_absent(())

    assert (found.status, found.actions, found.look_again_seconds) == (None, (), None)


def test_a_finished_job_stays_for_ten_minutes() -> None:
    """Long enough to be looked at, short enough not to pile up."""
    assert (LetJobGo(NAME, GONE_AFTER_SECONDS),) == plan_absent((marked(scheduled_job(outcome="Failed")),)).actions


@pytest.mark.parametrize(
    ("seen", "origin"),
    [
        pytest.param(scheduled_job(), Origin.SCHEDULED, id="by-the-clock"),
        pytest.param(scheduled_job(by_hand=True), Origin.ADOPTED, id="by-hand"),
        pytest.param(
            replace(
                scheduled_job(),
                metadata=replace(
                    scheduled_job().metadata,
                    annotations=scheduled_job().metadata.annotations | {BY_HAND: "manual"},
                ),
            ),
            Origin.ADOPTED,
            id="by-hand-with-a-copied-slot",
        ),
    ],
)
def test_the_record_bears_the_jobs_name_and_starts_nothing(seen: SeenJob, origin: Origin) -> None:
    """The Backup is readable by our own parser, is not Manual, belongs to nobody, and finds its parties without the policy."""
    manifest = backup_manifest(seen)
    read = Backup.from_body(manifest)

    assert (read.metadata.name, read.metadata.namespace) == (NAME, "team")
    assert (origin, ObjectRef(name="nightly"), ObjectRef(name="shop")) == (
        read.spec.origin,
        read.spec.policy_ref,
        read.spec.database_ref,
    )
    assert read.metadata.owner_references == ()
    assert {LABEL_DATABASE: "shop", LABEL_STORAGE: "main", LABEL_POLICY: "nightly", LABEL_BACKUP: NAME}.items() <= (
        read.metadata.labels.items()
    )


def test_a_job_that_does_not_tell_its_database_is_recorded_all_the_same() -> None:
    """A Job of an older version without that label becomes a Backup whose policy tells the database."""
    read = Backup.from_body(backup_manifest(with_labels(scheduled_job(), database=None)))

    assert read.spec.database_ref is None
    assert LABEL_DATABASE not in read.metadata.labels

"""What exactly a Job is asked for: by whom, about what, under which options, and where."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from dbcustody.api.backup import Attempt, Backup, Origin
from dbcustody.api.job_template import JobTemplate
from dbcustody.api.meta import Kind, ObjectRef
from dbcustody.api.policy import BackupPolicy, CaptureOptions, Level, PolicyVerification, Retention, Verification
from dbcustody.contract import Verb
from dbcustody.naming import ANNOTATION_CONFIRM_PRUNE, LABEL_DATABASE, LABEL_STORAGE
from dbcustody.plan.request import (
    PRUNE_SECONDS,
    SETTLE_SECONDS,
    Missing,
    Parties,
    PartyNames,
    backup_work,
    names_for,
    options_for,
    options_of,
    parties_of,
    prune_work,
    removal_work,
    scheduled_work,
    settle_work,
    storage_work,
)
from dbcustody.reason import Reason
from tests.fakes.seen import IMAGE, backup, database, policy, storage, with_metadata, with_status

NODE = JobTemplate(node_selector={"disk": "fast"})
PARTIES = Parties(
    database=database(custody_id="shop", job=NODE), storage=storage(), policy=policy(timeout_seconds=100, parallelism=4)
)
LABELS = {LABEL_DATABASE: "old-db", LABEL_STORAGE: "old-store"}


def by_policy(origin: Origin = Origin.MANUAL, *, labels: dict[str, str] | None = None, **spec: Any) -> Backup:
    """Return a Backup by the policy `nightly`, with *labels*."""
    values: dict[str, Any] = {"policy_ref": ObjectRef(name="nightly"), "database_ref": None, "storage_ref": None}
    found: Backup = with_metadata(backup(origin=origin, **(values | spec)), labels=labels or {})
    return found


def begun(one: Backup, **attempts: Any) -> Backup:
    """Return *one* as it stands once a run was made of it under other names than its policy says now."""
    found: Backup = with_status(one, database="first-db", storage="first-store", **attempts)
    return found


TESTED = policy(verification=PolicyVerification(level=Level.RESTORE, every_nth=7))


@pytest.mark.parametrize(
    ("one", "ruled", "expected"),
    [
        pytest.param(by_policy(Origin.SCHEDULED), TESTED, 7, id="of-the-schedule"),
        pytest.param(by_policy(Origin.SCHEDULED), policy(), 1, id="of-a-schedule-that-says-nothing"),
        pytest.param(by_policy(Origin.MANUAL), TESTED, 1, id="a-person-asks"),
        pytest.param(by_policy(Origin.ADOPTED), TESTED, 1, id="a-person-asks-by-kubectl"),
        pytest.param(by_policy(Origin.SCHEDULED), None, 1, id="its-policy-is-gone"),
    ],
)
def test_what_a_person_starts_is_always_restored(one: Backup, ruled: BackupPolicy | None, expected: int) -> None:
    """Of the schedule's own runs every seventh is; whoever starts a backup by hand wants to know."""
    parties = replace(PARTIES, policy=ruled)

    assert backup_work(one, parties, image=IMAGE).request.every_nth == expected
    assert settle_work(one, parties, image=IMAGE).request.every_nth == expected


def test_the_cron_job_restores_every_so_many() -> None:
    """The CronJob's request says of how many backups one is restored, and on which server."""
    request = scheduled_work(TESTED, replace(PARTIES, policy=TESTED), image=IMAGE).request

    assert (request.every_nth, request.untestable) == (7, None)
    assert request.options is not None
    assert request.options.verification.image == "postgres:18"
    assert scheduled_work(policy(), PARTIES, image=IMAGE).request.every_nth == 1


RUN = Attempt(ordinal=1, job_name="run")


@pytest.mark.parametrize(
    ("one", "by", "expected"),
    [
        pytest.param(
            begun(by_policy(), attempts=(RUN,)),
            policy(),
            ("first-db", "first-store", "nightly"),
            id="a-run-stays-where-it-went",
        ),
        pytest.param(
            begun(by_policy(), attempts=(RUN,)),
            None,
            ("first-db", "first-store", "nightly"),
            id="also-when-the-policy-is-gone",
        ),
        pytest.param(begun(by_policy()), policy(), ("shop", "main", "nightly"), id="without-a-run-the-policy-counts"),
        pytest.param(backup(), None, ("shop", "main", None), id="says-it-itself"),
        pytest.param(by_policy(), policy(), ("shop", "main", "nightly"), id="as-its-policy-says"),
        pytest.param(by_policy(), None, (None, None, "nightly"), id="policy-is-not-there"),
        pytest.param(by_policy(labels=LABELS), None, ("old-db", "old-store", "nightly"), id="only-labels-remember"),
        pytest.param(by_policy(labels=LABELS), policy(), ("shop", "main", "nightly"), id="a-persons-labels-come-last"),
        pytest.param(
            by_policy(Origin.SCHEDULED, labels=LABELS),
            policy(),
            ("old-db", "old-store", "nightly"),
            id="a-scheduled-run-went-where-its-labels-say",
        ),
        pytest.param(
            by_policy(Origin.ADOPTED, labels=LABELS, database_ref=ObjectRef(name="shop")),
            policy(),
            ("shop", "old-store", "nightly"),
            id="an-adopted-one-too",
        ),
        pytest.param(
            by_policy(Origin.SCHEDULED), policy(), ("shop", "main", "nightly"), id="a-scheduled-one-without-labels"
        ),
    ],
)
def test_where_a_backups_parties_are_looked_for(
    one: Backup, by: Any, expected: tuple[str | None, str | None, str | None]
) -> None:
    """Its own words come first; a run of a CronJob then goes by its labels, a person's Backup by its policy."""
    database_name, storage_name, policy_name = expected

    assert names_for(one, by) == PartyNames(database=database_name, storage=storage_name, policy=policy_name)


@pytest.mark.parametrize(
    ("values", "reason", "named"),
    [
        pytest.param({"database": None}, Reason.DATABASE_NOT_FOUND, "Database 'shop'", id="database"),
        pytest.param({"storage": None}, Reason.STORAGE_NOT_FOUND, "BackupStorage 'main'", id="storage"),
        pytest.param(
            {"policy": None, "names": PartyNames(database=None, storage="main", policy="nightly")},
            Reason.POLICY_NOT_FOUND,
            "BackupPolicy 'nightly'",
            id="policy-that-alone-knows-the-database",
        ),
        pytest.param(
            {"policy": None, "names": PartyNames(database="shop", storage=None, policy="nightly")},
            Reason.POLICY_NOT_FOUND,
            "BackupPolicy 'nightly'",
            id="policy-that-alone-knows-the-storage",
        ),
        pytest.param(
            {"database": None, "names": PartyNames(database=None, storage=None, policy=None)},
            Reason.DATABASE_NOT_FOUND,
            "Database",
            id="nothing-is-known",
        ),
    ],
)
def test_the_first_missing_party_is_named(values: dict[str, Any], reason: Reason, named: str) -> None:
    """The message names kind and name, and the reason is its own."""
    given: dict[str, Any] = {
        "database": database(),
        "storage": storage(),
        "policy": policy(),
        "names": PartyNames(database="shop", storage="main", policy="nightly"),
    }
    found = parties_of(**(given | values))

    assert isinstance(found, Missing)
    assert (found.reason, named in found.message) == (reason, True)


def test_a_deleted_policy_is_no_obstacle_once_names_are_known() -> None:
    """A run that was recorded with its names goes on without its policy."""
    names = PartyNames(database="shop", storage="main", policy="nightly")
    found = parties_of(database=database(), storage=storage(), policy=None, names=names)

    assert isinstance(found, Parties)
    assert found.policy is None


def test_options_are_the_policys_or_the_backups_own() -> None:
    """A Backup by a policy is taken as the policy says; any other as it says itself; without the policy, by default."""
    own = backup(parallelism=7)
    alone = replace(PARTIES, policy=None)

    assert options_for(by_policy(), PARTIES).parallelism == 4
    assert options_for(own, PARTIES).parallelism == 7
    assert options_for(by_policy(), alone) == CaptureOptions()


def test_options_hold_nothing_else() -> None:
    """Schedule, retention and references of a policy do not travel as options."""
    options = options_of(policy(verification=Verification(level=Level.CHECKSUM)).spec)

    assert type(options) is CaptureOptions
    assert options.verification.level is Level.CHECKSUM
    assert {one.name for one in fields(options)} == {one.name for one in fields(CaptureOptions)}


@pytest.mark.parametrize(
    ("make", "verb", "seconds", "waits"),
    [
        pytest.param(backup_work, Verb.BACKUP, 100, 3600, id="backup"),
        pytest.param(settle_work, Verb.SETTLE, SETTLE_SECONDS, 0, id="settle"),
        pytest.param(removal_work, Verb.PRUNE, PRUNE_SECONDS, 0, id="removal"),
    ],
)
def test_what_a_backups_jobs_are_asked(make: Any, verb: Verb, seconds: int, waits: int) -> None:
    """Each names the backup and its custody, and only a backup waits for its turn."""
    work = make(by_policy(), PARTIES, image=IMAGE)
    request = work.request

    assert (request.verb, request.name, request.custody_id, request.owner_uid) == (verb, "monday", "shop", "uid-monday")
    assert (request.database_name, request.storage_name, request.policy_name) == ("shop", "main", "nightly")
    assert (request.timeout_seconds, work.waiting_seconds) == (seconds, waits)
    assert (work.owner_kind, work.owner_name, work.backup_name, work.image) == (
        Kind.BACKUP,
        "monday",
        "monday",
        IMAGE,
    )
    assert request.retention is None


@pytest.mark.parametrize(
    ("sharing", "is_tied"),
    [
        pytest.param("AnyNode", False, id="several-nodes"),
        pytest.param("OneNode", True, id="one-node"),
        pytest.param(None, True, id="not-known-yet"),
    ],
)
def test_pods_are_tied_to_a_node_unless_several_may_use_the_storage(sharing: str | None, *, is_tied: bool) -> None:
    """Every kind of Job alike: those of a Backup, of a policy, and of a storage."""
    shared = with_status(storage(), sharing=sharing)
    parties = replace(PARTIES, storage=shared)
    assert parties.policy is not None
    works = (
        backup_work(backup(), parties, image=IMAGE),
        prune_work(parties.policy, parties, live_attempts=(), image=IMAGE),
        storage_work(Verb.PROBE, shared, image=IMAGE, timeout_seconds=60),
    )

    assert [work.is_tied for work in works] == [is_tied] * 3


def test_a_settling_job_may_take_as_long_as_a_verification() -> None:
    """What has to be read to its end takes as long as the run was allowed to."""
    parties = replace(PARTIES, policy=policy(timeout_seconds=7200))

    assert settle_work(by_policy(), parties, image=IMAGE).request.timeout_seconds == 7200


def test_placement_is_not_part_of_the_question() -> None:
    """Where a pod runs does not change what it is asked, so that the answer's digest does not depend on it."""
    request = backup_work(backup(job=NODE), PARTIES, image=IMAGE).request

    assert request.database is not None
    assert request.storage is not None
    assert (request.database.job, request.storage.job) == (None, None)


@pytest.mark.parametrize("with_policy", [True, False], ids=["with-policy", "without-policy"])
def test_the_pods_templates_come_in_their_order(with_policy: bool) -> None:  # noqa: FBT001
    """Database, storage, policy, Backup: a later one wins."""
    own, ruled = JobTemplate(priority_class_name="own"), JobTemplate(priority_class_name="ruled")
    parties = replace(PARTIES, policy=policy(job=ruled) if with_policy else None)

    work = backup_work(backup(job=own), parties, image=IMAGE)

    assert work.templates == (NODE, None, ruled if with_policy else None, own)


def test_a_cron_jobs_work_names_no_backup() -> None:
    """Each run bears the name of its Job, and is the policy's."""
    ruled = policy(timeout_seconds=100)
    work = scheduled_work(ruled, replace(PARTIES, policy=ruled), image=IMAGE)
    request = work.request

    assert (request.verb, request.name, request.owner_uid) == (Verb.BACKUP, "", "uid-nightly")
    assert (request.timeout_seconds, work.waiting_seconds, work.backup_name) == (100, 3600, None)
    assert (work.owner_kind, work.owner_name) == (Kind.BACKUP_POLICY, "nightly")


@pytest.mark.parametrize("confirmed", [None, "abc123"], ids=["unconfirmed", "confirmed"])
def test_a_prune_carries_everything_that_retention_needs(confirmed: str | None) -> None:
    """Rules, time zone, a person's confirmation, and the pods whose objects are no leftovers."""
    annotations = {} if confirmed is None else {ANNOTATION_CONFIRM_PRUNE: confirmed}
    ruled = with_metadata(policy(retention=Retention(keep_last=3), time_zone="Asia/Tokyo"), annotations=annotations)
    request = prune_work(ruled, replace(PARTIES, policy=ruled), live_attempts=("pod-1",), image=IMAGE).request

    assert (request.verb, request.retention, request.time_zone) == (Verb.PRUNE, Retention(keep_last=3), "Asia/Tokyo")
    assert (request.confirm_prune, request.live_attempts, request.timeout_seconds) == (
        confirmed,
        ("pod-1",),
        PRUNE_SECONDS,
    )

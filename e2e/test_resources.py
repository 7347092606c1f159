"""The resources as the real API server knows them: what it accepts, what it refuses, and in which words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.meta import Kind
from dbcustody.api.policy import BackupPolicySpec
from dbcustody.codec import decode, encode
from dbcustody.naming import GROUP
from scene.restore_specimen import BAD_RESTORES, GOOD_RESTORES, RESTORE_CHANGES
from scene.specimen import (
    ALONE,
    APPROVAL,
    BACKUP,
    DATABASE,
    KEYRING,
    LEAST,
    MIGRATION,
    POLICY,
    RESTORE,
    S3,
    STORAGE,
    Showcase,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ground.kubernetes import Cluster

    Json = Any

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("api")]
IN_IMAGE = {
    "image": {"reference": f"registry.example/shop@sha256:{64 * '0'}", "path": "/app/migrations"},
    "format": "Prisma",
}
EVERY_KIND = pytest.mark.parametrize("kind", Kind, ids=str)


@pytest.fixture(scope="module")
def showcase(cluster: Cluster) -> Iterator[Showcase]:
    """Yield a namespace of its own; no operator has anything to do there for what is only tried out."""
    cluster.kubectl("create", "namespace", "resources")
    yield Showcase(cluster, "resources")
    cluster.kubectl("delete", "namespace", "resources", "--wait=false")


GOOD_CASES = [
    pytest.param(Kind.DATABASE, {**DATABASE, "custodyId": "shop.eu_1"}, id="custody id"),
    pytest.param(Kind.DATABASE, {"connection": {"secretRef": {"name": "a.b"}, "keyMap": {"url": "x"}}}, id="key map"),
    pytest.param(Kind.BACKUP_STORAGE, {"s3": S3, "acknowledgeUnencrypted": True}, id="unencrypted, and said so"),
    pytest.param(
        Kind.BACKUP_STORAGE, {"volume": {"claimName": "v", "path": "a/b..c"}, "encryption": KEYRING}, id="volume"
    ),
    pytest.param(
        Kind.BACKUP_STORAGE,
        {"s3": {**S3, "endpoint": "http://[fd00::1]:9000/"}, "encryption": KEYRING},
        id="endpoint by address",
    ),
    *(
        pytest.param(Kind.BACKUP_POLICY, {**POLICY, "schedule": schedule}, id=schedule)
        for schedule in ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
    ),
    *(
        pytest.param(Kind.BACKUP_POLICY, {**POLICY, "schedule": schedule}, id=schedule)
        for schedule in ("*/15 8-18 * * MON-FRI", "0  2  1,15  JAN  *", " 0 2 * * 7 ")
    ),
    pytest.param(Kind.BACKUP_POLICY, {**POLICY, "compression": {"algorithm": "None"}}, id="no compression"),
    pytest.param(Kind.BACKUP_POLICY, {**POLICY, "timeZone": "America/Argentina/Buenos_Aires"}, id="long time zone"),
    pytest.param(Kind.BACKUP, {**BACKUP, "databaseRef": {"name": "shop"}}, id="policy and database"),
    pytest.param(Kind.BACKUP, {**ALONE, "compression": {"level": 19}, "tables": {"include": ["a.*"]}}, id="by itself"),
    pytest.param(Kind.BACKUP, {**BACKUP, "job": {"resources": {"limits": {"memory": "1Gi", "cpu": "0.5"}}}}, id="job"),
    *GOOD_RESTORES,
    pytest.param(Kind.DATABASE_MIGRATION, MIGRATION, id="migrations of a ConfigMap"),
    pytest.param(
        Kind.DATABASE_MIGRATION,
        {**MIGRATION, "source": {"inline": [{"name": "20260131_120000_a.sql", "sql": "select 1"}]}},
        id="migrations of its own",
    ),
    pytest.param(Kind.DATABASE_MIGRATION, {**MIGRATION, "source": IN_IMAGE}, id="migrations of an image"),
]


@pytest.mark.parametrize(("kind", "spec"), GOOD_CASES)
def test_good_resources_are_accepted(showcase: Showcase, kind: Kind, spec: Json) -> None:
    """What people may write is not refused."""
    assert showcase.try_out(kind, spec) == f"{kind.lower()}.{GROUP}/shop"


ONE_OF = "must have exactly one of `s3` and `volume`"
ENCRYPT = "must have either `encryption` or `acknowledgeUnencrypted: true`, and not both"
FIELDS = "must have 5 fields (minute, hour, day of month, month, day of week)"
BESIDE = "must not say beside `policyRef` what the policy says"
PARTIES = "must have `policyRef`, or `databaseRef` together with `storageRef`"
BAD_CASES = [
    pytest.param(
        Kind.DATABASE_MIGRATION,
        {**MIGRATION, "source": {}},
        "must have either `image`, or `inline` or `configMapRefs` or both of them",
        id="migrations from nowhere",
    ),
    pytest.param(
        Kind.DATABASE_MIGRATION,
        {**MIGRATION, "source": {**IN_IMAGE, "configMapRefs": [{"name": "more"}]}},
        "must have either `image`, or `inline` or `configMapRefs` or both of them",
        id="migrations from two kinds of places",
    ),
    pytest.param(
        Kind.DATABASE_MIGRATION,
        {**MIGRATION, "source": {"image": {"reference": "shop:1", "path": "app/migrations"}}},
        "spec.source.image.path",
        id="migrations below no root",
    ),
    pytest.param(
        Kind.DATABASE_MIGRATION,
        {**MIGRATION, "source": {"inline": [{"name": f"2026013{n}_120000_a.sql", "sql": "x" * 4100} for n in (0, 1)]}},
        "must have at most 8192 characters in all `inline` files together",
        id="migrations too long to stand in a resource",
    ),
    pytest.param(Kind.BACKUP_STORAGE, {**STORAGE, "volume": {"claimName": "v"}}, ONE_OF, id="both s3 and volume"),
    pytest.param(Kind.BACKUP_STORAGE, {"encryption": KEYRING}, ONE_OF, id="neither s3 nor volume"),
    pytest.param(Kind.BACKUP_STORAGE, {"s3": S3}, ENCRYPT, id="unencrypted without a word"),
    pytest.param(
        Kind.BACKUP_STORAGE, {**STORAGE, "acknowledgeUnencrypted": True}, ENCRYPT, id="encrypted and unencrypted"
    ),
    pytest.param(
        Kind.BACKUP_STORAGE,
        {**STORAGE, "s3": {**S3, "endpoint": "https://user:pw@host/bucket"}},
        "without bucket, path or credentials",
        id="endpoint with credentials",
    ),
    pytest.param(
        Kind.BACKUP_STORAGE,
        {"volume": {"claimName": "v", "path": "a/../../b"}, "encryption": KEYRING},
        "must stay inside the volume",
        id="path out of the volume",
    ),
    pytest.param(
        Kind.BACKUP_STORAGE,
        {**STORAGE, "encryption": {**KEYRING, "activeKeyId": "../k"}},
        "must consist of letters, digits, '.', '_' and '-'",
        id="key id with slash",
    ),
    pytest.param(
        Kind.BACKUP_STORAGE,
        {**STORAGE, "accessMode": "WriteOnly"},
        'supported values: "ReadWrite", "ReadOnly"',
        id="enum",
    ),
    pytest.param(
        Kind.BACKUP_POLICY,
        {**POLICY, "schedule": "0 0 2 * * *"},
        "not 6: there is no field for seconds",
        id="six fields",
    ),
    pytest.param(
        Kind.BACKUP_POLICY, {**POLICY, "schedule": "@every 6h"}, "'@every' counts from whenever", id="an interval"
    ),
    pytest.param(
        Kind.BACKUP_POLICY, {**POLICY, "schedule": "0 2 ? * MON"}, "must write '*' for any value", id="question mark"
    ),
    pytest.param(
        Kind.BACKUP_POLICY, {**POLICY, "schedule": "TZ=Asia/Tokyo 0 2 * * *"}, "put it into `timeZone`", id="TZ"
    ),
    pytest.param(
        Kind.BACKUP_POLICY, {**POLICY, "schedule": "CRON_TZ=UTC 0 2 * * *"}, "put it into `timeZone`", id="CRON_TZ"
    ),
    pytest.param(Kind.BACKUP_POLICY, {**POLICY, "schedule": "0 2 * *"}, FIELDS, id="four fields"),
    pytest.param(Kind.BACKUP_POLICY, {**POLICY, "schedule": "nightly"}, FIELDS, id="a word"),
    pytest.param(Kind.BACKUP_POLICY, {**POLICY, "schedule": ""}, "should be at least 1 chars long", id="no schedule"),
    pytest.param(
        Kind.BACKUP_POLICY, {**POLICY, "schedule": "@reboot"}, "must be one of '@hourly', '@daily'", id="unknown word"
    ),
    pytest.param(
        Kind.BACKUP_POLICY, {**POLICY, "timeZone": "Local"}, "must be a name of the IANA time zone", id="local time"
    ),
    pytest.param(
        Kind.BACKUP_POLICY,
        {**POLICY, "timeZone": "../etc/passwd"},
        "must be a name of the IANA time zone",
        id="path as zone",
    ),
    pytest.param(
        Kind.BACKUP_POLICY,
        {**POLICY, "retention": {"keepLast": 0}},
        "should be greater than or equal to 1",
        id="keeping nothing",
    ),
    pytest.param(
        Kind.BACKUP_POLICY,
        {**POLICY, "startingDeadlineSeconds": 59},
        "should be greater than or equal to 60",
        id="deadline below the controller's",
    ),
    pytest.param(
        Kind.BACKUP_POLICY,
        {**POLICY, "compression": {"algorithm": "Gzip", "level": 10}},
        "'Gzip' from 1 to 9",
        id="gzip level",
    ),
    pytest.param(
        Kind.BACKUP_POLICY,
        {**POLICY, "compression": {"algorithm": "Lz4", "level": 13}},
        "'Lz4' from 1 to 12",
        id="lz4 level",
    ),
    pytest.param(
        Kind.BACKUP_POLICY,
        {**POLICY, "compression": {"level": 23}},
        "should be less than or equal to 22",
        id="zstd level",
    ),
    pytest.param(
        Kind.BACKUP_POLICY,
        {**POLICY, "compression": {"algorithm": "None", "level": 5}},
        "must not have a `level` with algorithm 'None'",
        id="level of nothing",
    ),
    pytest.param(Kind.BACKUP_POLICY, {**POLICY, "retentoin": {}}, 'unknown field "spec.retentoin"', id="unknown field"),
    pytest.param(
        Kind.BACKUP_POLICY, {**POLICY, "method": "Physical"}, 'unknown field "spec.method"', id="field of later work"
    ),
    pytest.param(
        Kind.BACKUP_POLICY,
        {"storageRef": {"name": "main"}, "schedule": "@daily"},
        "spec.databaseRef: Required value",
        id="no database",
    ),
    pytest.param(
        Kind.BACKUP_POLICY,
        {**POLICY, "job": {"resources": {"requests": {"cpu": "a lot"}}}},
        "spec.job.resources.requests.cpu",
        id="no quantity",
    ),
    pytest.param(Kind.BACKUP, {}, PARTIES, id="neither policy nor database"),
    pytest.param(Kind.BACKUP, {"databaseRef": {"name": "shop"}}, PARTIES, id="database without storage"),
    pytest.param(Kind.BACKUP, {**BACKUP, "parallelism": 2}, BESIDE, id="options beside a policy"),
    pytest.param(Kind.BACKUP, {**BACKUP, "tables": {"include": ["a"]}}, BESIDE, id="tables beside a policy"),
    pytest.param(
        Kind.BACKUP,
        {**ALONE, "compression": {"algorithm": "Gzip", "level": 10}},
        "'Gzip' from 1 to 9",
        id="gzip by itself",
    ),
    pytest.param(
        Kind.BACKUP, {**BACKUP, "legalHold": {}}, "spec.legalHold.reason: Required value", id="hold without why"
    ),
    pytest.param(Kind.BACKUP, {**BACKUP, "origin": "Found"}, 'supported values: "Manual", "Scheduled"', id="origin"),
    pytest.param(
        Kind.DATABASE,
        {"connection": {**DATABASE["connection"], "keyMap": {"hostname": "h"}}},
        "must name only 'host', 'port', 'database'",
        id="key map of unknown things",
    ),
    pytest.param(
        Kind.DATABASE, {**DATABASE, "custodyId": "a/b"}, "must consist of lower-case letters, digits", id="custody id"
    ),
    pytest.param(Kind.DATABASE, {**DATABASE, "custodyId": "a..b"}, "and not contain '..'", id="custody id that climbs"),
    pytest.param(
        Kind.DATABASE,
        {
            "connection": {
                **DATABASE["connection"],
                "tls": {"mode": "Disable", "caSecretRef": {"name": "a", "key": "b"}},
            }
        },
        "must not name `caSecretRef` with mode 'Disable'",
        id="CA without TLS",
    ),
    pytest.param(
        Kind.APPROVAL,
        {**APPROVAL, "requestRef": {"kind": "Backup", "name": "monday"}},
        'supported values: "RestoreRequest"',
        id="approval of what asks nobody",
    ),
    pytest.param(
        Kind.DATABASE,
        {"connection": {**DATABASE["connection"], "password": "pw"}},
        'unknown field "spec.connection.password"',
        id="password in the spec",
    ),
    *BAD_RESTORES,
]


@pytest.mark.parametrize(("kind", "spec", "words"), BAD_CASES)
def test_bad_resources_are_refused_in_words_that_help(showcase: Showcase, kind: Kind, spec: Json, words: str) -> None:
    """The API server itself refuses, and says what is allowed; nothing reaches the operator."""
    answer = showcase.try_out(kind, spec)
    assert words in answer
    assert answer.startswith(("The ", "Error from server "))


def test_six_fields_are_told_once_and_why(showcase: Showcase) -> None:
    """People paste schedules of CloudNativePG: one complaint, naming the field too many."""
    answer = showcase.try_out(Kind.BACKUP_POLICY, {**POLICY, "schedule": "0 0 2 * * *"})
    assert answer.count("must ") == 1
    assert "ScheduledBackup" in answer


@EVERY_KIND
def test_names_that_are_too_long_are_refused(showcase: Showcase, kind: Kind) -> None:
    """One character too many is refused when the resource is created, not when its first child cannot be."""
    longest = 52 if kind is Kind.BACKUP_POLICY else 63
    assert f"{kind.lower()}.{GROUP}/" in showcase.try_out(kind, LEAST[kind], name="a" * longest)
    assert f"must have a metadata.name of at most {longest} characters" in showcase.try_out(
        kind, LEAST[kind], name="a" * (longest + 1)
    )


CHANGES = [
    pytest.param(Kind.DATABASE, {**DATABASE, "custodyId": "a"}, {"custodyId": "b"}, "spec.custodyId", id="custody id"),
    pytest.param(Kind.DATABASE, {**DATABASE, "custodyId": "a"}, {"custodyId": None}, "spec.custodyId", id="taken away"),
    pytest.param(Kind.DATABASE, DATABASE, {"custodyId": "b"}, "spec.custodyId", id="custody id added"),
    pytest.param(
        Kind.BACKUP_POLICY, POLICY, {"databaseRef": {"name": "b"}}, "spec.databaseRef", id="policy's database"
    ),
    pytest.param(Kind.BACKUP, BACKUP, {"policyRef": {"name": "b"}}, "spec.policyRef", id="backup's policy"),
    pytest.param(Kind.BACKUP, BACKUP, {"databaseRef": {"name": "b"}}, "spec.databaseRef", id="database added"),
    pytest.param(Kind.BACKUP, ALONE, {"storageRef": {"name": "b"}}, "spec.storageRef", id="backup's storage"),
    pytest.param(Kind.BACKUP, ALONE, {"tables": {"exclude": ["a"]}}, "spec.tables", id="tables"),
    pytest.param(Kind.BACKUP, ALONE, {"rowCounts": "None"}, "spec.rowCounts", id="row counts"),
    pytest.param(Kind.BACKUP, BACKUP, {"origin": "Scheduled"}, "spec.origin", id="origin"),
    pytest.param(Kind.BACKUP, BACKUP, {"job": {"priorityClassName": "b"}}, "spec.job", id="job"),
    pytest.param(Kind.APPROVAL, APPROVAL, {"decision": "Deny"}, "spec", id="decision"),
    pytest.param(Kind.APPROVAL, APPROVAL, {"approver": "jane"}, "spec", id="approver added"),
    *RESTORE_CHANGES,
]


@pytest.mark.parametrize(("kind", "spec", "change", "path"), CHANGES)
def test_what_must_stay_stays(showcase: Showcase, kind: Kind, *, spec: Json, change: Json, path: str) -> None:
    """Changing, adding and taking away are refused alike, with the field's path."""
    answer = showcase.patch(showcase.create(kind, spec), {"spec": change})
    assert path in answer
    assert "must stay as it was when the" in answer


def test_a_backup_can_be_held_released_and_given_away(showcase: Showcase) -> None:
    """What may change on a Backup can be changed, back and forth."""
    backup = showcase.create(Kind.BACKUP, BACKUP)
    for change in (
        {"legalHold": {"reason": "audit"}},
        {"legalHold": None},
        {"deletionPolicy": "Delete", "ttlSecondsAfterFinished": 60},
        {"deletionPolicy": "Retain", "ttlSecondsAfterFinished": None},
    ):
        assert "patched" in showcase.patch(backup, {"spec": change})


def test_a_restore_can_be_cancelled_and_not_taken_up_again(showcase: Showcase) -> None:
    """What was ended is over; another request begins anew."""
    request = showcase.create(Kind.RESTORE_REQUEST, RESTORE)
    assert "patched" in showcase.patch(request, {"spec": {"cancel": True}})
    assert "must not be taken back" in showcase.patch(request, {"spec": {"cancel": False}})


@EVERY_KIND
def test_a_fresh_resource_says_that_nobody_looked_yet(showcase: Showcase, kind: Kind) -> None:
    """The answer to the creation already has the status that waiting tools need."""
    stored = showcase.create(kind, LEAST[kind])
    assert stored["status"] == {"observedGeneration": -1}


def test_defaults_are_visible_where_they_hold(showcase: Showcase) -> None:
    """A policy shows what is assumed; a Backup with a policy has no options of its own, not even assumed ones."""
    policy = showcase.create(Kind.BACKUP_POLICY, POLICY)["spec"]
    assert policy == encode(decode(BackupPolicySpec, POLICY))
    backup = showcase.create(Kind.BACKUP, BACKUP)["spec"]
    assert backup == {**BACKUP, "origin": "Manual", "deletionPolicy": "Retain"}

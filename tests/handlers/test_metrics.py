"""The metrics: names that alerts are written against, no text of anybody in a label, and nothing of what is gone."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.adapters.kube import Exchange, ours
from dbcustody.adapters.lease import Lease
from dbcustody.api.condition import ConditionStatus, ConditionType
from dbcustody.api.meta import Kind
from dbcustody.api.policy import Level
from dbcustody.contract import Verb
from dbcustody.facts import RestoreTestFacts
from dbcustody.handlers.health import Health
from dbcustody.handlers.queue import Queue
from dbcustody.handlers.sampler import process_metrics, sample
from dbcustody.handlers.startup import _counting
from dbcustody.handlers.world import World
from dbcustody.reason import Reason
from tests.fakes.seen import NOW, facts, result
from tests.handlers.scene import SPECS, TEAM, Scene

if TYPE_CHECKING:
    from dbcustody.metrics import Metrics

CANARY = "canary-secret-5432"
OPERATOR = {
    "dbcustody_build_info",
    "dbcustody_reconcile_total",
    "dbcustody_reconcile_errors_total",
    "dbcustody_reconcile_duration_seconds_bucket",
    "dbcustody_reconcile_in_progress",
    "workqueue_depth",
    "dbcustody_heartbeat_timestamp_seconds",
    "dbcustody_resources",
    "dbcustody_resource_ready",
    "dbcustody_resource_condition",
    "dbcustody_kubernetes_requests_total",
    "dbcustody_kubernetes_requests_errors_total",
    "dbcustody_kubernetes_requests_duration_seconds_bucket",
    "dbcustody_leader",
    "dbcustody_lease_age_seconds",
    "dbcustody_lease_transitions",
    "dbcustody_loop_lag_seconds",
    "process_resident_memory_bytes",
    "python_info",
}
BACKUP = {
    f"dbcustody_backup_{name}"
    for name in (
        "last_success_timestamp_seconds",
        "last_attempt_timestamp_seconds",
        "created_timestamp_seconds",
        "expected_interval_seconds",
        "next_run_timestamp_seconds",
        "last_duration_seconds",
        "last_size_bytes",
        "retained_count",
        "retained_bytes",
        "in_progress",
        "runs_total",
        "failures_total",
        "failed_runs_total",
        "last_verified_timestamp_seconds",
        "verification_level",
        "recovery_point_current",
        "missed",
    )
}
RESTORES = [f"dbcustody_backup_{name}" for name in ("restore_test_seconds", "restore_verified")]
"""Of policies that ask for restore tests."""
STORAGE = {"dbcustody_storage_last_backup_repeated_requests"}
CLOSED: dict[str, set[str]] = {
    "kind": set(Kind),
    "condition": set(ConditionType),
    "status": set(ConditionStatus),
    "phase": {"Ready", "Stalled", "Reconciling", "Unknown"},
    "reason": set(Reason),
    "verb": {*Verb, "get", "list", "create", "patch", "apply", "delete", "log", "update"},
    "error": {"conflict", "unexpected", "UnavailableError", "RefusedError", "InvalidSpecError"},
    "level": {level.lower() for level in Level},
    "code_class": {"2xx", "4xx", "5xx", "none"},
    "loop": {"reconcile", "sweep"},
    "name": {"reconcile"},
}
LINE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$")


async def busy() -> Scene:
    """Return a scene with a policy, a good backup and one that failed with a text that must not get out."""
    stage = Scene()
    stage.make(Kind.DATABASE, "shop")
    stage.make(Kind.BACKUP_STORAGE, "main")
    stage.make(Kind.BACKUP_POLICY, "nightly", immediate=True)
    await stage.turns(8)
    stage.answers[Verb.BACKUP] = result(Verb.BACKUP, Reason.DUMP_FAILED, CANARY, repeated_requests=204)
    stage.make(Kind.BACKUP, "tuesday", policyRef={"name": "nightly"})
    await stage.turns(4)
    metrics, operator = stage.operator.metrics, stage.operator
    operator.metrics.add_sampler(
        lambda: (
            *sample(operator.hands.world, operator.hands.queue),
            *operator.books.sample(),
            *process_metrics(_lease(), Health()),
        )
    )
    metrics.heartbeat.labels("sweep").set_to_current_time()
    for key, error in operator.told:
        operator.books.count_reconcile(key, 0.1, error)
    operator.books.count_reconcile(operator.told[0][0], 0.1, "conflict")
    for status in (200, 403, 404, 503, 0):
        _counting(Health(), metrics)(Exchange("get", status, 0.1))
    return stage


def _lease() -> Lease:
    lease: Any = Lease(None, name="l", namespace="n", identity="i")  # type: ignore[arg-type]  # nothing is asked of it
    lease.renewed_at = 0.0
    found: Lease = lease
    return found


def series(metrics: Metrics) -> list[tuple[str, dict[str, str], float]]:
    """Return every series that is rendered."""
    lines = [line for line in metrics.render().decode().splitlines() if not line.startswith("#")]
    found = []
    for line in lines:
        match = LINE.match(line)
        assert match is not None, line
        labels = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
        found.append((match[1], labels, float(match[3])))
    return found


def value(stage: Scene, name: str, **labels: str) -> float | None:
    """Return one series."""
    return stage.operator.metrics.registry.get_sample_value(name, labels)


async def test_all_names_are_there() -> None:
    """What alerts and dashboards are written against is exported under these names."""
    stage = await busy()
    names = {name for name, _, _ in series(stage.operator.metrics)}

    assert names >= OPERATOR | BACKUP | STORAGE
    assert {name.replace("_backup_", "_database_backup_") for name in BACKUP if name.endswith("_total")} <= names


async def test_labels_are_closed_lists_and_names_of_resources() -> None:
    """No label grows with time or says what a person or a server wrote; `namespace` is Prometheus' own and never ours."""
    stage = await busy()
    for name, labels, _ in series(stage.operator.metrics):
        assert "namespace" not in labels
        for label, text in labels.items():
            if name.startswith(("python_", "process_", "dbcustody_build")) or label in {
                "cr_namespace",
                "cr_name",
                "le",
            }:
                continue
            assert text in CLOSED[label], (name, label, text)
    assert CANARY not in stage.operator.metrics.render().decode()
    assert {labels["cr_name"] for _, labels, _ in series(stage.operator.metrics) if "cr_name" in labels} == {
        "shop",
        "main",
        "nightly",
    }


async def test_what_a_policy_s_series_say() -> None:
    """Good and bad runs, times, sizes, what is kept, and how far it is proven."""
    stage = await busy()
    at = {"cr_namespace": TEAM, "cr_name": "nightly"}

    assert value(stage, "dbcustody_backup_runs_total", **at) == 2
    assert value(stage, "dbcustody_backup_failed_runs_total", **at) == 1
    assert value(stage, "dbcustody_backup_failures_total", **at, reason="DumpFailed") == 1
    assert (
        value(stage, "dbcustody_backup_last_success_timestamp_seconds", **at)
        == (NOW - timedelta(seconds=100)).timestamp()
    )
    assert value(stage, "dbcustody_backup_last_size_bytes", **at) == 1000
    assert value(stage, "dbcustody_backup_last_duration_seconds", **at) == 100
    assert value(stage, "dbcustody_backup_expected_interval_seconds", **at) == 86_400
    assert value(stage, "dbcustody_backup_next_run_timestamp_seconds", **at) == (NOW + timedelta(hours=14)).timestamp()
    assert value(stage, "dbcustody_backup_retained_count", **at) == 1
    assert value(stage, "dbcustody_backup_verification_level", **at, level="read") == 1
    verified = value(stage, "dbcustody_backup_last_verified_timestamp_seconds", **at, level="read")
    assert verified == (NOW - timedelta(seconds=10)).timestamp()
    assert value(stage, "dbcustody_backup_last_verified_timestamp_seconds", **at, level="checksum") == verified


async def test_what_a_policy_tells_of_its_restore_tests() -> None:
    """How long the newest took, when it was, and whether it stands: also when the backup's resource is gone."""
    stage = Scene()
    stage.make(Kind.DATABASE, "shop")
    stage.make(Kind.BACKUP_STORAGE, "main")
    passed = RestoreTestFacts(reason=Reason.RESTORE_TESTED, message="all of it", seconds=74)
    stage.answers[Verb.BACKUP] = result(Verb.BACKUP, Reason.SUCCEEDED, backup=facts(restore_test=passed))
    stage.make(Kind.BACKUP_POLICY, "nightly", immediate=True, verification={"level": "Restore"})
    operator, at = stage.operator, {"cr_namespace": TEAM, "cr_name": "nightly"}
    operator.metrics.add_sampler(lambda: sample(operator.hands.world, operator.hands.queue))
    before = [value(stage, name, **at) for name in RESTORES]
    await stage.turns(10)

    assert before == [None, 0]
    assert [value(stage, name, **at) for name in RESTORES] == [74, 1]
    at_level = {**at, "level": "restore"}
    assert value(stage, "dbcustody_backup_verification_level", **at_level) == 1
    tested = value(stage, "dbcustody_backup_last_verified_timestamp_seconds", **at_level)
    assert tested == (NOW - timedelta(seconds=10)).timestamp()


async def test_sick_storage_is_seen_also_by_a_run_that_failed() -> None:
    """What a Job counted goes through the Backup's status into the series of its storage, and leaves with the storage."""
    stage = await busy()
    at = {"cr_namespace": TEAM, "cr_name": "main"}
    before = value(stage, *STORAGE, **at)
    stage.kube.remove(ours("backupstorages"), TEAM, "main")
    stage.kube.finish_deletions()

    assert (before, value(stage, *STORAGE, **at)) == (204, None)


@pytest.mark.parametrize(
    ("backups", "shown"),
    [
        pytest.param([], None, id="no-backup"),
        pytest.param([("main", 1, None)], None, id="nobody-told"),
        pytest.param([("main", 1, 0)], 0, id="none-is-a-number"),
        pytest.param([("main", 1, 7), ("main", 3, 2), ("main", 2, 9)], 2, id="the-newest"),
        pytest.param([("main", 1, 7), ("main", 2, None)], 7, id="one-that-does-not-tell-hides-nothing"),
        pytest.param([("main", 1, 7), ("main", None, 204)], 204, id="lost-and-the-storage-is-being-asked"),
        pytest.param([("main", 1, 7), ("other", 2, 300)], 7, id="another-storage"),
    ],
)
def test_what_a_storage_s_series_says(backups: list[tuple[str, int | None, int | None]], shown: int | None) -> None:
    """The newest backup that told counts; one is (storage, minute in which it ended, or None while it is not over, repeats)."""
    world = World()
    bodies = [(Kind.BACKUP_STORAGE, "main", {})]
    for number, (storage, minute, repeats) in enumerate(backups):
        finish = None if minute is None else (NOW + timedelta(minutes=minute)).isoformat()
        bodies.append(
            (Kind.BACKUP, f"b{number}", {"storage": storage, "finishTime": finish, "repeatedRequests": repeats})
        )
    for kind, name, status in bodies:
        metadata = {"name": name, "namespace": TEAM, "uid": name, "resourceVersion": "1"}
        world.put(kind, {"metadata": metadata, "spec": SPECS[kind], "status": status})
    (found,) = [metric for metric in sample(world, Queue()) if metric.name in STORAGE]

    assert [one.value for one in found.samples] == ([] if shown is None else [shown])
    assert [one.labels for one in found.samples] == [{"cr_namespace": TEAM, "cr_name": "main"}][: len(found.samples)]


async def test_what_is_gone_is_not_exported() -> None:
    """A deleted policy takes its series along, its counters too; the Database's stay."""
    stage = await busy()
    stage.kube.remove(ours("backuppolicies"), TEAM, "nightly")
    stage.kube.finish_deletions()

    assert value(stage, "dbcustody_backup_runs_total", cr_namespace=TEAM, cr_name="nightly") is None
    assert value(stage, "dbcustody_backup_created_timestamp_seconds", cr_namespace=TEAM, cr_name="nightly") is None
    assert value(stage, "dbcustody_database_backup_runs_total", cr_namespace=TEAM, cr_name="shop") == 2


async def test_retention_does_not_make_a_policy_look_as_if_it_never_succeeded() -> None:
    """The object of the newest good Backup is gone; the status remembers, and so does the metric."""
    stage = await busy()
    for body in stage.kube.all(ours("backups")):
        stage.kube.remove(ours("backups"), TEAM, body["metadata"]["name"])
    at = {"cr_namespace": TEAM, "cr_name": "nightly"}

    assert (
        value(stage, "dbcustody_backup_last_success_timestamp_seconds", **at)
        == (NOW - timedelta(seconds=100)).timestamp()
    )
    assert value(stage, "dbcustody_backup_last_attempt_timestamp_seconds", **at)
    assert value(stage, "dbcustody_backup_last_size_bytes", **at) is None


@pytest.mark.parametrize(
    ("spec", "interval", "levels"),
    [
        pytest.param({"suspend": True}, None, {"checksum", "read"}, id="suspended-promises-nothing"),
        pytest.param({"schedule": "0 0 2 * * *"}, None, {"checksum", "read"}, id="no-schedule"),
        pytest.param({"schedule": "0 0 30 2 *"}, None, {"checksum", "read"}, id="never-fires"),
        pytest.param({"schedule": "0 2 * * 1-5"}, 3 * 86_400, {"checksum", "read"}, id="the-weekend-counts"),
        pytest.param(
            {"verification": {"level": "Restore"}}, 86_400, {"checksum", "read", "restore"}, id="restore-is-all-of-them"
        ),
        pytest.param(
            {"verification": {"level": "Checksum"}}, 86_400, {"checksum"}, id="no-alert-on-a-level-nobody-wants"
        ),
    ],
)
async def test_before_the_first_backup(spec: dict[str, Any], interval: float | None, levels: set[str]) -> None:
    """Every series that an alert needs is there from the beginning, at 0 and not absent."""
    stage = Scene()
    stage.make(Kind.BACKUP_POLICY, "nightly", **spec)
    operator = stage.operator
    operator.metrics.add_sampler(
        lambda: (*sample(operator.hands.world, operator.hands.queue), *operator.books.sample())
    )
    at = {"cr_namespace": TEAM, "cr_name": "nightly"}

    for name in ("last_success_timestamp_seconds", "last_attempt_timestamp_seconds", "runs_total", "failed_runs_total"):
        assert value(stage, f"dbcustody_backup_{name}", **at) == 0
    assert value(stage, "dbcustody_backup_expected_interval_seconds", **at) == interval
    found = {
        one["level"] for name, one, _ in series(operator.metrics) if name.endswith("last_verified_timestamp_seconds")
    }
    assert found == levels


async def test_requests_are_errors_only_when_nobody_expects_the_answer() -> None:
    """404 and 409 are answers like others; silence and refusals are not."""
    stage = await busy()

    assert value(stage, "dbcustody_kubernetes_requests_total", verb="get", code_class="4xx") == 2
    assert value(stage, "dbcustody_kubernetes_requests_errors_total", verb="get", code_class="4xx") == 1
    assert value(stage, "dbcustody_kubernetes_requests_errors_total", verb="get", code_class="none") == 1


async def test_a_replica_that_waits_has_no_age_of_its_leadership() -> None:
    """Only who leads says since when."""
    waiting: Any = Lease(None, name="l", namespace="n", identity="i")  # type: ignore[arg-type]  # nothing is asked of it
    names = [metric.name for metric in process_metrics(waiting, Health()) if metric.samples]

    assert names == ["dbcustody_lease_transitions", "dbcustody_loop_lag_seconds"]

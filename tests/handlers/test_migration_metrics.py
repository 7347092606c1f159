"""The metrics of migrations: what is pending, what failed, since when something runs or waits, under the names of the alerts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.meta import Kind
from dbcustody.api.migration import LikenessClass, MigrationApproval, StatedAttempt, StatedDrift
from dbcustody.handlers.counting import Bookkeeper
from dbcustody.handlers.migration_metrics import migration_metrics
from dbcustody.handlers.world import Key, World
from dbcustody.metrics import Metrics
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.migration_plane import (
    ALL_IN,
    FILE,
    PENDING,
    TO_DO,
    MigrationPlane,
    blocked,
    looked,
    migration,
    refusal,
    told,
)

if TYPE_CHECKING:
    from dbcustody.api.migration import DatabaseMigration

MIGRATION = {
    f"dbcustody_migration_{name}"
    for name in (
        "applied",
        "pending",
        "failed",
        "drift_detected",
        "refused_findings",
        "running_since_timestamp_seconds",
        "last_success_timestamp_seconds",
        "last_duration_seconds",
        "approval_wait_since_timestamp_seconds",
        "info",
    )
}
NOW = seen.NOW.timestamp()


def values(one: DatabaseMigration) -> dict[str, float]:
    """Return what is told of *one*, by the name of the metric."""
    world = World()
    world.migrations.put(one)
    found: dict[str, float] = {}
    for metric in migration_metrics(world):
        for sample in metric.samples:
            assert (sample.labels["cr_namespace"], sample.labels["cr_name"]) == ("team", "shop")
            found[sample.name.removeprefix("dbcustody_migration_")] = sample.value
    return found


def test_all_names_are_there_even_before_there_is_anything() -> None:
    """Alerts and dashboards are written against them."""
    assert {metric.name for metric in migration_metrics(World())} == MIGRATION


def test_what_is_in_and_what_is_not() -> None:
    """By the ledger, with the newest that came in."""
    history = (
        StatedAttempt(name="a", state="Applied", finish_time=seen.ago(500)),
        StatedAttempt(name="b", state="Applied", finish_time=seen.ago(60)),
        StatedAttempt(name="c", state="Failed", finish_time=seen.ago(30)),
        StatedAttempt(name="d", state="Applied"),
    )
    plane = looked(replace(ALL_IN, history=history))
    found = values(plane.migration)
    assert (found["applied"], found["pending"], found["failed"]) == (1, 0, 0)
    assert found["last_success_timestamp_seconds"] == NOW - 60
    assert found["info"] == 1
    assert plane.migration.status.current_revision == FILE


def test_one_that_was_never_looked_at_has_no_numbers() -> None:
    """None is not zero."""
    found = values(migration())
    assert "pending" not in found
    assert "info" not in found
    assert (found["failed"], found["running_since_timestamp_seconds"], found["last_success_timestamp_seconds"]) == (
        0,
        0,
        0,
    )


def test_a_run_counts_from_its_decision_to_its_end() -> None:
    """Afterwards it runs no more."""
    plane = looked()
    assert values(plane.migration)["running_since_timestamp_seconds"] == NOW
    assert "last_duration_seconds" not in values(plane.migration)
    plane.passes(90)
    plane.ends(told(ALL_IN, Reason.APPLIED))
    plane.step()
    found = values(plane.migration)
    assert (found["running_since_timestamp_seconds"], found["last_duration_seconds"]) == (0, 90)


@pytest.mark.parametrize(
    ("plane", "failed"),
    [
        (looked(blocked()), 1),
        (looked(blocked(reason=Reason.NEEDS_RESOLUTION)), 1),
        (MigrationPlane(migration=migration(suspend=True)), 0),
        (looked(), 0),
    ],
)
def test_what_only_a_person_can_cure_has_failed(plane: MigrationPlane, failed: int) -> None:
    """What somebody told to rest has not."""
    plane.step()
    assert values(plane.migration)["failed"] == failed


def test_what_is_too_risky_is_counted() -> None:
    """How many findings stop it."""
    plane = looked(replace(TO_DO, plan=replace(PENDING, refused=3)))
    assert values(plane.migration)["refused_findings"] == 3


def test_how_long_a_second_person_is_waited_for() -> None:
    """From when the plan was told; 0 where nobody is asked."""
    plane = looked(of=migration(approval=MigrationApproval(required=True)))
    plane.passes(600)
    plane.step()
    assert values(plane.migration)["approval_wait_since_timestamp_seconds"] == NOW
    assert values(looked().migration)["approval_wait_since_timestamp_seconds"] == 0


def test_runs_are_counted_and_failures_by_their_reason() -> None:
    """Looks are not runs."""
    books, plane = Bookkeeper(Metrics()), looked()
    books.world.migrations.put(plane.migration)
    key = Key(Kind.DATABASE_MIGRATION, "team", "shop")
    for result in (told(TO_DO), refusal(), told(ALL_IN, Reason.APPLIED)):
        books.count_result(
            key, replace(result, verb=plane.asked().verb) if result.reason is not Reason.PLANNED else result
        )
    samples = {
        (sample.name, sample.labels.get("reason", "")): sample.value
        for metric in books.sample()
        for sample in metric.samples
        if sample.name.startswith("dbcustody_migration_")
    }
    assert samples == {
        ("dbcustody_migration_runs_total", ""): 2,
        ("dbcustody_migration_failed_runs_total", ""): 1,
        ("dbcustody_migration_failures_total", "MigrationFailed"): 1,
    }


@pytest.mark.parametrize(
    ("likeness", "told"),
    [(LikenessClass.DRIFTED, 1.0), (LikenessClass.SAME, 0.0), (LikenessClass.UNKNOWN, None)],
)
def test_what_is_not_known_of_drift_has_no_number(likeness: LikenessClass, told: float | None) -> None:
    """It is neither changed nor as it was."""
    drift = StatedDrift(likeness=likeness, fingerprint="0" * 32)
    assert values(looked(replace(ALL_IN, drift=drift)).migration).get("drift_detected") == told

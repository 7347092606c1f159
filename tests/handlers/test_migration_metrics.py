"""The metrics of migrations: what is pending, what failed, since when something runs or waits, under the names of the alerts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from dbcustody.api.meta import Kind
from dbcustody.api.migration import LikenessClass, MigrationApproval, StatedAttempt, StatedDrift
from dbcustody.codec import decode
from dbcustody.facts import MigrationFacts
from dbcustody.handlers.counting import Bookkeeper
from dbcustody.handlers.lock_waits import BUCKETS
from dbcustody.handlers.migration_metrics import migration_metrics
from dbcustody.handlers.world import Key, Place, World
from dbcustody.metrics import Metrics
from dbcustody.plan.actions import Count
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
        if sample.name.startswith("dbcustody_migration_") and "_lock_" not in sample.name
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


def locks_of(books: Bookkeeper) -> dict[tuple[str, str], float]:
    """Return what is told of locks, by name and bucket."""
    return {
        (sample.name.removeprefix("dbcustody_migration_lock_"), sample.labels.get("le", "")): sample.value
        for metric in books.sample()
        for sample in metric.samples
        if sample.name.startswith("dbcustody_migration_lock_")
    }


def books_of(plane: MigrationPlane) -> Bookkeeper:
    """Return the books of an operator that did everything which was to be done for the resource of *plane*."""
    books = Bookkeeper(Metrics())
    books.world.migrations.put(plane.migration)
    for action in plane.actions:
        if isinstance(action, Count):
            books.count_result(Key(Kind.DATABASE_MIGRATION, "team", "shop"), action.result)
    return books


def test_a_run_that_waited_is_counted_once_however_often_it_is_looked_at() -> None:
    """In the bucket of its wait and all above it; looks, which carry nothing out, are in none."""
    plane = looked()
    facts = replace(ALL_IN, lock_wait_seconds=2.5, lock_aborts=3)
    plane.ends(told(facts, Reason.APPLIED))
    plane.steps(5)
    plane.passes(4000)
    plane.step()
    plane.ends(told(ALL_IN))
    plane.steps(3)
    found = locks_of(books_of(plane))
    assert (found["wait_seconds_count", ""], found["wait_seconds_sum", ""], found["aborts_total", ""]) == (1, 2.5, 3)
    inside = {le: value for (name, le), value in found.items() if name == "wait_seconds_bucket"}
    assert [float(le) for le, value in inside.items() if value] == [2.5, 5, 10, 30, 60, 120, 300, 600, float("inf")]
    assert sorted(map(float, inside)) == [*BUCKETS, float("inf")]


def test_a_run_that_failed_has_waited_too() -> None:
    """One that waited longer than the longest bucket is above all of them."""
    plane = looked()
    plane.ends(told(replace(TO_DO, lock_wait_seconds=900.25, lock_aborts=30), Reason.LOCK_NOT_OBTAINED))
    plane.step()
    found = locks_of(books_of(plane))
    assert (found["wait_seconds_bucket", "600.0"], found["wait_seconds_bucket", "+Inf"]) == (0, 1)
    assert (found["wait_seconds_sum", ""], found["aborts_total", ""]) == (900.25, 30)


def test_before_a_run_nobody_has_waited() -> None:
    """It stands at 0, so that the first one is seen; what is gone is not told any more."""
    books = books_of(looked())
    assert set(locks_of(books).values()) == {0}
    books.world.migrations.drop(Place("team", "shop"))
    assert locks_of(books) == {}


@pytest.mark.parametrize("said", [{}, {"lockWaitSeconds": None}])
def test_an_older_job_does_not_tell_and_has_not_waited_for_nothing(said: dict[str, None]) -> None:
    """Its result is understood; so is what a newer one tells besides, and no number of a Job lets a counter go down."""
    plain = {"sourceDigest": "d", "applied": 1, "pending": 0, "plan": {"hash": "a"}, "lockDreams": [1]}
    older = decode(MigrationFacts, plain | said)
    assert (older.lock_wait_seconds, older.lock_aborts, older.last_error) == (None, None, None)
    strange = replace(older, lock_wait_seconds=-5.0, lock_aborts=-1)
    counts = []
    for facts in (older, strange):
        plane = looked()
        plane.ends(told(facts, Reason.APPLIED))
        plane.step()
        found = locks_of(books_of(plane))
        counts.append((found["wait_seconds_count", ""], found["wait_seconds_sum", ""], found["aborts_total", ""]))
    assert counts == [(0, 0, 0), (1, 0, 0)]

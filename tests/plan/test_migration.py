"""A DatabaseMigration from the first look to the last word, whatever happens to its Jobs, its operator and its source."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbcustody.api.condition import ConditionType
from dbcustody.api.migration import MigrationPolicy, OutOfOrder
from dbcustody.contract import Verb
from dbcustody.plan.actions import Count
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.migration_plane import (
    ALL_IN,
    FILE,
    LEFT,
    PENDING,
    TO_DO,
    MigrationPlane,
    blocked,
    config_map,
    looked,
    refusal,
    told,
)

READY, STALLED, RECONCILING = ConditionType.READY, ConditionType.STALLED, ConditionType.RECONCILING
PLANNED, APPLIED, SOURCE = ConditionType.PLANNED, ConditionType.APPLIED, ConditionType.SOURCE_RESOLVED


def test_it_is_looked_at_and_carried_out_and_stays_so() -> None:
    """A look, a run of that very plan and source, and then nothing more, however often the operator looks."""
    plane = looked()
    asked = plane.asked().migration
    assert asked is not None
    assert (asked.plan_hash, asked.source_digest) == (PENDING.hash, plane.migration.status.source_digest)
    assert (plane.word(READY), plane.word(APPLIED)) == (("Unknown", "Running"), ("False", "Running"))
    assert (plane.migration.status.pending, plane.migration.status.plan) == (1, PENDING)
    plane.runs()
    plane.step()
    plane.ends(told(ALL_IN, Reason.APPLIED))
    plane.steps(4)

    assert plane.verbs == ["plan-migration", "migrate"]
    assert (plane.word(READY), plane.word(APPLIED)) == (("True", "Applied"), ("True", "Applied"))
    assert (plane.word(PLANNED), plane.word(SOURCE)) == (("True", "Planned"), ("True", "SourceResolved"))
    assert plane.word(RECONCILING) is plane.word(STALLED) is None
    status = plane.migration.status
    assert (status.current_revision, status.applied, status.pending) == (FILE, 1, 0)
    assert plane.message(READY) == f"migrations in: 1; the last is {FILE}"
    assert sum(isinstance(one, Count) for one in plane.actions) == 2
    assert all(job.has_ttl for job in plane.jobs.values())


def test_applied_again_it_does_nothing() -> None:
    """The ledger says what is in: a resource that was deleted and applied anew looks, and is content."""
    plane = looked(ALL_IN)
    plane.steps()
    assert (plane.verbs, plane.word(READY)) == (["plan-migration"], ("True", "Applied"))
    assert plane.message(READY).endswith(FILE)


def test_an_empty_source_and_an_empty_database_are_content() -> None:
    """Nothing is in and nothing is to come."""
    plane = looked(replace(ALL_IN, current=None, applied=0))
    assert (plane.word(READY), plane.message(READY)) == (("True", "Applied"), "migrations in: 0")


def test_a_database_that_is_ahead_is_ready() -> None:
    """An older source came back: nothing is undone, and it is told."""
    plane = looked(replace(ALL_IN, plan=replace(ALL_IN.plan, ahead=True)))
    assert plane.word(READY) == plane.word(APPLIED) == ("True", "DatabaseAhead")


@pytest.mark.parametrize("died", [1, 2])
def test_an_operator_that_dies_starts_no_second_run(died: int) -> None:
    """What is to be begun is written down first; the next operator creates that very Job."""
    plane = MigrationPlane()
    plane.step()
    plane.ends(told(TO_DO))
    plane.step(dies_after=died)
    plane.steps()
    names = [one["metadata"]["name"] for one in plane.started]
    assert (plane.verbs, len(set(names))) == (["plan-migration", "migrate"], 2)


def test_a_run_that_was_not_begun_waits_for_its_database() -> None:
    """Written down, and the Database is gone before the Job is made."""
    plane = MigrationPlane()
    plane.step()
    plane.ends(told(TO_DO))
    plane.step(dies_after=1)
    database = plane.around.database
    plane.around = replace(plane.around, database=None)
    plane.step()
    assert plane.word(READY) == ("False", "DatabaseNotFound")
    plane.around = replace(plane.around, database=database)
    plane.step()
    assert plane.verbs == ["plan-migration", "migrate"]


def test_a_failure_that_a_person_has_to_cure_is_not_tried_again() -> None:
    """File and line are told; nothing runs before source, spec or the annotation is another."""
    plane = looked()
    plane.ends(refusal())
    plane.steps(3)
    plane.passes(4000)
    plane.steps(2)
    assert plane.word(READY) == plane.word(APPLIED) == ("False", "MigrationFailed")
    assert plane.word(STALLED) == ("True", "MigrationFailed")
    assert plane.message(READY) == f"{FILE}.sql: line 3: no"
    assert plane.verbs.count("migrate") == 1


@pytest.mark.parametrize("how", ["source", "spec", "annotation"])
def test_a_failure_is_left_behind_by_what_a_person_does(how: str) -> None:
    """Each of the three is a reason to look, and then to try again."""
    plane = looked()
    plane.ends(refusal())
    plane.steps(3)
    if how == "source":
        plane.edit(config=config_map("select 2"))
    elif how == "spec":
        plane.edit(policy=MigrationPolicy(out_of_order=OutOfOrder.ALLOW))
    else:
        plane.ask_again()
    plane.step()
    plane.ends(told(TO_DO))
    plane.steps(2)
    assert plane.verbs == ["plan-migration", "migrate", "plan-migration", "migrate"]
    run = plane.migration.status.run
    assert run is not None
    assert (run.ordinal, run.failures) == (2, 0)


def test_what_may_help_by_itself_is_tried_again_after_a_pause() -> None:
    """A lock that was not to be had: a new run, of the same plan, and the pauses grow."""
    plane = looked()
    plane.ends(refusal(Reason.LOCK_NOT_OBTAINED, "no lock"))
    plane.steps(2)
    assert (plane.word(READY), plane.word(RECONCILING)) == (
        ("False", "LockNotObtained"),
        ("True", "LockNotObtained"),
    )
    assert plane.look_again_seconds == 5
    plane.passes(5)
    plane.step()
    assert plane.verbs == ["plan-migration", "migrate", "migrate"]
    plane.ends(refusal(Reason.LOCK_NOT_OBTAINED, "no lock"))
    plane.steps(2)
    assert plane.look_again_seconds == 10


@pytest.mark.parametrize("result", [None, told(None, Reason.CONNECTION_LOST)], ids=["silent", "without facts"])
def test_a_run_that_left_nothing_is_settled_before_anything_else(result: object) -> None:
    """The ledger is asked, under the lock of migrations, what became of it; if it came to its end, nothing is repeated."""
    plane = looked()
    plane.ends(result)  # type: ignore[arg-type]  # one of the two above
    plane.steps(2)
    assert (plane.verbs[-1], plane.word(PLANNED)) == ("settle-migration", ("Unknown", "Pending"))
    plane.ends(told(ALL_IN))
    plane.steps(3)
    assert (plane.word(READY), plane.verbs.count("migrate")) == (("True", "Applied"), 1)


def test_what_another_run_left_is_settled_first() -> None:
    """A look may find what the command line left half-done."""
    plane = looked(LEFT)
    assert (plane.word(READY), plane.word(PLANNED)) == (("Unknown", "Settling"), ("Unknown", "Settling"))
    plane.step()
    assert plane.verbs == ["plan-migration", "settle-migration"]
    plane.ends(told(TO_DO))
    plane.step()
    assert plane.verbs[-1] == "migrate"


def test_a_plan_that_changed_is_made_anew() -> None:
    """Under the lock the Job found something else than was told: nothing ran, and it is told again."""
    plane = looked()
    plane.ends(told(TO_DO, Reason.PLAN_CHANGED, "the plan is 1 now"))
    plane.steps(2)
    assert plane.verbs == ["plan-migration", "migrate", "plan-migration"]
    plane.ends(told(replace(TO_DO, plan=replace(PENDING, hash="1"))))
    plane.step()
    plane.passes(6)
    plane.step()
    asked = plane.asked().migration
    assert asked is not None
    assert (plane.verbs[-1], asked.plan_hash) == ("migrate", "1")


def test_a_run_whose_job_was_deleted_is_settled_and_run_again() -> None:
    """Whoever does not want that says `suspend`."""
    plane = looked()
    plane.runs()
    plane.step()
    plane.jobs.pop(plane.name)
    plane.steps(2)
    assert plane.verbs[-1] == "settle-migration"
    plane.ends(told(TO_DO))
    plane.step()
    assert plane.word(READY) == ("False", "JobDeleted")
    plane.passes(6)
    plane.step()
    assert plane.verbs[-1] == "migrate"


def test_a_run_that_cannot_start_says_why() -> None:
    """First its pod is awaited, then what holds it up is told."""
    plane = looked()
    plane.step()
    assert (plane.message(READY), plane.look_again_seconds) == ("the pod is being started", 15)
    plane.jobs[plane.name] = replace(plane.jobs[plane.name], pods=(seen.pod(unscheduled="no node fits"),))
    plane.step()
    assert (plane.word(READY), plane.message(READY)) == (("False", "PodNotScheduled"), "no node fits")


def test_a_run_goes_on_whatever_the_spec_says_by_now() -> None:
    """Half a migration helps nobody; what was edited meanwhile is looked at afterwards."""
    plane = looked()
    plane.runs()
    plane.edit(config=config_map("select 2"), suspend=True)
    plane.step()
    assert (plane.word(READY), plane.migration.status.observed_generation) == (("Unknown", "Running"), 1)
    plane.ends(told(ALL_IN, Reason.APPLIED))
    plane.steps(2)
    assert (plane.word(READY), plane.verbs) == (("Unknown", "Suspended"), ["plan-migration", "migrate"])
    plane.edit(suspend=False)
    plane.step()
    assert (plane.verbs[-1], plane.word(PLANNED)) == ("plan-migration", ("Unknown", "Pending"))


def test_it_is_looked_at_every_hour() -> None:
    """The command line may have migrated, too; while that goes on, what was said stands."""
    plane = looked(ALL_IN)
    plane.passes(3600)
    plane.step()
    assert (plane.verbs, plane.word(READY)) == (["plan-migration", "plan-migration"], ("True", "Applied"))
    plane.step()
    assert plane.word(PLANNED) == ("True", "Planned")


def test_a_run_that_tells_how_the_database_stands_and_not_how_it_ended_itself_is_settled() -> None:
    """Its session was ended by the server, and the database answers: the ledger has only that it began."""
    plane = looked()
    plane.ends(told(LEFT, Reason.CONNECTION_LOST, "terminating connection"))
    plane.steps(2)
    assert plane.verbs[-1] == "settle-migration"
    plane.ends(told(TO_DO))
    plane.passes(10)
    plane.steps(2)
    assert plane.verbs[-1] == "migrate"


def test_files_and_database_that_differ_need_a_person() -> None:
    """Every difference is told, and nothing runs."""
    plane = looked(blocked())
    plane.step()
    assert (plane.word(READY), plane.word(STALLED)) == (("False", "HistoryBroken"), ("True", "HistoryBroken"))
    assert (plane.message(READY), plane.verbs) == ("Edited: it was another", ["plan-migration"])


@pytest.mark.parametrize(("reason", "word"), [(Reason.SOURCE_INVALID, STALLED), (Reason.HOST_UNREACHABLE, RECONCILING)])
def test_a_look_that_failed_is_told_and_tried_again(reason: Reason, word: ConditionType) -> None:
    """A Secret's content cannot be watched; a fault in a file is told with its line."""
    plane = MigrationPlane()
    plane.step()
    plane.ends(told(None, reason, "line 3"))
    plane.steps(2)
    assert (plane.word(READY), plane.word(word)) == (("False", reason.value), ("True", reason.value))
    assert plane.word(PLANNED) == ("False", reason.value)
    plane.passes(6)
    plane.step()
    assert plane.verbs == ["plan-migration", "plan-migration"]


def test_a_look_that_left_nothing_is_tried_again() -> None:
    """It wrote nothing, so that nothing is asked."""
    plane = MigrationPlane()
    plane.step()
    plane.ends(None)
    plane.step()
    assert plane.word(PLANNED) == ("False", "JobLost")


def test_deleting_it_leaves_what_is_in() -> None:
    """Its Jobs go with it by their owner; nothing is begun."""
    plane = looked()
    gone = replace(plane.migration.metadata, deletion_timestamp=plane.now)
    plane.migration = replace(plane.migration, metadata=gone)
    plane.steps()
    assert plane.verbs == ["plan-migration", "migrate"]


def test_runs_that_the_status_does_not_name_are_cleared_away() -> None:
    """A status that was lost, or restored from a backup of the cluster."""
    plane = looked(ALL_IN)
    plane.jobs["stray"] = seen.job("stray", Verb.MIGRATE, owner="uid-shop")
    plane.step()
    assert "stray" not in plane.jobs

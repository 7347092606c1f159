"""What is done for a RestoreRequest from its creation to its end, step by step, as an operator would that may die at any moment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.condition import ConditionType
from dbcustody.api.restore import RestoreChecks, RestoreStage, StatedObstacle
from dbcustody.contract import Verb
from dbcustody.facts import RestoreFacts
from dbcustody.plan.actions import Count, DeleteJob, LetJobGo
from dbcustody.plan.restore import GONE_AFTER_FAILURE_SECONDS, GONE_AFTER_SUCCESS_SECONDS, MOST_ATTEMPTS
from dbcustody.plan.restore_outcome import STEPS
from dbcustody.reason import Reason
from tests.fakes import seen
from tests.fakes.restore_plane import (
    BACKUP_ID,
    CHECKS,
    CHOSEN,
    HANDED_OVER,
    IS_PLANNED,
    IS_RESTORED,
    PLAN,
    PLANNED,
    SETTLED,
    RestorePlane,
    at_restore,
)

LOST_CONNECTION = seen.result(Verb.RESTORE, Reason.CONNECTION_LOST, "the server went away")


def test_a_plan_is_told_before_anything_is_made() -> None:
    """The first Job plans; only when its answer stands in status the second one is started, for that very plan."""
    plane = RestorePlane()
    plane.step()
    assert (plane.verbs, plane.started) == (["plan-restore"], [])
    plane.steps(3)
    assert [one["metadata"]["name"] for one in plane.started] == [plane.name]
    assert (plane.asked().verb, plane.asked().restore.plan_hash) == (Verb.PLAN_RESTORE, None)
    plane.ends(IS_PLANNED)
    plane.step()

    status = plane.request.status
    assert (status.source, status.target, status.backup, status.plan) == ("monday", "shop/shop_again", CHOSEN, PLAN)
    assert plane.word(ConditionType.TARGET_SAFE) == ("True", "TargetSafe")
    assert plane.word(ConditionType.SOURCE_VERIFIED) == ("Unknown", "Running")
    assert (plane.verbs, len(plane.started)) == (["plan-restore", "restore"], 1)
    plane.step()
    asked = plane.asked()
    assert (asked.verb, asked.restore.plan_hash, asked.restore.backup_id) == (Verb.RESTORE, "abcdef", BACKUP_ID)


def test_success_is_what_was_compared() -> None:
    """Every step is true, the checks stand in status, and the progress is done."""
    plane = at_restore()
    plane.passes(60)
    plane.ends(IS_RESTORED)
    plane.steps(2)

    status = plane.request.status
    for kind in (ConditionType.READY, ConditionType.SUCCEEDED, ConditionType.FINISHED):
        assert plane.word(kind) == ("True", "Succeeded")
    assert {plane.word(kind) for kind in STEPS} == {("True", kind.value) for kind in STEPS}
    assert plane.word(ConditionType.RECONCILING) is None
    assert (status.checks, status.unknown_settings, status.duration_seconds) == (CHECKS, ("a",), 60)
    assert status.progress is not None
    assert (status.progress.stage, status.progress.summary, status.progress.percent) == (RestoreStage.DONE, "Done", 100)
    assert "3 tables, 40 rows, 2 sequences" in plane.message(ConditionType.CHECKS_PASSED)
    assert sum(isinstance(action, Count) for action in plane.actions) == 2


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        (replace(CHECKS, constraints=5), "2 sequences, 5 constraints"),
        (replace(CHECKS, constraints=5, assertions=1, remarks=("a",)), "5 constraints; 1 questions answered as expected; a"),
        (replace(CHECKS, remarks=("a", "b", "c")), "2 sequences; a; 2 more in status.checks.remarks"),
    ],
)  # fmt: skip
def test_what_was_not_compared_or_is_no_good_is_told(checks: RestoreChecks, said: str) -> None:
    """In the condition the first of it, in status all that there is room for."""
    plane = at_restore()
    plane.ends(replace(IS_RESTORED, restore=replace(HANDED_OVER, checks=checks)))
    plane.steps(2)
    assert plane.message(ConditionType.CHECKS_PASSED).endswith(said)
    assert plane.request.status.checks == checks


def test_remarks_fit_into_status() -> None:
    """However many there are, and however long the names in them."""
    plane = at_restore()
    plane.ends(replace(IS_RESTORED, restore=replace(HANDED_OVER, checks=replace(CHECKS, remarks=("x" * 2000,) * 101))))
    plane.steps(2)
    assert plane.request.status.checks == replace(CHECKS, remarks=("x" * 1024,) * 100)


def test_uncounted_rows_are_not_said_to_be_equal() -> None:
    """A backup without counts gives nothing to compare rows with, and the condition says so."""
    plane = at_restore()
    facts = replace(HANDED_OVER, checks=replace(CHECKS, rows=None))
    plane.ends(replace(IS_RESTORED, restore=facts))
    plane.step()
    assert "rows not compared" in plane.message(ConditionType.CHECKS_PASSED)


def test_what_is_over_is_tidied_up_and_never_judged_again() -> None:
    """Jobs get their time to live; one that somehow still runs is ended."""
    plane = at_restore()
    plane.ends(IS_RESTORED)
    plane.steps(2)
    before = plane.request.status
    stray = seen.running("stray", Verb.RESTORE)
    plane.jobs["stray"] = stray
    plane.passes(1000)
    plane.steps(2)

    assert plane.request.status == before
    gone = [action for action in plane.actions if isinstance(action, LetJobGo)]
    assert [action.seconds for action in gone] == [GONE_AFTER_SUCCESS_SECONDS] * 2
    assert [action.name for action in plane.actions if isinstance(action, DeleteJob)] == ["stray"]


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        (Reason.ROLES_MISSING, ConditionType.TARGET_SAFE),
        (Reason.BACKUP_NOT_FOUND, ConditionType.SOURCE_VERIFIED),
        (Reason.ERASURES_PENDING, ConditionType.ERASURES_REPLAYED),
        (Reason.KEY_MISSING, ConditionType.RESTORED),
    ],
)
def test_an_obstacle_ends_the_request_with_its_reason(reason: Reason, step: ConditionType) -> None:
    """Nothing was begun; the plan with all obstacles stands in status, and the step that failed says why."""
    plane = RestorePlane()
    plane.steps(2)
    obstacle = StatedObstacle(reason=reason.value, message="x" * 5000)
    facts = RestoreFacts(backup=CHOSEN, plan=replace(PLAN, obstacles=(obstacle,) * 200))
    plane.ends(seen.result(Verb.PLAN_RESTORE, reason, "roles are missing: shop", restore=facts))
    plane.steps(2)

    assert plane.verbs == ["plan-restore"]
    for kind in (ConditionType.SUCCEEDED, ConditionType.READY, step, ConditionType.RESTORED):
        assert plane.word(kind) == ("False", reason.value)
    assert plane.word(ConditionType.STALLED) == plane.word(ConditionType.FINISHED) == ("True", reason.value)
    stated = plane.request.status.plan
    assert stated is not None
    assert (len(stated.obstacles), len(stated.obstacles[0].message)) == (100, 1024)
    assert plane.request.status.progress is not None
    assert plane.request.status.progress.summary == reason.value
    assert [one.seconds for one in plane.actions if isinstance(one, LetJobGo)] == [GONE_AFTER_FAILURE_SECONDS]


def test_a_request_that_is_filed_again_finds_its_database() -> None:
    """Whoever restored for the same request before has compared it; nothing is made twice."""
    plane = RestorePlane()
    plane.steps(2)
    facts = RestoreFacts(is_handed_over=True)
    plane.ends(seen.result(Verb.PLAN_RESTORE, Reason.ADOPTED, "was restored for this request before", restore=facts))
    plane.step()

    assert plane.verbs == ["plan-restore"]
    assert plane.word(ConditionType.SUCCEEDED) == plane.word(ConditionType.RESTORED) == ("True", "Adopted")
    assert "had compared it" in plane.message(ConditionType.CHECKS_PASSED)


def test_a_plan_whose_facts_were_lost_is_no_plan() -> None:
    """Without knowing what was planned nothing is begun."""
    plane = RestorePlane()
    plane.steps(2)
    plane.ends(replace(IS_PLANNED, restore=replace(PLANNED, plan=None)))
    plane.step()
    assert plane.word(ConditionType.SUCCEEDED) == ("False", "JobLost")


def test_another_plan_than_was_told_is_told_first() -> None:
    """When the server changed in between, the new plan goes through status too; that ends when it never stops changing."""
    plane = at_restore()
    changed = seen.result(Verb.RESTORE, Reason.PLAN_CHANGED, "the plan is another one now")
    plane.ends(changed)
    plane.steps(2)
    assert plane.verbs == ["plan-restore", "restore", "plan-restore"]
    for _ in range(MOST_ATTEMPTS):
        plane.ends(IS_PLANNED if plane.verbs[-1] == "plan-restore" else changed)
        plane.steps(2)
    assert plane.word(ConditionType.SUCCEEDED) == ("False", "PlanChanged")
    assert len(plane.request.status.attempts) == MOST_ATTEMPTS


def test_an_orderly_failure_is_believed() -> None:
    """A Job that gave up has taken away what it had made."""
    plane = at_restore()
    plane.ends(seen.result(Verb.RESTORE, Reason.CHECKS_FAILED, "public.a has 3 rows instead of 4"))
    plane.step()
    assert plane.verbs == ["plan-restore", "restore"]
    assert plane.word(ConditionType.CHECKS_PASSED) == ("False", "ChecksFailed")
    assert plane.word(ConditionType.RESTORED) == ("False", "ChecksFailed")


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        pytest.param(LOST_CONNECTION, "ConnectionLost", id="connection lost at the last moment"),
        pytest.param(seen.result(Verb.RESTORE, Reason.TIMED_OUT, "not done"), "TimedOut", id="timed out"),
        pytest.param(replace(IS_RESTORED, restore=None), "JobLost", id="done without facts"),
        pytest.param(None, "JobLost", id="silence"),
    ],
)
@pytest.mark.parametrize("was_handed_over", [True, False])
def test_a_run_without_an_answer_is_asked_for_at_the_server(end: Any, reason: str, *, was_handed_over: bool) -> None:
    """What counts is whether the database was handed over, whatever became of the Job."""
    plane = at_restore()
    plane.ends(end)
    plane.steps(3)
    assert plane.verbs[-1] == "settle-restore"
    assert plane.asked().storage is None
    assert plane.word(ConditionType.SUCCEEDED) == ("Unknown", "Pending")
    plane.runs()
    plane.step()
    assert plane.word(ConditionType.SUCCEEDED) == ("Unknown", "Settling")
    plane.ends(replace(IS_RESTORED, restore=RestoreFacts(is_handed_over=True)) if was_handed_over else SETTLED)
    plane.steps(2)

    if was_handed_over:
        assert plane.word(ConditionType.SUCCEEDED) == ("True", "Succeeded")
    else:
        assert plane.word(ConditionType.SUCCEEDED) == ("False", reason)
        assert plane.message(ConditionType.SUCCEEDED).endswith("what was half-done is dropped")


def test_a_server_that_does_not_answer_is_asked_again_and_again() -> None:
    """Nothing is said of the restore before; the pauses grow, and the reason of the loss is not forgotten."""
    plane = at_restore()
    plane.ends(None, outcome_reason="DeadlineExceeded")
    plane.steps(2)
    for _ in range(12):
        plane.ends(seen.result(Verb.SETTLE_RESTORE, Reason.HOST_UNREACHABLE, "connection refused"))
        plane.step()
        assert plane.word(ConditionType.READY) == ("False", "Settling")
        assert plane.look_again_seconds is not None
        plane.passes(plane.look_again_seconds)
        plane.steps(2)
    plane.ends(SETTLED)
    plane.step()
    assert plane.word(ConditionType.SUCCEEDED) == ("False", "TimedOut")
    assert len(plane.request.status.attempts) == MOST_ATTEMPTS


def test_a_settling_job_that_was_deleted_is_started_again() -> None:
    """Nobody else would say what became of the database."""
    plane = at_restore()
    plane.ends(None)
    plane.steps(3)
    plane.jobs.pop(plane.name)
    plane.steps(2)
    assert plane.verbs[-2:] == ["settle-restore", "settle-restore"]
    assert plane.name in plane.jobs


@pytest.mark.parametrize(("verb", "reason"), [("plan-restore", "JobDeleted"), ("restore", "Settling")])
def test_a_deleted_job_is_told(verb: str, reason: str) -> None:
    """A plan touches nothing, so it ends the request; of a restore the server is asked."""
    plane = at_restore() if verb == "restore" else RestorePlane()
    plane.steps(3)
    plane.jobs.pop(plane.name)
    plane.steps(2)
    found = plane.word(ConditionType.SUCCEEDED)
    assert found is not None
    assert found[1] == reason
    assert plane.verbs[-1] == ("settle-restore" if verb == "restore" else verb)


def test_a_lost_plan_ends_the_request() -> None:
    """Silence of a Job that only looked is a failure, and nothing more."""
    plane = RestorePlane()
    plane.steps(2)
    plane.ends(None)
    plane.step()
    assert plane.word(ConditionType.SUCCEEDED) == ("False", "JobLost")

"""A DatabaseMigration that needs a second person: each plan is agreed to by itself, and in doubt nothing runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbcustody.api.approval import Decision
from dbcustody.api.condition import ConditionType
from dbcustody.api.migration import MigrationApproval
from dbcustody.naming import ANNOTATION_OVERRIDE_FREEZE
from dbcustody.plan.approval import plan as judge_approval
from dbcustody.plan.freeze import FreezeWindow
from dbcustody.plan.migration_gate import seen_request
from dbcustody.reason import Reason
from tests.fakes.migration_plane import (
    ALL_IN,
    PENDING,
    TO_DO,
    MigrationPlane,
    asking,
    config_map,
    looked,
    migration,
    refusal,
    told,
    word,
)

READY, APPROVED = ConditionType.READY, ConditionType.APPROVED


def waiting() -> MigrationPlane:
    """Return a plane on which the plan was told and nobody has said anything."""
    return looked(of=asking())


def verdict_on(plane: MigrationPlane, *, name: str = "yes") -> tuple[str, str]:
    """Return what an Approval says of itself, after the operator looked at it twice."""
    one = next(one for one in plane.around.approvals if one.metadata.name == name)
    for _ in range(2):
        found = judge_approval(one, seen_request(plane.migration, is_stamped=True), plane.now)
        assert found.status is not None
        one = replace(one, status=found.status)
    plane.around = replace(
        plane.around, approvals=tuple(one if it.metadata.name == name else it for it in plane.around.approvals)
    )
    ready = one.status.conditions[0]
    return ready.status.value, ready.reason.value


def test_it_waits_and_is_carried_out_once_somebody_agreed() -> None:
    """Until then nothing runs; afterwards the Approval that had its effect keeps it, though the next plan is another."""
    plane = waiting()
    plane.steps()
    assert plane.verbs == ["plan-migration"]
    assert (plane.word(READY), plane.word(APPROVED)) == (("Unknown", "ApprovalPending"), ("Unknown", "ApprovalPending"))
    plane.say(word())
    assert (plane.verbs[-1], plane.word(APPROVED)) == ("migrate", ("True", "Approved"))
    terms = plane.asked().migration
    assert terms is not None
    assert (terms.approval, terms.backup) == ("ivan agreed to plan abcdef (Approval yes)", None)
    assert verdict_on(plane) == ("True", "Effective")
    plane.ends(told(ALL_IN, Reason.APPLIED))
    plane.steps()
    assert (plane.word(READY), plane.word(APPROVED)) == (("True", "Applied"), ("True", "Approved"))
    assert verdict_on(plane) == ("True", "Effective")


def test_another_plan_needs_another_approval() -> None:
    """An edited source voids what was agreed to, also when that had not been carried out yet."""
    plane = waiting()
    plane.edit(config=config_map("drop table a"))
    plane.say(word())
    assert plane.verbs[-1] == "plan-migration"
    plane.ends(told(replace(TO_DO, plan=replace(PENDING, hash="another"))))
    plane.steps(2)
    assert (plane.word(APPROVED), plane.verbs.count("migrate")) == (("Unknown", "ApprovalPending"), 0)
    assert verdict_on(plane) == ("False", "Superseded")


def test_a_failed_run_of_an_agreed_plan_needs_no_second_yes() -> None:
    """It is the same plan that is tried again."""
    plane = waiting()
    plane.say(word())
    plane.ends(refusal(Reason.CONNECTION_LOST, "lost"))
    plane.steps(2)
    plane.passes(6)
    plane.step()
    assert plane.verbs.count("migrate") == 2


def test_a_no_stops_it_until_the_plan_is_another() -> None:
    """Stalled, and told by whom; another source is planned anew, and waits again."""
    plane = waiting()
    plane.say(word(Decision.DENY))
    assert (plane.word(READY), plane.word(APPROVED)) == (("False", "Denied"), ("False", "Denied"))
    assert plane.word(ConditionType.STALLED) == ("True", "Denied")
    assert verdict_on(plane) == ("True", "Effective")
    plane.edit(config=config_map("select 2"))
    plane.step()
    assert plane.word(APPROVED) == ("Unknown", "PlanChanged")
    plane.ends(told(replace(TO_DO, plan=replace(PENDING, hash="another"))))
    plane.steps(2)
    assert (plane.word(APPROVED), plane.verbs.count("migrate")) == (("Unknown", "ApprovalPending"), 0)


@pytest.mark.parametrize("approver", ["jane", None])
def test_who_wrote_the_spec_does_not_count(approver: str | None) -> None:
    """Nor does nobody."""
    plane = waiting()
    yes = word()
    plane.say(replace(yes, spec=replace(yes.spec, approver=approver)))
    assert (plane.verbs, plane.word(APPROVED)) == (["plan-migration"], ("Unknown", "ApprovalPending"))


def test_where_nobody_can_be_believed_nothing_runs() -> None:
    """Without the admission policies an Approval is anybody's."""
    plane = MigrationPlane(migration=asking())
    plane.around = replace(plane.around, is_stamped=False)
    looked(plane=plane)
    plane.say(word())
    assert (plane.word(READY), plane.word(APPROVED)) == (
        ("False", "ApprovalUnavailable"),
        ("Unknown", "ApprovalUnavailable"),
    )
    assert plane.verbs == ["plan-migration"]


@pytest.mark.parametrize("facts", [ALL_IN, TO_DO], ids=["nothing is pending", "nobody is asked"])
def test_a_wait_that_is_over_is_not_told_any_more(facts: object) -> None:
    """Somebody else applied it, or nobody is to be asked: nothing waits for a person."""
    plane = waiting()
    plane.edit(approval=MigrationApproval(required=facts is ALL_IN))
    plane.step()
    plane.ends(told(facts))  # type: ignore[arg-type]  # one of the two above
    plane.step()
    assert plane.word(APPROVED) == ("True", "ApprovalNotRequired")
    assert plane.verbs.count("migrate") == int(facts is TO_DO)


def test_before_a_plan_is_told_an_approval_is_of_none() -> None:
    """Nothing can be agreed to that nobody has seen."""
    assert seen_request(migration(), is_stamped=True).question.plan_hash is None


def test_in_a_freeze_window_nothing_is_begun() -> None:
    """It is planned and agreed to all the same, and begins after the window, or by a person's word."""
    plane = waiting()
    window = FreezeWindow(schedule="0 11 * * *", duration_seconds=7200)
    plane.around = replace(plane.around, freeze_windows=(window,))
    plane.say(word())
    assert (plane.word(READY), plane.word(APPROVED)) == (("False", "FreezeWindow"), ("True", "Approved"))
    assert "the migration begins after it" in plane.message(READY)
    assert "annotate the DatabaseMigration with dbcustody.dev/override-freeze" in plane.message(READY)
    assert (plane.look_again_seconds, plane.verbs) == (3600, ["plan-migration"])
    annotations = {**plane.migration.metadata.annotations, ANNOTATION_OVERRIDE_FREEZE: "ticket 42"}
    plane.migration = replace(plane.migration, metadata=replace(plane.migration.metadata, annotations=annotations))
    plane.step()
    assert plane.verbs == ["plan-migration", "migrate"]


def test_after_a_freeze_window_it_begins_by_itself() -> None:
    """Nobody has to say anything."""
    plane = MigrationPlane(migration=migration())
    window = FreezeWindow(schedule="0 11 * * *", duration_seconds=3660)
    plane.around = replace(plane.around, freeze_windows=(window,))
    looked(plane=plane)
    assert plane.verbs == ["plan-migration"]
    plane.passes(61)
    plane.step()
    assert plane.verbs == ["plan-migration", "migrate"]


def test_a_no_does_not_speak_for_what_was_suspended_since() -> None:
    """It waits because somebody wanted that; looked at again, the same plan is refused as before."""
    plane = looked(of=asking())
    plane.say(word(Decision.DENY))
    plane.edit(suspend=True)
    plane.steps(2)
    assert plane.word(APPROVED) == ("Unknown", "Suspended")
    assert "the plan was refused" in plane.message(APPROVED)
    assert plane.word(ConditionType.STALLED) == ("True", "Suspended")
    plane.edit(suspend=False)
    plane.step()
    plane.ends(told(TO_DO))
    plane.steps(2)
    assert plane.word(APPROVED) == ("False", "Denied")
    assert "migrate" not in plane.verbs

"""What of ours stands on a Database's server, whose it is, when it has to be looked at anew, and what nobody drops any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dbcustody.api.backup import Attempt
from dbcustody.api.condition import ConditionType
from dbcustody.api.database import Copy, CopyStage
from dbcustody.contract import Verb
from dbcustody.plan.imprint import handed_over, kept, put_back, ready, swapped_in, under_way
from dbcustody.plan.restore_work import mark_of
from dbcustody.plan.standing import (
    Neighbour,
    changed_time,
    find_copies,
    left_conditions,
    marks_of,
    next_due,
    with_left,
)
from dbcustody.reason import Reason
from tests.fakes.restore_plane import BACKUP_ID, OLD, replace_request, restore_request
from tests.fakes.seen import NOW, ago, condition, with_status

if TYPE_CHECKING:
    from dbcustody.api.restore import RestoreRequest

LIVE = 16390
BACK = "RestoreRequest team/back 0123456789ab"
AGAIN = "RestoreRequest team/again 0123456789ab"
FOREIGN = "RestoreRequest web/back 0123456789ab"
BY_HAND = "dbcustody restore 2026-01-31T12:00:00Z 0a1b2c3d4e5f"
UNTIL = NOW + timedelta(days=1)
OVER = condition(ConditionType.FINISHED, "True", Reason.SUCCEEDED)
KEPT = Copy(
    name="shop_replaced_0", oid=16384, stage=CopyStage.KEPT, mark=BACK, custody_id="team.shop", drop_after=ago(1)
)


def copies(*others: tuple[str, str | None], live: str | None = None) -> list[tuple[Any, ...]]:
    """Return what is found beside a live database that says *live*: name, stage, custody, backup, until when."""
    databases = [Neighbour(name="shop", oid=LIVE, comment=live)]
    databases += [Neighbour(name=name, oid=number, comment=comment) for number, (name, comment) in enumerate(others)]
    found = find_copies(databases, live_oid=LIVE, custody_id="team.shop", namespace="team")
    return [(one.name, one.stage, one.custody_id, one.backup_id, one.drop_after) for one in found]


def test_each_stage_is_told() -> None:
    """By name, with whose place it had or is to take, as far as the comments say it."""
    live = swapped_in("our shop", BACKUP_ID, BACK)
    assert copies(
        ("b_kept", kept(NOW, UNTIL, BACK, "our shop")),
        ("a_ready", ready(LIVE, AGAIN)),
        ("d_restored", handed_over("a comment", BACKUP_ID, AGAIN)),
        ("c_half", under_way(BACKUP_ID, AGAIN)),
        live=live,
    ) == [
        ("a_ready", CopyStage.READY, "team.shop", None, None),
        ("b_kept", CopyStage.KEPT, "team.shop", None, UNTIL),
        ("c_half", CopyStage.RESTORING, None, BACKUP_ID, None),
        ("d_restored", CopyStage.RESTORED, None, BACKUP_ID, None),
    ]


def test_what_is_others_matter_is_not_told() -> None:
    """Neither databases that say nothing, nor those of requests elsewhere, nor the live one itself."""
    live = swapped_in(None, BACKUP_ID, BACK)
    others = [
        ("people", "our warehouse"),
        ("silent", None),
        ("theirs", handed_over(None, BACKUP_ID, FOREIGN)),
        ("put_away", kept(NOW, UNTIL, FOREIGN, None)),
        ("in_turn", ready(7, FOREIGN)),
        ("by_hand", kept(NOW, UNTIL, BY_HAND, None)),
    ]
    assert copies(*others, live=live) == []


def test_what_a_command_put_away_is_told_to_whose_place_it_had() -> None:
    """Also when the swap before was undone; a comment of a swap that is forgotten tells nothing of whose it is."""
    live = put_back(swapped_in(None, BACKUP_ID, BACK), BY_HAND, BACK)
    assert copies(("old", kept(NOW, UNTIL, BY_HAND, None)), live=live) == [
        ("old", CopyStage.KEPT, "team.shop", None, UNTIL)
    ]
    assert copies(("old", kept(NOW, UNTIL, BACK, None))) == [("old", CopyStage.KEPT, None, None, UNTIL)]


def over(request: RestoreRequest, *verbs: Verb, ago_seconds: float = 60, **status: Any) -> RestoreRequest:
    """Return *request* as it was over then, after Jobs of *verbs*."""
    attempts = tuple(Attempt(ordinal=1, job_name="j", verb=verb.value) for verb in verbs)
    done = replace(OVER, last_transition_time=ago(ago_seconds))
    return with_status(request, conditions=(done,), attempts=attempts, **status)


def test_when_the_server_changed() -> None:
    """With the end of a request that wrote there, and when what it put away was dropped; a plan alone changes nothing."""
    writing = (Verb.PLAN_RESTORE, Verb.RESTORE, Verb.SWAP)
    dropped = over(replace_request(), *writing, old_database=replace(OLD, dropped_time=ago(5)))
    assert changed_time([]) is None
    assert changed_time([over(replace_request(), Verb.PLAN_RESTORE), replace_request()]) is None
    assert changed_time(
        [over(restore_request(), *writing[:2]), over(replace_request(), *writing, ago_seconds=9)]
    ) == ago(9)
    assert changed_time([over(replace_request(), *writing, old_database=OLD)]) == ago(60)
    assert changed_time([dropped]) == ago(5)
    running = with_status(
        dropped, conditions=(condition(ConditionType.FINISHED, "False", Reason.RUNNING),), old_database=None
    )
    assert changed_time([running]) is None
    assert (
        changed_time([with_status(dropped, conditions=(replace(OVER, last_transition_time=None),), old_database=None)])
        is None
    )


def test_who_will_drop_what_was_put_away() -> None:
    """A request that tells of it, or may find it yet; none that is over without a word of it, and none that puts nothing away."""
    waits, knows, silent = (
        replace_request("waits"),
        over(replace_request("knows"), old_database=OLD),
        over(replace_request("silent")),
    )
    assert marks_of([waits, knows, silent, restore_request()]) == {mark_of(waits), mark_of(knows)}


@pytest.mark.parametrize(
    ("changes", "marks", "left"),
    [
        pytest.param({}, (), True, id="its-time-is-over"),
        pytest.param({}, (BACK,), False, id="its-request-is-there"),
        pytest.param({"drop_after": NOW}, (), True, id="just-now"),
        pytest.param({"drop_after": ago(-1)}, (), False, id="there-is-time"),
        pytest.param({"drop_after": None}, (), False, id="nobody-said-when"),
        pytest.param({"custody_id": None}, (), False, id="nobody-knows-whose"),
        pytest.param({"stage": CopyStage.RESTORED}, (), False, id="it-is-in-use"),
    ],
)
def test_what_is_left(changes: dict[str, Any], marks: tuple[str, ...], *, left: bool) -> None:
    """An old database whose time is over, and that nobody will drop."""
    (found,) = with_left([replace(KEPT, **changes)], frozenset(marks), NOW)
    assert found.left is left


def test_what_is_left_is_said_until_it_is_gone() -> None:
    """Nothing while there never was one; then that it is gone."""
    (left,) = with_left([KEPT], frozenset(), NOW)
    (bad,) = left_conditions([left], ())
    assert (bad.type, bad.status.value, bad.reason) == (
        ConditionType.OLD_DATABASES_DROPPED,
        "False",
        Reason.OLD_DATABASE_LEFT,
    )
    assert f"shop_replaced_0 ({BACK})" in bad.message
    assert left_conditions([KEPT], ()) == ()
    (good,) = left_conditions([KEPT], (bad,))
    assert (good.status.value, good.reason) == ("True", Reason.OLD_DATABASES_DROPPED)


def test_when_to_look_again() -> None:
    """As soon as the next one has to be gone."""
    later = [replace(KEPT, drop_after=ago(-seconds)) for seconds in (90, 60)]
    assert next_due([KEPT, replace(KEPT, drop_after=None)], NOW) is None
    assert next_due([KEPT, *later], NOW) == 60

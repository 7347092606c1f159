"""What retention makes of Backups whose data is gone: which are told so, which are asked for still, and what may not rest on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbcustody.api.meta import ObjectRef
from dbcustody.api.policy import BackupPolicy, Retained
from dbcustody.contract import JobResult, Verb
from dbcustody.facts import PruneFacts
from dbcustody.plan.actions import DeleteBackup, StartJob
from dbcustody.plan.pruning import MOST_KNOWN, Pruned, SeenPruning, known_backups, plan_pruning
from dbcustody.plan.recovery_point import Run
from dbcustody.plan.request import Parties
from dbcustody.reason import Reason
from tests.fakes.seen import IMAGE, NOW, ago, answered, database, policy, result, silent, storage, with_status

PARTIES = Parties(database=database(), storage=with_status(storage(), location="s3://backups"))
PRUNING = with_status(policy(), job_ref=ObjectRef(name="p"), deleted=("before",), prune_after="b1")


def run(number: int, **changes: Any) -> Run:
    """Return a good run that a person asked for, and that lay in the storage."""
    basis = Run(
        name=f"b{number}",
        uid=f"uid-{number}",
        is_finished=True,
        is_good=True,
        data_time=ago(1000 - number),
        location=f"s3://backups/team.shop/backups/b{number}",
        manifest_sha256=f"{number:064}",
    )
    return replace(basis, **changes)


def told(**found: Any) -> JobResult:
    """Return what a prune says that *found* something."""
    return result(Verb.PRUNE, Reason.RETENTION_ENFORCED, prune=PruneFacts(retained=Retained(count=1, bytes=1), **found))


def look(one: BackupPolicy, *runs: Run, answer: JobResult | None = None) -> Pruned:
    """Return the next step of *one*'s retention, whose Job ended with *answer*."""
    jobs = () if answer is None else (answered("p", answer),)
    return plan_pruning(one, PARTIES, SeenPruning(image=IMAGE, jobs=jobs, runs=runs, live_attempts=()), NOW)


def test_what_a_person_made_is_left_and_told() -> None:
    """Ours go with their data; a person's stays and is named, also one that never passed its verification."""
    ours, bad = run(2, is_ours=True), run(3, is_good=False)
    found = look(PRUNING, run(1), ours, bad, run(4), answer=told(deleted=("b1", "b2", "b3", "b9")))

    assert found.status.deleted == ("b1", "b3")
    assert [one for one in found.actions if isinstance(one, DeleteBackup)] == [DeleteBackup("b2", "uid-2")]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"loss": Reason.DATA_DELETED, "is_good": False}, id="says-so-already"),
        pytest.param({"location": "s3://another/team.shop/backups/b1"}, id="lies-elsewhere"),
        pytest.param({"location": "s3://backups/another/backups/b1"}, id="is-of-another-custody"),
        pytest.param({"location": ""}, id="was-never-committed"),
    ],
)
def test_nothing_is_told_without_need(changes: dict[str, Any]) -> None:
    """What a person is told must be true of this very Backup, and once is enough."""
    assert look(PRUNING, run(1, **changes), answer=told(deleted=("b1",))).status.deleted == ()


def test_what_vanished_and_is_deleted_now_is_told_again() -> None:
    """It came back, and went by the rules."""
    vanished = run(1, loss=Reason.DATA_VANISHED, is_good=False)
    assert look(PRUNING, vanished, answer=told(deleted=("b1",))).status.deleted == ("b1",)


def test_what_does_not_fit_in_is_told_by_the_next_prune() -> None:
    """Those that were told of by then say so themselves, and make room."""
    runs = [run(number) for number in range(MOST_KNOWN + 2)]
    answer = told(deleted=tuple(one.name for one in runs))
    first = look(PRUNING, *runs, answer=answer).status.deleted
    marked = [replace(one, loss=Reason.DATA_DELETED) if one.name in first else one for one in runs]

    assert len(first) == MOST_KNOWN
    assert look(PRUNING, *marked, answer=answer).status.deleted == (f"b{MOST_KNOWN}", f"b{MOST_KNOWN + 1}")


def test_a_prune_that_says_nothing_takes_nothing_back() -> None:
    """What the one before it told stands until another tells."""
    seen = SeenPruning(image=IMAGE, jobs=(silent("p", Verb.PRUNE),), runs=(run(1),), live_attempts=())
    found = plan_pruning(PRUNING, PARTIES, seen, NOW)

    assert (found.status.job_ref, found.status.deleted) == (None, ("before",))


def test_what_vanished_is_asked_for_until_it_is_back_and_what_was_deleted_is_not() -> None:
    """Else retention would go on as if all were well, only because the Backup says what is known; it is asked for first of all."""
    vanished = run(0, loss=Reason.DATA_VANISHED, is_good=False)
    deleted = run(99, loss=Reason.DATA_DELETED, is_good=False)
    many = [run(number) for number in range(1, MOST_KNOWN + 1)]
    asked = [one.name for one in known_backups(PARTIES, (*many, vanished, deleted))]

    assert (asked[0], len(asked)) == ("b0", MOST_KNOWN)
    assert "b99" not in asked


def test_retention_goes_on_looking_when_all_that_is_left_has_vanished() -> None:
    """Nobody else would find that it came back; when all was deleted there is nothing to look for."""
    waiting = with_status(policy(), pruned_time=ago(86_400), prune_after="b1")
    vanished = look(waiting, run(1, loss=Reason.DATA_VANISHED, is_good=False))
    deleted = look(waiting, run(1, loss=Reason.DATA_DELETED, is_good=False))

    assert [type(one) for one in vanished.actions] == [StartJob]
    assert deleted.actions == ()

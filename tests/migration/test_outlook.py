"""The outlook of a script: its steps, its locks, its risk, and the point of no return."""

from __future__ import annotations

from dbcustody.migration.forecast import Risk
from dbcustody.migration.lock import Mode, Work
from dbcustody.migration.nature import Nature
from dbcustody.migration.outlook import Outlook, jamming, look_ahead, unusable_values
from dbcustody.migration.statement import cut


def outlook(text: str) -> Outlook:
    """Return the outlook of *text*."""
    return look_ahead(cut(text).statements)


def test_a_script_is_as_dangerous_as_its_worst_step() -> None:
    """Its locks are the strongest of all steps, since a transaction holds them to its end."""
    found = outlook(
        "alter table t validate constraint c; create index i on t (a); alter table s.u drop column b; insert into t values (1)"
    )
    assert [step.risk for step in found.steps] == [Risk.SAFE, Risk.CAUTION, Risk.DESTRUCTIVE, Risk.SAFE]
    assert (found.risk, found.work, found.point_of_no_return) == (Risk.DESTRUCTIVE, Work.SCAN, 3)
    assert [(str(lock.relation), lock.mode) for lock in found.locks] == [
        ("t", Mode.SHARE),
        ("s.u", Mode.ACCESS_EXCLUSIVE),
    ]
    assert {step.nature for step in found.steps} == {Nature.TRANSACTIONAL}


def test_what_a_script_made_itself_is_nobody_else_s() -> None:
    """Its own tables may be filled, indexed and dropped without anybody waiting or losing anything."""
    found = outlook(
        "create table n (a int); insert into n select a from t; create index on n (a); update n set a = 1; delete from n; drop table n"
    )
    assert (found.risk, found.point_of_no_return) == (Risk.SAFE, None)
    assert [str(lock.relation) for lock in found.locks] == ["t"]
    assert [step.effect.destroys for step in found.steps] == [()] * 6


def test_what_makes_others_wait_is_what_nobody_is_to_queue_for() -> None:
    """Not what goes beside those who read and write, and not its own tables."""
    text = "create table n (a int references t); alter table n add b int; insert into u values (1); alter table v validate constraint c"
    assert [(str(lock.relation), lock.mode) for lock in jamming(cut(text).statements)] == [
        ("t", Mode.SHARE_ROW_EXCLUSIVE)
    ]


def test_a_loss_beside_its_own_tables_stays_a_loss() -> None:
    """One of two dropped tables was there before."""
    found = outlook("create table n (a int); drop table n, t")
    assert found.steps[1].effect.destroys == ("table n", "table t")


def test_a_value_of_an_enum_cannot_be_taken_back() -> None:
    """It destroys nothing, and yet there is no way back."""
    found = outlook("select 1; alter type mood add value 'calm'")
    assert (found.risk, found.point_of_no_return) == (Risk.CAUTION, 2)


def test_nothing_has_no_risk() -> None:
    """A script without statements is empty, not unknown."""
    assert (outlook("").risk, outlook("").work, outlook("").locks) == (Risk.SAFE, Work.CATALOGUE, ())


def remarks(text: str) -> list[str]:
    """Return where *text* may use a value too early."""
    return [str(fault) for fault in unusable_values(cut(text).statements)]


def test_a_value_that_is_used_too_early() -> None:
    """PostgreSQL refuses it before the commit (55P04), so the line is told; what stands before it is not meant."""
    text = "insert into t values ('calm');\nalter type s.mood add value if not exists 'calm' before 'sad';\nupdate t set m = 'calm'"
    (remark,) = remarks(text)
    assert remark.startswith(
        "line 3, column 1: 'calm' may be the value that is added to s.mood above, and is no value before the commit; "
    )


def test_values_that_may_be_used() -> None:
    """Those of a type of the same transaction, and those that are only renamed."""
    assert remarks("create type mood as enum ('sad'); alter type mood add value 'calm'; select 'calm'::mood") == []
    assert remarks("alter type mood rename value 'sad' to 'calm'; select 'calm'") == []
    assert remarks("alter type mood add value; select ''''") == []

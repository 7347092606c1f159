"""Forth to a migration or back to one: what has to run for it, what may not, and what was declared."""

from __future__ import annotations

import pytest

from dbcustody.migration.aim import BASE, Aim, Declaration, aim_at, as_declared, undeclared
from dbcustody.migration.history import History, compare
from dbcustody.migration.ledger import Attempt, State
from dbcustody.migration.script import Script, SourceFile, read_scripts

A, B, C = "20260101_000000_a", "20260102_000000_b", "20260103_000000_c"
FILES = {name: f"create table {name[-1]} ()" for name in (A, B, C)}


def scripts(*without_way_back: str) -> tuple[Script, ...]:
    """Return three migrations, each with a way back but those that are named."""
    files = [SourceFile(name=f"{name}.sql", content=text.encode()) for name, text in FILES.items()]
    files += [
        SourceFile(name=f"{name}.down.sql", content=f"drop table {name[-1]}".encode())
        for name in FILES
        if name not in without_way_back
    ]
    source = read_scripts(files)
    assert source.faults == ()
    return source.scripts


def attempt(name: str, ordinal: int, state: State = State.APPLIED, reason: str | None = None) -> Attempt:
    """Return what the ledger says of *name*."""
    return Attempt(ordinal=ordinal, revision=name[:15], name=name, state=state, checksum=None, reason=reason)


def history(*names: str) -> History:
    """Return how a database stands in which *names* are in."""
    return compare(scripts(), [attempt(name, at) for at, name in enumerate(names)], allows_out_of_order=True)


def names(found: tuple[Script, ...]) -> list[str]:
    """Return their names."""
    return [script.name for script in found]


def aim(target: str | None, *present: str, may_go_back: bool = True) -> Aim:
    """Return the way of a database in which *present* are in to *target*."""
    return aim_at(target, scripts(), history(*present), may_go_back=may_go_back)


def test_the_newest_is_aimed_at_unless_another_is_named() -> None:
    """By its name or its revision."""
    assert names(aim(None, A).forth) == [B, C]
    assert names(aim(B).forth) == names(aim(B[:15]).forth) == [A, B]
    assert names(aim(C, A).forth) == [B, C]


def test_where_it_is_already_nothing_runs() -> None:
    """Neither what comes after it, nor, forth, what is missing before it."""
    assert aim(B, A, B).is_reached
    assert aim(B, B).is_reached
    assert aim(BASE).is_reached
    assert not aim(None, A).is_reached


def test_what_comes_after_it_is_undone_the_newest_first() -> None:
    """Down to nothing at all, if that is meant; then nothing runs forth."""
    assert (names(aim(A, A, B, C).back), aim(A, A, B, C).forth) == ([C, B], ())
    assert names(aim(BASE, A, B).back) == [B, A]
    assert names(aim(A, A, C, B).back) == [B, C]


@pytest.mark.parametrize("target", [A, BASE])
def test_nothing_is_undone_without_permission(target: str) -> None:
    """What would have to be is named."""
    found = aim(target, A, B, may_go_back=False)
    assert found.obstacle is not None
    assert f"{B} would have to be undone" in found.obstacle
    assert "policy.allowDowngrade" in found.obstacle
    assert found.back == ()
    assert not found.is_reached


def test_without_a_way_back_nothing_is_undone() -> None:
    """Neither it nor anything else; one whose file is gone has none either."""
    stuck = aim_at(A, scripts(B), history(A, B, C), may_go_back=True)
    assert stuck.obstacle == f"targetRevision {A}: no way back from {B}: there is no .down.sql"
    gone = aim_at(A, scripts()[:2], history(A, B, C), may_go_back=True)
    assert gone.obstacle is not None
    assert C in gone.obstacle


def test_a_target_that_is_no_file_is_told() -> None:
    """Nothing runs."""
    found = aim("20270101_000000_x", A)
    assert found.obstacle is not None
    assert "is not among the files" in found.obstacle
    assert found.forth == ()


def declaration(name: str = A, state: State = State.RESOLVED_APPLIED, reason: str = "made by hand") -> Declaration:
    """Return what a person says."""
    return Declaration(name=name, state=state, reason=reason)


def test_a_declaration_is_made_once() -> None:
    """As long as it says the same for the same reason, whatever became of the migration since; of what is no file, never."""
    made = attempt(A, 1, State.RESOLVED_APPLIED, "made by hand")
    undone = attempt(A, 2, State.ROLLED_BACK)
    assert undeclared([declaration()], scripts(), [made, undone]) == ()
    again = declaration(reason="made by hand again")
    other = declaration(state=State.RESOLVED_ROLLED_BACK)
    assert undeclared([declaration(), again, other, declaration(B)], scripts(), [made]) == (
        again,
        other,
        declaration(B),
    )
    assert undeclared([declaration("20270101_000000_x")], scripts(), []) == ()


def test_what_is_judged_is_the_ledger_as_it_will_be() -> None:
    """So the plan that is told before is the plan that is carried out after."""
    before = [attempt(A, 7)]
    after = as_declared([declaration(B), declaration(C, State.RESOLVED_ROLLED_BACK)], scripts(), before)
    assert [(one.ordinal, one.name, one.state, one.reason) for one in after] == [
        (7, A, State.APPLIED, None),
        (8, B, State.RESOLVED_APPLIED, "made by hand"),
        (9, C, State.RESOLVED_ROLLED_BACK, "made by hand"),
    ]
    assert names(compare(scripts(), after).pending) == [C]
    assert as_declared([], scripts(), ()) == ()
    assert as_declared([declaration()], scripts(), ())[0].ordinal == 1

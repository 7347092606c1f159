"""Forth to a migration or back to one: what has to run for it, what may not, and what was declared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbcustody.migration.aim import BASE, Aim, Declaration, aim_at, as_declared, contradicted, undeclared
from dbcustody.migration.fault import Fault
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
    (obstacle,) = found.obstacles
    assert f"{B} would have to be undone" in obstacle
    assert "policy.allowDowngrade" in obstacle
    assert found.back == ()
    assert not found.is_reached


def test_without_a_way_back_nothing_is_undone() -> None:
    """Neither it nor anything else; one whose file is gone has none either."""
    stuck = aim_at(A, scripts(B), history(A, B, C), may_go_back=True)
    assert stuck.obstacles == (f"targetRevision {A}: no way back from {B}: there is no .down.sql",)
    gone = aim_at(A, scripts()[:2], history(A, B, C), may_go_back=True)
    assert C in gone.obstacles[0]


def test_a_target_that_is_no_file_is_told() -> None:
    """Nothing runs."""
    found = aim("20270101_000000_x", A)
    choice = f"name one in full, or by its revision: {C}, {B}, {A}"
    assert found.obstacles == (f"targetRevision 20270101_000000_x: is not among the files; {choice}",)
    assert found.forth == ()


def test_the_beginning_of_one_is_not_aimed_at() -> None:
    """Forth or back: what it names today may be another tomorrow."""
    for present in ((), (A, B, C)):
        found = aim("20260102", *present)
        choice = f"name one in full, or by its revision: {B}"
        assert found.obstacles == (f"targetRevision 20260102: is not among the files; {choice}",)
        assert (found.forth, found.back) == ((), ())


def test_back_to_one_by_its_revision() -> None:
    """As by its name."""
    assert aim(A[:15], A, B, C) == aim(A, A, B, C)
    assert names(aim(A[:15], A, B, C).back) == [C, B]


def declaration(name: str = A, state: State = State.RESOLVED_APPLIED, reason: str = "made by hand") -> Declaration:
    """Return what a person says."""
    return Declaration(name=name, state=state, reason=reason)


def test_a_declaration_is_made_once() -> None:
    """As long as it says the same for the same reason, whatever became of the migration since; of what is no file, never."""
    made = attempt(A, 1, State.RESOLVED_APPLIED, "made by hand")
    undone = attempt(A, 2, State.ROLLED_BACK)
    assert undeclared([declaration()], scripts(), [made, undone]) == ()
    again = declaration(reason="made by hand again")
    assert undeclared([declaration(), again, declaration(B)], scripts(), [made, undone]) == (again, declaration(B))
    assert undeclared([declaration("20270101_000000_x")], scripts(), []) == ()


def test_what_stands_so_already_needs_no_declaration() -> None:
    """What is in is in; what never was is out; what is in in part is one or the other only by a person's word."""
    out = declaration(state=State.RESOLVED_ROLLED_BACK)
    assert undeclared([declaration()], scripts(), [attempt(A, 1)]) == ()
    assert undeclared([out], scripts(), []) == ()
    partial = [attempt(A, 1, State.PARTIAL)]
    assert undeclared([declaration()], scripts(), partial) == (declaration(),)
    assert undeclared([out], scripts(), partial) == (out,)
    assert contradicted([out, declaration()], scripts(), partial) == ()


def test_what_is_in_twice_is_declared_to_be_in() -> None:
    """That is the way out which the history names; said once, it is settled."""
    twice, out = [attempt(A, 1), attempt(B, 2), attempt(A, 3)], declaration(state=State.RESOLVED_ROLLED_BACK)
    assert undeclared([declaration(), declaration(B), out], scripts(), twice) == (declaration(),)
    settled = [*twice, attempt(A, 4, State.RESOLVED_APPLIED, "one of the two was undone")]
    assert undeclared([declaration()], scripts(), settled) == ()


def test_what_contradicts_the_ledger_is_told() -> None:
    """To say that nothing is in does not undo anything; a migration that there is not is a mistake."""
    out, made = declaration(state=State.RESOLVED_ROLLED_BACK), attempt(A, 1, State.RESOLVED_ROLLED_BACK, "made by hand")
    assert contradicted([out], scripts(), [attempt(A, 1)]) == (
        f"resolutions: {A}: is applied; to undo it, name the one before it as `targetRevision`",
    )
    assert undeclared([out], scripts(), [attempt(A, 1)]) == ()
    assert contradicted([out], scripts(), [made, attempt(A, 2)]) == ()
    assert contradicted([declaration("20270101_000000_x")], scripts(), []) == (
        "resolutions: 20270101_000000_x: is not among the files; name one of them, without its ending",
    )


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


def test_a_way_back_that_is_not_fit_to_run_is_no_way_back() -> None:
    """In another tool's folder, where nobody refused the file before."""
    fault = Fault(file="b.down.sql", what="is no SQL", helps="mend it")
    read = tuple(replace(one, down_faults=(fault,)) if one.name == B else one for one in scripts())
    assert aim_at(A, read, history(A, B), may_go_back=True).obstacles == (str(fault),)

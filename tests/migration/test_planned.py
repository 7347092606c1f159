"""The plan of migrations: its risk, where it becomes irreversible, what it locks, and the hash that stands for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dbcustody.api.migration import FailOn, OnDrift
from dbcustody.migration.aim import Aim, Declaration
from dbcustody.migration.directive import Waiver
from dbcustody.migration.forecast import Risk
from dbcustody.migration.history import History, compare
from dbcustody.migration.ledger import Attempt, State
from dbcustody.migration.lint import judge, relations_of
from dbcustody.migration.patience import Limits
from dbcustody.migration.planned import MigrationPlan, Point, Policy, Prospect, held_locks, make_plan, plan_hash
from dbcustody.migration.script import Script, SourceFile, read_scripts

MAKE, FILL, DROP = (
    "create table t (a int)",
    "create index i on u (a);\nupdate u set a = 1 where b",
    "select 1;\n\nalter table u drop column c",
)


def scripts(*texts: str) -> tuple[Script, ...]:
    """Return migrations of *texts*."""
    source = read_scripts(
        SourceFile(name=f"20260101_{at:06}_x.sql", content=one.encode()) for at, one in enumerate(texts)
    )
    assert source.faults == ()
    return source.scripts


def plan(*texts: str, policy: Policy | None = None) -> MigrationPlan:
    """Return the plan of *texts*."""
    held = policy or Policy()
    return make_plan(judge(scripts(*texts), {}, waivers=held.waivers), Prospect.forth(history(*texts)), held)


def history(*texts: str, attempts: tuple[Attempt, ...] = ()) -> History:
    """Return how a database with *attempts* stands to *texts*."""
    return compare(scripts(*texts), attempts)


def attempt(state: State, ordinal: int = 1) -> Attempt:
    """Return what the ledger says of the first migration."""
    return Attempt(ordinal=ordinal, revision="20260101_000000", name="20260101_000000_x", state=state, checksum=None)


def test_a_plan_is_as_dangerous_as_its_worst_file() -> None:
    """Nothing has no risk."""
    assert [plan(*texts).risk for texts in ((), (MAKE,), (MAKE, FILL), (MAKE, FILL, DROP))] == [
        Risk.SAFE, Risk.SAFE, Risk.CAUTION, Risk.DESTRUCTIVE,
    ]  # fmt: skip


def test_the_first_statement_without_a_way_back() -> None:
    """With what is lost by it."""
    assert plan(MAKE).point_of_no_return is None
    dropped = Point(file="20260101_000001_x.sql", line=3, statement=2, why=("column c of u",))
    assert plan(MAKE, DROP, DROP).point_of_no_return == dropped


@pytest.mark.parametrize(
    ("fail_on", "refused"),
    [(FailOn.ERROR, ["drop-column"]), (FailOn.WARNING, ["grant-public", "drop-column"]), (FailOn.NEVER, [])],
)
def test_what_a_policy_refuses(fail_on: FailOn, refused: list[str]) -> None:
    """From its severity on, and never what somebody has waived."""
    texts = ("grant select on t to public", DROP, f"-- dbcustody: allow drop-column because x\n{DROP}")
    assert [one.rule for one in plan(*texts, policy=Policy(fail_on=fail_on)).refusals] == refused
    waived = Policy(fail_on=fail_on, waivers=(Waiver("drop-column", "x"), Waiver("grant-public", "y")))
    assert plan(*texts, policy=waived).refusals == ()


def test_a_lock_is_held_while_what_comes_behind_it_works() -> None:
    """To the end of its file; one that is taken later waits for less."""
    (judged,) = judge(
        scripts("alter table t add column c int; create index i on u (a); alter table v add column c int"), {}
    )
    assert [(str(held.lock.relation), held.lock.mode.label, held.words) for held in held_locks(judged)] == [
        ("t", "AccessExclusiveLock", "while all rows are read"),
        ("u", "ShareLock", "while all rows are read"),
        ("v", "AccessExclusiveLock", "for a moment"),
    ]


def test_relations_to_ask_about() -> None:
    """Those that were there before, each once."""
    assert list(map(str, relations_of(scripts(MAKE, FILL, "insert into s.b select a from u")))) == ["u", "s.b"]


def test_a_hash_stands_for_one_plan() -> None:
    """Another text, another order, another policy, another aim and another state of the database are another plan."""
    found, policy = history(MAKE, FILL), Policy()
    first, second = found.pending
    once = Prospect.forth(found)
    declared = Declaration(name="20260101_000000_x", state=State.RESOLVED_APPLIED, reason="x")
    variants = {
        plan_hash(once, policy),
        plan_hash(replace(once, fingerprint=""), policy),
        plan_hash(replace(once, fingerprint="as it is"), policy),
        plan_hash(replace(once, aim=Aim(forth=(first,))), policy),
        plan_hash(replace(once, aim=Aim(forth=(second, first))), policy),
        plan_hash(replace(once, aim=Aim(back=(second, first))), policy),
        plan_hash(replace(once, aim=Aim(back=(replace(second, down=second.up), first))), policy),
        plan_hash(replace(once, aim=Aim(forth=found.pending, declared=(declared,))), policy),
        plan_hash(replace(once, aim=Aim(forth=found.pending, declared=(replace(declared, reason="y"),))), policy),
        plan_hash(Prospect.forth(history(MAKE, f"{FILL} ")), policy),
        plan_hash(replace(once, aim=Aim(forth=(replace(first, name="other"), second))), policy),
        plan_hash(Prospect.forth(history(MAKE, FILL, attempts=(attempt(State.APPLIED),))), policy),
        plan_hash(once, replace(policy, fail_on=FailOn.NEVER)),
        plan_hash(once, replace(policy, allows_out_of_order=True)),
        plan_hash(once, replace(policy, drift=OnDrift.WARN)),
        plan_hash(once, replace(policy, exclude=("audit.*",))),
        plan_hash(once, replace(policy, limits=Limits(lock_attempts=1))),
        plan_hash(once, replace(policy, waivers=(Waiver("drop-table", "x"),))),
    }
    assert len(variants) == 18
    assert plan_hash(once, policy) == plan_hash(Prospect.forth(history(MAKE, FILL)), policy) == plan(MAKE, FILL).hash
    two = (Waiver("a", "x"), Waiver("b", "y"))
    assert plan_hash(once, Policy(waivers=two)) == plan_hash(once, Policy(waivers=two[::-1]))


def test_what_was_undone_is_another_plan_and_what_failed_is_the_same() -> None:
    """Nobody agreed to have it once more; a second try needs no second word."""
    undone = history(MAKE, FILL, attempts=(attempt(State.APPLIED), attempt(State.ROLLED_BACK, 2)))
    failed = history(MAKE, FILL, attempts=(attempt(State.FAILED),))
    before = plan_hash(Prospect.forth(history(MAKE, FILL)), Policy())
    assert undone.pending == failed.pending == scripts(MAKE, FILL)
    assert plan_hash(Prospect.forth(undone), Policy()) != before
    assert plan_hash(Prospect.forth(failed), Policy()) == before
    states = (State.APPLIED, State.ROLLED_BACK, State.FAILED, State.STARTED)
    assert [history(MAKE, attempts=(attempt(state),)).changes for state in states] == [1, 1, 0, 0]


def test_a_hash_stays_what_it_was() -> None:
    """What somebody agreed to yesterday is known again by the next version."""
    assert plan_hash(Prospect.forth(history(MAKE)), Policy()) == "b4ae9e593e52bde9"


def test_a_note_asks_for_nothing() -> None:
    """It refuses no plan, however strict, and makes no file less safe."""
    found = plan("create extension if not exists hstore", policy=Policy(fail_on=FailOn.WARNING))
    assert ([one.rule for one in found.findings], found.refusals, found.risk) == (["create-extension"], (), Risk.SAFE)

"""What the statements of a file, and files among each other, do to whoever waits for their locks."""

from __future__ import annotations

from dbcustody.migration.lint import judge
from dbcustody.migration.relation import Relation
from dbcustody.migration.script import SourceFile, read_scripts
from dbcustody.migration.tablefacts import TableFacts

ORDER = ("many-strong-locks", "lock-upgrade", "work-while-locked", "lock-order")
ADD_T, ADD_U = "alter table t add column c int", "alter table u add column c int"


def both(*statements: str) -> str:
    """Return *statements* as one file."""
    return "; ".join(statements)


def told(*texts: str, size_bytes: int = 2**30) -> list[tuple[str, str, int | None]]:
    """Return rule, severity and statement of what is found about the order of things in the last of *texts*."""
    source = read_scripts(
        SourceFile(name=f"20260101_{at:06}_x.sql", content=one.encode()) for at, one in enumerate(texts)
    )
    assert source.faults == ()
    facts = {Relation("", name): TableFacts(size_bytes=size_bytes) for name in "tu"}
    found = judge(source.scripts, facts)[-1].findings
    return [(one.rule, one.severity.label, one.statement) for one in found if one.rule in ORDER]


def test_several_tables_that_nobody_can_read() -> None:
    """One statement alone is judged by its own rules, and one table may be locked as often as one likes."""
    assert told(both(ADD_T, ADD_U)) == [("many-strong-locks", "Warning", None)]
    assert told("truncate t, u; drop table v") == [("many-strong-locks", "Warning", None)]
    assert told("drop table t, u") == []
    assert told(both(ADD_T, "alter table t add column d int")) == []


def test_a_lock_that_grows() -> None:
    """From reading or writing rows to keeping others out; the other way round is fine, and so is what others hardly feel."""
    assert told(both("insert into t values (1)", ADD_T)) == [("lock-upgrade", "Warning", 2)]
    assert told(both(ADD_T, "insert into t values (1)")) == []
    assert told("insert into t values (1); alter table t validate constraint k") == []


def test_rows_that_are_worked_on_while_others_wait() -> None:
    """As bad as what is worked on is large; rows that stand in the text itself are not many."""
    assert told(both(ADD_T, "update t set c = 1 where a")) == [("work-while-locked", "Error", 2)]
    assert told(both(ADD_T, "insert into u select a from t"), size_bytes=1) == [("work-while-locked", "Note", 2)]
    assert told(both(ADD_T, "alter table u validate constraint k")) == [("work-while-locked", "Error", 2)]
    assert told(both(ADD_T, "insert into u values (1)")) == []
    assert told(both(ADD_T, "select 1")) == []
    assert told("insert into u values (1); update t set c = 1 where a") == []


def test_two_files_that_lock_in_different_orders() -> None:
    """Whoever goes the one way meets whoever goes the other; a file outside of a transaction holds nothing."""
    there, back = both(ADD_T, ADD_U), f"{ADD_U.replace('c', 'd')}; {ADD_T.replace('c', 'd')}"
    assert ("lock-order", "Warning", None) in told(there, back)
    assert told(there, back).count(("lock-order", "Warning", None)) == 1
    assert ("lock-order", "Warning", None) not in told(there, there.replace(" c ", " d "))
    assert told(there, "create index concurrently i on t (a)") == []
    assert ("lock-order", "Warning", None) not in told("create index concurrently i on t (a)", there)

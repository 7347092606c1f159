"""A plan as people read it: SQL, locks and risks beside what status tells."""

from __future__ import annotations

from dataclasses import replace

from dbcustody.api.migration import (
    RiskClass,
    SeverityClass,
    StatedFinding,
    StatedMigration,
    StatedMigrationPlan,
    Way,
)
from dbcustody.api.migration_error import StatedError
from dbcustody.api.restore import StatedObstacle
from dbcustody.migration.layout import LaidFile
from dbcustody.migration.lock import Mode
from dbcustody.migration.tree import read_files
from dbcustody.plan.migration_text import error_line, finding_line, plan_lines

NAME = "20260131_120000_amounts"
FILES = [LaidFile(path=f"{NAME}.sql", content=b"alter table orders alter column amount type bigint")]
FINDING = StatedFinding(migration=f"{NAME}.sql", rule="change-type", severity=SeverityClass.ERROR, message="m", line=1)
PLAN = StatedMigrationPlan(
    hash="abc", migrations=(StatedMigration(name=NAME, risk=RiskClass.CAUTION, irreversible=True),)
)


def test_sql_locks_and_recipe() -> None:
    """A finding that is waived shows no recipe; one of another file stands with that."""
    other = replace(FINDING, migration="other.sql")
    lines = list(plan_lines(replace(PLAN, findings=(FINDING, other)), read_files(FILES).scripts, pending=1))
    assert lines[:3] == [
        f"{NAME}: Caution, irreversible",
        "  AccessExclusiveLock on orders while all rows are written anew: readers and writers wait",
        "    alter table orders alter column amount type bigint;",
    ]
    assert lines[3] == "  line 1: Error change-type: m"
    assert lines[4].startswith("      -- 1 of ")
    waived = list(
        plan_lines(replace(PLAN, findings=(replace(FINDING, waived=True),)), read_files(FILES).scripts, pending=1)
    )
    assert waived[3:] == ["  line 1: Error change-type: m (waived)"]


def test_what_has_no_room_and_what_is_in_the_way() -> None:
    """A file that is gone is said to be."""
    obstacle = StatedObstacle(reason="LintFailed", message="too risky")
    lines = list(plan_lines(replace(PLAN, obstacles=(obstacle,)), read_files([]).scripts, pending=4))
    assert lines == [
        f"{NAME}: Caution, irreversible",
        "  its file is not in the source any more",
        "and 3 more",
        "in the way: LintFailed: too risky",
    ]


def test_what_is_undone_shows_its_way_back() -> None:
    """Not the SQL that is taken back."""
    back = LaidFile(path=f"{NAME}.down.sql", content=b"alter table orders alter column amount type int")
    lines = list(plan_lines(replace(PLAN, way=Way.BACK), read_files([*FILES, back]).scripts, pending=0))
    assert lines == [
        f"{NAME}: Caution, irreversible, is undone",
        "    alter table orders alter column amount type int;",
    ]
    assert list(plan_lines(replace(PLAN, way=Way.BACK), read_files(FILES).scripts, pending=0)) == [
        f"{NAME}: Caution, irreversible, is undone",
        "  it has no way back in the source any more",
    ]


def test_a_finding_without_a_line() -> None:
    """It concerns the file as a whole."""
    assert finding_line(replace(FINDING, line=None)) == "Error change-type: m"


def test_who_waits_for_a_lock() -> None:
    """In words, as the manual's table of conflicts says it."""
    assert [mode.harm for mode in (Mode.ACCESS_EXCLUSIVE, Mode.SHARE, Mode.SHARE_UPDATE_EXCLUSIVE)] == [
        "readers and writers wait",
        "writers wait",
        "nobody waits",
    ]


def test_a_finding_stands_with_its_file_whatever_that_is_called() -> None:
    """In the folder of another tool all files have one name."""
    path = "20260131120000_amounts/migration.sql"
    files = [LaidFile(path=path, content=FILES[0].content)]
    stated = replace(
        PLAN,
        migrations=(StatedMigration(name="20260131120000_amounts", risk=RiskClass.CAUTION),),
        findings=(replace(FINDING, migration=path),),
    )
    lines = list(plan_lines(stated, read_files(files).scripts, pending=1))
    assert "  line 1: Error change-type: m" in lines


def test_an_error_is_one_line() -> None:
    """With as much as is known of it."""
    kept = StatedError(sqlstate="23505", revision=NAME)
    told = replace(kept, statement_number=2, line=3, file=f"{NAME}.sql", schema="crm", table="people", message="no")
    assert [
        error_line(one)
        for one in (kept, replace(told, constraint="one_each"), replace(told, line=None, table=None, column="email"))
    ] == [
        f"{NAME} (SQLSTATE 23505)",
        f"{NAME}.sql: line 3, statement 2: no (SQLSTATE 23505, table crm.people, constraint one_each)",
        f"{NAME}.sql: statement 2: no (SQLSTATE 23505, schema crm, column email)",
    ]

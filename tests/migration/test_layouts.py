"""Folders of other tools: whose they are, what is in them, in which order, and what is wrong with them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dbcustody.migration.fault import Fault
from dbcustody.migration.foreign_folder import lay_out, rank_of, recognise
from dbcustody.migration.layout import LaidFile, Layout, Tool
from dbcustody.migration.successor import successor

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def laid(tool: Tool, **files: str | bytes) -> Layout:
    """Return what the folder of *tool* holds; `__` in a name is as it is, paths are given as names of *files*."""
    return of(tool, dict(files))


def of(tool: Tool, files: dict[str, str | bytes]) -> Layout:
    """Return what the folder of *tool* with *files* holds."""
    given = [
        LaidFile(path=path, content=text if isinstance(text, bytes) else text.encode()) for path, text in files.items()
    ]
    return lay_out(tool, given)


def told(layout: Layout) -> list[str]:
    """Return the faults of the folder."""
    return [str(fault) for fault in layout.faults]


@pytest.mark.parametrize(
    ("paths", "tool"),
    [
        (["20230101_init/migration.sql"], Tool.PRISMA),
        (["migration_lock.toml"], Tool.PRISMA),
        (["V1__init.sql"], Tool.FLYWAY),
        (["deep/er/V1_2__init.sql"], Tool.FLYWAY),
        (["1_init.up.sql", "1_init.down.sql"], Tool.GOLANG_MIGRATE),
        (["20230101120000_init.sql", "atlas.sum"], Tool.ATLAS),
        (["1_init.up.sql", "atlas.sum"], Tool.ATLAS),
        (["20230101_120000_init.sql", "20230101_120000_init.down.sql"], None),
        (["init.sql", "a/b/migration.sql"], None),
        ([], None),
    ],
)
def test_whose_a_folder_is(paths: list[str], tool: Tool | None) -> None:
    """By the names of its files; ours and nobody's are told apart elsewhere."""
    assert recognise(paths) is tool


def test_a_folder_of_two_tools_is_a_fault() -> None:
    """Whatever is left out would be left out in silence."""
    found = recognise(["V1__a.sql", "1_a.up.sql"])
    assert isinstance(found, Fault)
    assert str(found).startswith(
        "the folder has files as Flyway and golang-migrate name them; say which it is: flyway, or golang-migrate"
    )


def test_prisma() -> None:
    """By the names of the folders; its way back is where its guide puts it, and no migration is lost in silence."""
    found = of(
        Tool.PRISMA,
        {
            "migration_lock.toml": 'provider = "postgresql"\n',
            "20230102000000_b/migration.sql": "select 2;",
            "20230101000000_a/migration.sql": "select 1;",
            "20230101000000_a/down.sql": "select 0;",
            "20230101000000_a/steps.json": "{}",
            "stray.sql": "select 3;",
        },
    )
    first, second = found.scripts
    assert (found.faults, found.asides) == (
        (),
        ("20230101000000_a/steps.json: is none of Prisma's", "stray.sql: is none of Prisma's"),
    )
    assert (first.name, first.revision, first.parents) == ("20230101000000_a", "20230101000000_a", ())
    assert (second.parents, second.down, second.up.file) == (
        ("20230101000000_a",),
        None,
        "20230102000000_b/migration.sql",
    )
    assert first.down is not None
    assert first.down.text == "select 0;"


def test_what_is_wrong_with_a_folder_of_prisma() -> None:
    """All of it together."""
    found = of(Tool.PRISMA, {"migration_lock.toml": 'provider = "mysql"\n', "20230101000000_a/down.sql": "select 0;"})
    assert told(found) == [
        "20230101000000_a: is a folder without migration.sql; bring the file back, or delete the folder when it never ran anywhere",
        "migration_lock.toml: says that the migrations are for mysql; name the folder of migrations for PostgreSQL",
    ]
    assert of(Tool.PRISMA, {"migration_lock.toml": "# nothing\n"}).faults == ()


def test_flyway() -> None:
    """Versions are numbers part by part; what undoes them stands beside them, and what is not versioned is told."""
    found = of(
        Tool.FLYWAY,
        {
            "V10__ten.sql": "select 10;",
            "V2__two.sql": "select 2;",
            "V1_2__part.sql": "select 12;",
            "sub/V1.10.0__part.sql": "select 110;",
            "U2.0__two.sql": "select -2;",
            "R__view.sql": "select 0;",
            "B5__base.sql": "select 5;",
            "beforeMigrate.sql": "select 7;",
        },
    )
    assert [(one.key, one.name) for one in found.migrations] == [
        ("1.2", "V1_2__part"), ("1.10", "V1.10.0__part"), ("2", "V2__two"), ("10", "V10__ten")
    ]  # fmt: skip
    assert [script.down is not None for script in found.scripts] == [False, False, True, False]
    assert [words.partition(":")[0] for words in found.asides] == ["B5__base.sql", "R__view.sql", "beforeMigrate.sql"]


def test_what_is_wrong_with_a_folder_of_flyway() -> None:
    """One version twice, an undo of nothing, a name that Flyway would pass over."""
    found = of(
        Tool.FLYWAY,
        {"V1__a.sql": "select 1;", "V1.0__b.sql": "select 1;", "U3__c.sql": "select 1;", "V4_d.sql": "select 1;"},
    )
    assert [words.partition(";")[0] for words in told(found)] == [
        "V4_d.sql: is not named as Flyway names migrations",
        "V1__a.sql: is of version 1, and so is V1.0__b.sql",
        "U3__c.sql: undoes version 3, which is not there",
    ]


def test_golang_migrate() -> None:
    """Versions are numbers, however many zeros they begin with; the rest is left out, and said so."""
    found = of(
        Tool.GOLANG_MIGRATE,
        {
            "10_ten.up.sql": "select 10;",
            "000009_nine.up.sql": "select 9;",
            "000009_nine.down.sql": "select -9;",
            "tool.go": "package main",
        },
    )
    assert [(one.key, one.name) for one in found.migrations] == [("9", "000009_nine"), ("10", "10_ten")]
    assert [script.down is not None for script in found.scripts] == [True, False]
    assert found.asides == ("tool.go: is none of golang-migrate's",)


def test_what_is_wrong_with_a_folder_of_golang_migrate() -> None:
    """One version twice, two ways back, a way back from nowhere."""
    found = of(
        Tool.GOLANG_MIGRATE,
        {
            "1_a.up.sql": "select 1;",
            "01_b.up.sql": "select 1;",
            "1_a.down.sql": "select 1;",
            "01_b.down.sql": "select 1;",
            "2_c.down.sql": "select 1;",
        },
    )
    assert [words.partition(";")[0] for words in told(found)] == [
        "1_a.up.sql: is of version 1, and so is 01_b.up.sql",
        "1_a.down.sql: is a second way back from version 1",
        "2_c.down.sql: is the way back from version 2, which is not there",
    ]


def test_atlas() -> None:
    """By the names of its files, checkpoints left out; its sums are told when they do not fit."""
    found = of(
        Tool.ATLAS,
        {
            "2_b.sql": "select 2;",
            "1_a.sql": "select 1;",
            "3_c.sql": "-- atlas:checkpoint\n\nselect 3;",
            "sub/4_d.sql": "select 4;",
            "atlas.sum": "h1:x\n1_a.sql h1:y\n",
        },
    )
    assert [(one.key, one.name) for one in found.migrations] == [("1", "1_a"), ("2", "2_b")]
    assert [words.partition(":")[0] for words in found.asides] == ["3_c.sql", "atlas.sum"]
    assert of(Tool.ATLAS, {"1_a.sql": "select 1;"}).asides[0].startswith("atlas.sum: is not there")


def test_atlas_in_a_folder_of_golang_migrate() -> None:
    """Each way forth is a version, each way back belongs to it."""
    found = of(Tool.ATLAS, {"1_a.up.sql": "select 1;", "1_a.down.sql": "select 0;", "1_b.up.sql": "select 2;"})
    assert [(one.key, one.name, one.down is not None) for one in found.migrations] == [
        ("1", "1_a", True),
        ("1", "1_b", False),
    ]
    assert told(found)[0].startswith("1_b.up.sql: is of version 1, and so is 1_a.up.sql")


def test_what_is_wrong_with_a_file_stands_at_its_script() -> None:
    """It may be in already; then it is nobody's to refuse."""
    found = of(
        Tool.FLYWAY,
        {
            "V1__begin.sql": "begin;\nselect 1;\n",
            "V2__fill.sql": "select '${name}';\n",
            "V3__head.sql": "-- dbcustody: revision x1\nselect 1;\n",
            "V4__good.sql": "select 1;\n",
            "U4__good.sql": "-- nothing\n",
        },
    )
    assert found.faults == ()
    assert [[str(fault).partition(";")[0] for fault in script.faults] for script in found.scripts] == [
        ["V1__begin.sql: line 1, column 1: BEGIN is not a migration's to say"],
        ["V2__fill.sql: has the placeholder ${name}, which only Flyway fills in"],
        ["V3__head.sql: says its revision or down-revision, and lies in the folder of another tool"],
        [],
    ]
    assert next(str(fault) for fault in found.scripts[3].down_faults).startswith("U4__good.sql: holds no statement")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfselect 1;\r\n", "select 1;\n"),
        (b"select '\xff';", "select '\ufffd';"),
        (b"select\0 1;", "select\ufffd 1;"),
    ],
)
def test_of_what_is_no_text_of_ours_is_kept_what_can_be(content: bytes, text: str) -> None:
    """So that it can be written into the ledger; it is not run."""
    (script,) = of(Tool.PRISMA, {"1_a/migration.sql": content}).scripts
    assert (script.up.text, script.up.statements, len(script.faults)) == (text, (), 1)


@pytest.mark.parametrize(
    ("tool", "files", "paths"),
    [
        (Tool.PRISMA, [], ("20260131120000_x/migration.sql", "20260131120000_x/down.sql")),
        (
            Tool.PRISMA,
            ["20991231235959_a/migration.sql"],
            ("21000101000000_x/migration.sql", "21000101000000_x/down.sql"),
        ),
        (Tool.FLYWAY, [], ("V1__x.sql", "U1__x.sql")),
        (Tool.FLYWAY, ["V9__a.sql", "V10.2__a.sql"], ("V11__x.sql", "U11__x.sql")),
        (Tool.FLYWAY, ["V20230101120000__a.sql"], ("V20260131120000__x.sql", "U20260131120000__x.sql")),
        (Tool.GOLANG_MIGRATE, [], ("000001_x.up.sql", "000001_x.down.sql")),
        (Tool.GOLANG_MIGRATE, ["0009_a.up.sql"], ("0010_x.up.sql", "0010_x.down.sql")),
        (Tool.GOLANG_MIGRATE, ["1485949617_a.up.sql"], ("1485949618_x.up.sql", "1485949618_x.down.sql")),
        (Tool.ATLAS, ["20230101120000_a.sql"], ("20260131120000_x.sql", "20260131120000_x.down.sql")),
    ],
)
def test_the_next_one_is_called_as_the_tool_calls_it(tool: Tool, files: list[str], paths: tuple[str, str]) -> None:
    """Later than every other there."""
    found = of(tool, dict.fromkeys(files, "select 1;"))
    assert successor(found, "x", NOW) == paths
    later = of(tool, dict.fromkeys([*files, paths[0]], "select 1;"))
    assert later.migrations[-1].up.path == paths[0]


def test_versions_are_sorted_as_the_tool_sorts_them() -> None:
    """As numbers or as text; what is no version of its is refused."""
    assert rank_of(Tool.FLYWAY, "1.9") < rank_of(Tool.FLYWAY, "1.10") < rank_of(Tool.FLYWAY, "2")
    assert rank_of(Tool.GOLANG_MIGRATE, "9") < rank_of(Tool.GOLANG_MIGRATE, "10")
    assert rank_of(Tool.ATLAS, "10") < rank_of(Tool.ATLAS, "9")
    assert rank_of(Tool.PRISMA, "10") < rank_of(Tool.PRISMA, "9")
    with pytest.raises(ValueError, match="no version of Flyway"):
        rank_of(Tool.FLYWAY, "first")

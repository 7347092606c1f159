"""Whose a folder is and which of its files count, by names alone; and that a person's word goes before what it looks like."""

from __future__ import annotations

import pytest

from dbcustody.api.migration_source import SourceFormat
from dbcustody.migration.fault import Fault
from dbcustody.migration.layout import LaidFile, Tool
from dbcustody.migration.shape import Shape
from dbcustody.migration.tree import FORMS, files_of, form_of, owner_of, read_files

OURS = "20260131_120000_begin.sql"
PRISMA = "20260131120000_begin/migration.sql"
ALEMBIC = "versions/1234abcd_begin.py"
REVISION = b'revision = "1234abcd"\ndown_revision = None\n\n\ndef upgrade():\n    op.execute("select 1")\n'


def laid(*paths: str, content: bytes = b"select 1;\n") -> list[LaidFile]:
    """Return files at *paths*."""
    return [LaidFile(path=path, content=content) for path in paths]


@pytest.mark.parametrize(
    ("paths", "owner"),
    [
        ([], Shape.SQL),
        ([OURS, "README.md", ".gitkeep"], Shape.SQL),
        ([PRISMA, "migration_lock.toml", "README.md"], Tool.PRISMA),
        (["V1__begin.sql"], Tool.FLYWAY),
        (["1_begin.up.sql", "1_begin.down.sql"], Tool.GOLANG_MIGRATE),
        (["20260131120000.sql", "atlas.sum"], Tool.ATLAS),
        ([ALEMBIC, "env.py", "script.py.mako", "versions/__pycache__/1234abcd_begin.cpython-313.pyc"], Shape.ALEMBIC),
        (["1234abcd_begin.py", "__init__.py"], Shape.ALEMBIC),
        ([OURS, "20260201_120000_more.py"], Shape.SQL),
        ([OURS, ".old/V1__begin.sql"], Shape.SQL),
    ],
)
def test_names_tell_whose_it_is(paths: list[str], owner: Shape | Tool) -> None:
    """What is hidden, and texts for people, tell nothing."""
    assert owner_of(paths) is owner


def test_a_folder_of_two_is_nobodys_without_a_word() -> None:
    """With one it is whose a person says."""
    found = owner_of([OURS, "V1__begin.sql"])
    assert isinstance(found, Fault)
    assert (found.file, "as Flyway names them" in found.what) == (OURS, True)
    assert owner_of([OURS, "V1__begin.sql"], "flyway") is Tool.FLYWAY
    assert owner_of([OURS, "V1__begin.sql"], "sql") is Shape.SQL
    assert isinstance(owner_of(["V1__begin.sql", "1_begin.up.sql"]), Fault)


@pytest.mark.parametrize(
    ("owner", "counted"),
    [
        (Shape.SQL, [OURS]),
        (Shape.ALEMBIC, [ALEMBIC]),
        (Tool.PRISMA, [OURS, PRISMA, ALEMBIC]),
    ],
)
def test_only_what_is_its_owners_counts(owner: Shape | Tool, counted: list[str]) -> None:
    """The rest may lie there, and differ from build to build; in a tool's folder nothing is passed over without a word."""
    assert files_of(owner, [OURS, PRISMA, ALEMBIC, "README.md", ".hidden/x.sql"]) == counted


def test_revisions_beside_each_other_count_where_there_is_no_inner_folder() -> None:
    """As where only the folder `versions` was copied."""
    assert files_of(Shape.ALEMBIC, ["1234abcd_begin.py", "__init__.py", "sub/x.py"]) == ["1234abcd_begin.py"]


def test_what_is_read_is_told_with_what_was_read() -> None:
    """In the order of whoever laid it out."""
    ours = read_files(laid(OURS, "README.md"))
    assert ([one.name for one in ours.scripts], [one.path for one in ours.files]) == ([OURS[:-4]], [OURS])
    prisma = read_files(laid(PRISMA, "README.md"))
    assert prisma.layout is not None
    assert ([one.name for one in prisma.scripts], prisma.layout.tool, prisma.is_alembic) == (
        ["20260131120000_begin"],
        Tool.PRISMA,
        False,
    )
    alembic = read_files(laid(ALEMBIC, content=REVISION))
    assert ([one.revision for one in alembic.scripts], alembic.is_alembic) == (["1234abcd"], True)


def test_what_stands_in_config_maps_is_ours_until_somebody_says_another() -> None:
    """A name that was a fault does not run because somebody upgrades."""
    assert form_of(SourceFormat.AUTO, in_image=False) == "sql"
    assert form_of(SourceFormat.AUTO, in_image=True) == "auto"
    assert {form_of(one, in_image=False) for one in SourceFormat if one is not SourceFormat.AUTO} == set(FORMS) - {
        "auto"
    }


def test_what_a_tool_does_not_read_counts_for_nothing() -> None:
    """The source is known by its migrations."""
    found = read_files(laid("V1__begin.sql", "U1__begin.sql", "other.sql"), "flyway")
    assert sorted(one.path for one in found.files) == ["U1__begin.sql", "V1__begin.sql"]


def test_faults_are_told_and_nothing_is_to_be_run() -> None:
    """Of the folder, of the files, and of another tool's."""
    assert [str(one)[:25] for one in read_files(laid(OURS, "V1__begin.sql")).faults] == [f"{OURS}"[:25]]
    assert read_files(laid("begin.sql"), "sql").faults
    flyway = read_files(laid("V1__begin.sql", "V1_0__begin.sql"))
    assert (bool(flyway.faults), flyway.scripts) == (True, ())


@pytest.mark.parametrize("path", [OURS, PRISMA, "V1__begin.sql", "1234abcd_begin.py"])
def test_a_name_that_comes_twice_is_a_fault(path: str) -> None:
    """As when two ConfigMaps have it: none of them is passed over."""
    (fault,) = read_files([*laid(path, content=REVISION), *laid(path)]).faults
    assert (fault.file, fault.what) == (path, "is given 2 times")

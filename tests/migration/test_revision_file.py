"""Revisions in Python are read without being run: what they are called, what they follow, and what is wrong with them."""

from __future__ import annotations

import pytest

from dbcustody.migration.alembic_source import is_revision, read_alembic
from dbcustody.migration.fault import Fault
from dbcustody.migration.revision_file import ReadRevision, read_revision
from dbcustody.migration.script import Script, Source, SourceFile, read_scripts
from dbcustody.migration.shape import Shape, shape_of

_RUNS = "raise SystemExit('this must not run')\n"


def read(text: str) -> ReadRevision:
    """Return what a file of *text* says."""
    return read_revision("a.py", text.encode())


def faults(text: str) -> list[str]:
    """Return what is wrong with a file of *text*."""
    return [fault.what for fault in read(text).faults]


def written(revision: str, down: object, *, more: str = "", up: str = "pass", back: str = "pass") -> str:
    """Return a file."""
    return f"{_RUNS}revision = {revision!r}\ndown_revision = {down!r}\n{more}\ndef upgrade():\n    {up}\n\ndef downgrade():\n    {back}\n"


def source(**texts: str) -> Source:
    """Return the folder of files of *texts*, by their names without ending."""
    return read_alembic(SourceFile(name=f"{name}.py", content=text.encode()) for name, text in texts.items())


def script_of(text: str) -> Script:
    """Return the only script of a folder."""
    found = source(a=text)
    assert found.faults == ()
    return found.scripts[0]


def test_it_says_its_place_and_is_not_run() -> None:
    """One parent, several, none; as an annotated constant, too; and what it needs of other branches."""
    one = read(
        "revision: str = 'b'\ndown_revision: str | None = 'a'\ndepends_on = 'x'\nbranch_labels = ('web', 'app')\ndef upgrade(): ...\n"
    )
    assert (one.said.revision, one.said.downs, one.said.depends, one.said.labels) == (
        "b",
        ("a",),
        ("x",),
        ("web", "app"),
    )
    assert read(written("b", ("a", "c"))).said.downs == ("a", "c")
    assert read(written("b", {"c", "a"})).said.downs == ("a", "c")
    assert read(written("b", None)).said.downs == ()
    assert read("def upgrade(): ...\n").said.downs is None
    assert read("x = revision = 'b'\ny: int\ndown_revision = None\ndef upgrade(): ...\n").said.revision == "b"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("revision = make()\ndef upgrade(): ...\n", "revision is no literal text"),
        ("down_revision = PARENT\ndef upgrade(): ...\n", "down_revision is no literal text"),
        ("down_revision = ('a', 1)\ndef upgrade(): ...\n", "down_revision is no literal text"),
        ("revision = 7\ndef upgrade(): ...\n", "revision is no literal text"),
        ("revision = 'a'\n", "has no function upgrade"),
        ("def upgrade(:\n", "is no Python: invalid syntax"),
        ("revision = 'a'\ndown_revision = 'a'\ndef upgrade(): ...\n", "comes after a, which is itself"),
        ("revision = 'a-b'\ndef upgrade(): ...\n", "revision holds a blank, '@', '+' or '-', which Alembic reads as a step"),
        ("# dbcustody: allow\ndef upgrade(): ...\n", "allow cannot be ''"),
        ("# dbcustody: transaction off\ndef upgrade(): ...\n", "the directive transaction is for SQL"),
        ("# dbcustody: down-revision x\ndef upgrade(): ...\n", "the directive down-revision is for SQL"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(text: str, what: str) -> None:
    """In words, and only that."""
    assert faults(text) == [what]


def test_x2_a_revision_that_alembic_could_not_keep_is_a_fault() -> None:
    """Its column has room for 32 characters; also of what it follows."""
    long = "20260101_120000_a_name_that_is_too_long"
    assert faults(written(long, None)) == ["revision has 39 characters, and Alembic keeps it in a VARCHAR(32)"]
    assert faults(written("a", long)) == ["down_revision has 39 characters, and Alembic keeps it in a VARCHAR(32)"]
    assert faults(written("a" * 32, None)) == []


def test_a_place_is_told_where_there_is_one() -> None:
    """Of syntax and of what is no literal; what is no text at all has its own words."""
    assert str(read("\n\nrevision = f()\ndef upgrade(): ...\n").faults[0]).startswith("a.py: line 3, column 12: ")
    assert str(read("def upgrade(): ...\n  x\n").faults[0]).startswith("a.py: line 2, column ")
    assert read_revision("a.py", b"\xff").faults[0].file == "a.py"
    assert read("(" * 10_000).faults[0].helps == "correct it; nothing of it was run"
    for deep in ("-" * 5_000 + "1", "-" * 100_000 + "1"):
        assert str(read(deep).faults[0]) == "a.py: is no Python that can be read; correct it; nothing of it was run"


@pytest.mark.parametrize(
    ("body", "is_there"),
    [
        ("pass", False),
        ("'''Undo it.'''", False),
        ("...", False),
        ("return", False),
        ("return None", False),
        ("raise NotImplementedError", False),
        ("'''No.'''; pass; raise NotImplementedError('no')", False),
        ("op.drop_table('a')", True),
        ("return op.drop_table('a')", True),
    ],
)
def test_a_way_back_that_does_nothing_is_none(body: str, is_there: bool) -> None:  # noqa: FBT001
    """Alembic's template writes an empty one, which succeeds and undoes nothing."""
    assert (script_of(written("a", None, back=body)).down is not None) is is_there


def test_a_way_back_may_come_from_elsewhere() -> None:
    """Imported, or bound; where there is none at all, there is no way back."""
    head = "revision = 'a'\ndown_revision = None\ndef upgrade(): ...\n"
    assert script_of(f"{head}from other import downgrade\n").down is not None
    assert script_of(f"{head}import other as downgrade\n").down is not None
    assert script_of(f"{head}downgrade = upgrade\n").down is not None
    assert script_of(head).down is None
    assert read("from other import upgrade\n").faults == ()


_BLOCK = "with op.get_context().autocommit_block():\n        "


@pytest.mark.parametrize(
    ("up", "is_transactional", "is_mixed"),
    [
        ("op.create_table('a')", True, False),
        (f"{_BLOCK}op.create_index('a', 'b', ['c'], postgresql_concurrently=True)", False, False),
        (f"'''Do it.'''\n    {_BLOCK}op.execute('vacuum')", False, False),
        (f"op.create_table('a')\n    {_BLOCK}op.execute('vacuum')", False, True),
        (f"{_BLOCK}op.execute('vacuum')\n    op.create_table('a')", False, True),
        (f"{_BLOCK}op.execute('vacuum')\n        op.execute('vacuum')", False, True),
        (f"{_BLOCK}op.execute(op.get_bind().scalar('select 1'))", False, True),
        (f"{_BLOCK}x = 1", False, True),
        (f"if x:\n      {_BLOCK}op.execute('vacuum')", False, True),
        ("leave()", False, True),
        ("other()", True, False),
    ],
)
def test_how_it_stands_to_its_transaction_is_seen(up: str, is_transactional: bool, is_mixed: bool) -> None:  # noqa: FBT001
    """Nothing but one call in one block can be run by itself; whatever else commits in the middle."""
    more = f"def leave():\n    {_BLOCK}op.execute('vacuum')\n"
    found = script_of(written("a", None, more=more, up=up)).up
    assert (found.is_transactional, found.is_mixed) == (is_transactional, is_mixed)


def test_its_head_speaks_as_that_of_sql() -> None:
    """In comments, wherever they stand; in a text they say nothing."""
    found = read(
        "# dbcustody: budget 10min\nx = '''\n# dbcustody: nonsense\n'''\ndef upgrade():\n"
        "    pass  # dbcustody: allow drop-table because old\n"
    )
    assert found.faults == ()
    assert found.up is not None
    assert (found.up.directives.budget_seconds, [one.rule for one in found.up.directives.waivers]) == (
        600,
        ["drop-table"],
    )


def test_a_folder_is_ordered_by_what_follows_what() -> None:
    """Whatever the files are called; where there is a choice by their names."""
    found = source(
        z=written("a", None), b=written("c", "a"), a=written("b", "a"), m=written("d", ("b", "c")), e=written("e", "d")
    )
    assert (found.faults, [one.name for one in found.scripts]) == ((), ["z", "a", "b", "m", "e"])
    assert [one.parents for one in found.scripts] == [(), ("a",), ("a",), ("b", "c"), ("d",)]


def test_what_it_depends_on_comes_before_it() -> None:
    """A revision of another branch, or the one that has its label."""
    found = source(
        a=written("x1", None, more="branch_labels = 'web'\ndepends_on = 'app'"),
        b=written("y1", None, more="branch_labels = ('app',)"),
        c=written("y2", "y1", more="depends_on = ('x1',)"),
    )
    assert [(one.revision, one.parents, one.depends) for one in found.scripts] == [
        ("y1", (), ()),
        ("x1", ("y1",), ("y1",)),
        ("y2", ("y1", "x1"), ("x1",)),
    ]


def test_all_faults_of_a_folder_are_told_together() -> None:
    """No revision, no parent said, the same one twice, one that is not there, a circle; and with an unreadable file nobody is missed."""
    assert [str(one).split(";")[0] for one in source(
        a="def upgrade(): ...\n",
        b="revision = 'b'\ndef upgrade(): ...\n",
        c=written("c", "gone"),
        d=written("c", None),
        e=written("e", "f"),
        f=written("f", "e"),
    ).faults] == [
        "a.py: names no revision",
        "b.py: does not say what it follows",
        "d.py: has the revision c, which c.py has, too",
        "e.py: follows itself by way of others, or follows one that does",
        "f.py: follows itself by way of others, or follows one that does",
    ]  # fmt: skip
    assert [one.what for one in source(c=written("c", "gone")).faults] == ["comes after gone, which is not there"]
    assert [one.what for one in source(c=written("c", "gone"), x="(").faults] == ["is no Python: '(' was never closed"]


def test_x1_one_that_overwrote_another_follows_itself() -> None:
    """Two of one second in Alembic's own naming: the survivor names the lost one, which was called as it is."""
    (fault,) = source(a=written("20260101_120000", "20260101_120000")).faults
    assert (fault.what, "overwrote" in fault.helps) == ("comes after 20260101_120000, which is itself", True)


def test_x1_two_of_one_second_are_told() -> None:
    """SQL beside Python as well; and Python has its way back in itself."""
    names = ("20260131_020000_a.py", "20260131_020000_b.sql", "20260131_030000_c.py", "20260131_030000_c.down.sql")
    found = read_scripts(
        SourceFile(name=name, content=b"def upgrade(): ...\n" if name.endswith("py") else b"select 1") for name in names
    )
    assert [str(one).split(";")[0] for one in found.faults] == [
        "20260131_020000_a.py: is of the same second as 20260131_020000_b.sql",
        "20260131_020000_b.sql: is of the same second as 20260131_020000_a.py",
        "20260131_030000_c.down.sql: is a way back from 20260131_030000_c.py, whose way back is its function downgrade",
        "20260131_020000_b.sql: has the revision 20260131_020000, which 20260131_020000_a.py has, too",
    ]


def test_x8_python_and_sql_are_one_chain() -> None:
    """Where nothing is said each follows the file before it, by whatever revision that has."""
    texts = {
        "20260101_000000_a.sql": "select 1",
        "20260102_000000_b.py": "revision = 'bee'\ndef upgrade(): ...\n",
        "20260103_000000_c.sql": "select 1",
        "20260104_000000_d.py": "down_revision = 'bee'\ndepends_on = '20260103_000000'\ndef upgrade(): ...\n",
    }
    found = read_scripts(SourceFile(name=name, content=text.encode()) for name, text in texts.items())
    assert found.faults == ()
    assert [(one.revision, one.parents, one.is_python) for one in found.scripts] == [
        ("20260101_000000", (), False),
        ("bee", ("20260101_000000",), True),
        ("20260103_000000", ("bee",), False),
        ("20260104_000000", ("bee", "20260103_000000"), True),
    ]


@pytest.mark.parametrize(
    ("names", "has_versions", "shape"),
    [
        ((), False, Shape.SQL),
        (("env.py", "script.py.mako", "README"), True, Shape.ALEMBIC),
        (("20260101_000000_a.sql",), True, Shape.SQL),
        (("abc_first.py", "__init__.py"), False, Shape.ALEMBIC),
        (("20260101_000000_a.py", "abc_first.py"), False, Shape.ALEMBIC),
        (("20260101_000000_a.py",), False, Shape.SQL),
        (("abc_first.py", "20260101_000000_a.sql"), False, Shape.SQL),
        (("__init__.py",), False, Shape.SQL),
    ],
)
def test_what_a_folder_is(names: tuple[str, ...], has_versions: bool, shape: Shape) -> None:  # noqa: FBT001
    """By its names alone."""
    assert shape_of(names, has_versions=has_versions) is shape


def test_what_alembic_would_read() -> None:
    """Python, and neither a package's beginning nor what an editor left."""
    names = ("a.py", "__init__.py", ".#a.py", "a.pyc", "a.sql", ".a.py", "env.py")
    assert [name for name in names if is_revision(name)] == ["a.py", "env.py"]


def test_a_fault_is_of_its_file() -> None:
    """Whoever is told of it finds it."""
    assert all(isinstance(one, Fault) and one.file == "a.py" for one in read("revision = 1\n").faults)

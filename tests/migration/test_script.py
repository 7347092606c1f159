"""Scripts: read from files of a source, with their places in the chain, and every fault of every file in one list."""

from __future__ import annotations

from dbcustody.migration.script import Script, Source, SourceFile, read_scripts


def source(**files: str | bytes) -> Source:
    """Return the source of *files*, whose names are short: `_3_a` is the one of the third of January."""
    given = [
        SourceFile(name=long_name(name), content=text if isinstance(text, bytes) else text.encode())
        for name, text in files.items()
    ]
    return read_scripts(given)


def long_name(short: str) -> str:
    """Return the name of a file for a *short* one."""
    _, day, slug = short.split("_", 2)
    return f"2026010{day}_000000_{slug.replace('__down', '.down')}.sql"


def script(found: Source, number: int) -> Script:
    """Return a script of a source without faults."""
    assert found.faults == ()
    return found.scripts[number]


def test_scripts_are_in_the_order_of_their_names() -> None:
    """Whatever the order of the files, each follows the one before, and the way back goes with its way forth."""
    found = source(_3_c="select 3", _1_a="select 1", _2_b__down="select -2", _2_b="select 2")
    assert [(one.name, one.revision, one.parents) for one in found.scripts] == [
        ("20260101_000000_a", "20260101_000000", ()),
        ("20260102_000000_b", "20260102_000000", ("20260101_000000",)),
        ("20260103_000000_c", "20260103_000000", ("20260102_000000",)),
    ]
    back = script(found, 1).down
    assert back is not None
    assert (back.file, back.text) == ("20260102_000000_b.down.sql", "select -2")
    assert script(found, 0).down is None


def test_the_checksum_is_that_of_the_way_forth() -> None:
    """The way back may be mended after the fact, and a checkout on Windows changes nothing."""
    plain, mended = source(_1_a="select 1\n", _1_a__down="select 2"), source(_1_a="select 1\r\n", _1_a__down="select 3")
    assert script(plain, 0).checksum == script(mended, 0).checksum == script(plain, 0).up.checksum


def test_no_file_is_no_fault() -> None:
    """A source may be empty; what that means, the history says."""
    assert read_scripts([]) == Source(scripts=(), faults=())


def test_a_chain_that_is_told() -> None:
    """Revisions and parents that are named take the place of the times; what says nothing follows the file before it."""
    found = source(
        _1_a="-- dbcustody: revision one\nselect 1",
        _2_b="select 2",
        _3_c="-- dbcustody: down-revision one\nselect 3",
        _4_d="-- dbcustody: down-revision 20260102_000000, 20260103_000000\nselect 4",
        _5_e="-- dbcustody: down-revision none\nselect 5",
    )
    assert [(one.revision, one.parents) for one in found.scripts] == [
        ("one", ()),
        ("20260102_000000", ("one",)),
        ("20260103_000000", ("one",)),
        ("20260104_000000", ("20260102_000000", "20260103_000000")),
        ("20260105_000000", ()),
    ]
    assert found.faults == ()


def test_a_chain_that_cannot_be() -> None:
    """Twice the same revision, a parent that is later or its own, one that is not there."""
    found = source(
        _1_a="-- dbcustody: down-revision 20260102_000000\nselect 1",
        _2_b="-- dbcustody: revision 20260103_000000\nselect 2",
        _3_c="select 3",
        _4_d="-- dbcustody: down-revision nowhere\nselect 4",
        _5_e="-- dbcustody: down-revision 20260105_000000\nselect 5",
    )
    assert [(fault.file, fault.what) for fault in found.faults] == [
        ("20260101_000000_a.sql", "comes after 20260102_000000, which is not there"),
        ("20260103_000000_c.sql", "has the revision 20260103_000000, which 20260102_000000_b.sql has, too"),
        ("20260104_000000_d.sql", "comes after nowhere, which is not there"),
        ("20260105_000000_e.sql", "comes after 20260105_000000, but 20260105_000000_e.sql is not earlier"),
    ]
    assert [fault.helps for fault in found.faults[1:]] == [
        "give one that is not applied yet another revision",
        "add that migration, or name another down-revision",
        "give it a later time, or name another down-revision",
    ]


def test_a_parent_in_a_file_that_cannot_be_read_is_not_missed() -> None:
    """One fault, and no second one that only follows from it."""
    found = source(_1_a=b"\xff", _2_b="-- dbcustody: down-revision one\nselect 2", _3_c=b"\xff", _4_d="select 4")
    assert [fault.file for fault in found.faults] == ["20260101_000000_a.sql", "20260103_000000_c.sql"]
    assert [one.parents for one in found.scripts] == [("one",), ("20260103_000000",)]


def test_all_faults_of_all_files_are_told_together() -> None:
    """Names, pairs, texts, statements: whoever mends them need not come twice."""
    files = [
        SourceFile(name="add users.sql", content=b"select 1"),
        SourceFile(name="20260230_000000_x.sql", content=b"select 1"),
        SourceFile(name="20260101_000000_a.sql", content=b"select 'a\nselect 2"),
        SourceFile(name="20260101_000000_b.sql", content=b"\xef\xbb\xbfselect 1"),
        SourceFile(name="20260102_000000_c.down.sql", content=b""),
        SourceFile(name="20260103_000000_d.sql", content=b"\\i x\nvacuum; select 1"),
        SourceFile(name="20260104_000000_e.sql", content=b"a\0b"),
    ]
    found = read_scripts(files)
    assert [(fault.file, fault.what[:40]) for fault in found.faults] == [
        ("add users.sql", "is not named as a migration"),
        ("20260230_000000_x.sql", "there is no time 20260230_000000"),
        ("20260101_000000_a.sql", "is of the same second as 20260101_000000"),
        ("20260101_000000_b.sql", "is of the same second as 20260101_000000"),
        ("20260102_000000_c.down.sql", "is the way back from 20260102_000000_c.s"),
        ("20260101_000000_a.sql", "a literal begins here and does not end"),
        ("20260101_000000_b.sql", "begins with a byte order mark of UTF-8"),
        ("20260102_000000_c.down.sql", "holds no statement"),
        ("20260103_000000_d.sql", r"\i is a command of psql"),
        ("20260103_000000_d.sql", "VACUUM runs outside of a transaction, an"),
        ("20260104_000000_e.sql", "holds a NUL, which no text of PostgreSQL"),
    ]


def test_a_config_map_that_is_full() -> None:
    """Kubernetes allows 1 MiB of names and texts in one: as a thousand files, or as one."""
    text = b"insert into people values (1);\n" * 32
    many = [
        (f"20260101_{number // 3600:02d}{number // 60 % 60:02d}{number % 60:02d}_x.sql", text) for number in range(1000)
    ]
    assert sum(len(name) + len(content) for name, content in many) > 960 * 1024
    one = [("20260101_000000_x.sql", text * (1024 * 1024 // len(text)))]

    sources = [
        read_scripts([SourceFile(name=name, content=content) for name, content in files]) for files in (many, one)
    ]
    assert [(len(source.scripts), source.faults) for source in sources] == [(1000, ()), (1, ())]

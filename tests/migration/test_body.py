"""The body of a file: how it is to be run, and everything that keeps it from being run."""

from __future__ import annotations

import pytest

from dbcustody.migration.body import Body, ReadBody, read_body

FILE = "20260131_020000_a.sql"
ON, OFF = "-- dbcustody: transaction on\n", "-- dbcustody: transaction off\n"
IDEMPOTENT = "-- dbcustody: idempotent because it counts on\n"


def read(text: str, *, is_down: bool = False) -> ReadBody:
    """Return what a file of *text* says."""
    return read_body(FILE, text.encode(), is_down=is_down)


def body(text: str, *, is_down: bool = False) -> Body:
    """Return the body of a good *text*."""
    found = read(text, is_down=is_down)
    assert found.faults == ()
    assert found.body is not None
    return found.body


def faults(text: str, *, is_down: bool = False) -> list[str]:
    """Return what is wrong with *text*."""
    return [fault.what for fault in read(text, is_down=is_down).faults]


@pytest.mark.parametrize(
    ("text", "is_transactional"),
    [
        ("create table a (b int); insert into a values (1)", True),
        (ON + "alter table a add b int", True),
        (OFF + "alter table a validate constraint b", False),
        ("create index concurrently a on t (b)", False),
        (OFF + "vacuum t;", False),
        (IDEMPOTENT + "call p()", False),
        (ON + "call p(); call q()", True),
        (ON + "do $$ begin perform 'commit'; end $$; select 1", True),
        ("alter type mood add value 'calm'; create table a (b int)", True),
    ],
)
def test_how_it_is_run(text: str, *, is_transactional: bool) -> None:
    """In one transaction, unless its one statement cannot be, or is not to be."""
    assert body(text).is_transactional is is_transactional


def test_a_body_has_its_text_and_checksum() -> None:
    """Line ends of Windows are gone from both."""
    unix, windows = body("select 1;\nselect '\n'"), body("select 1;\r\nselect '\r\n'")
    assert unix == windows
    assert (unix.file, [statement.text for statement in windows.statements]) == (FILE, ["select 1", "select '\n'"])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("reindex schema a; select 1", ["REINDEX runs outside of a transaction, and must stand alone"]),
        ("vacuum a; vacuum b", ["VACUUM runs outside of a transaction, and must stand alone"] * 2),
        (IDEMPOTENT + "select 1; call p()", ["CALL runs outside of a transaction, and must stand alone"]),
        (OFF + "select 1; vacuum t", ["is to run 2 statements without a transaction, and could stop between them"]),
        (ON + "vacuum t", ["VACUUM cannot run in a transaction"]),
        ("call p()", ["CALL may commit within, so that a failure would leave a part of it done"]),
        (OFF + "do $$ begin commit; end $$", ["DO may commit within, so that a failure would leave a part of it done"]),
        ("create index concurrently on t (a)", ["CREATE INDEX CONCURRENTLY without a name for the index"]),
        ("create unique index concurrently on only t (a)", ["CREATE INDEX CONCURRENTLY without a name for the index"]),
        ("-- only a comment", ["holds no statement"]),
        ("drop table dbcustody.attempts", ["touches the schema dbcustody, where the ledger of all migrations lies"]),
        ("create table dbcustody.x (a int)", ["touches the schema dbcustody, where the ledger of all migrations lies"]),
        ("drop schema if exists dbcustody cascade", ["touches the schema dbcustody, where the ledger of all migrations lies"]),
        ("alter schema dbcustody rename to x", ["touches the schema dbcustody, where the ledger of all migrations lies"]),
        ('select "dbcustody".f()', ["touches the schema dbcustody, where the ledger of all migrations lies"]),
        ("select * from Dbcustody.attempts", ["touches the schema dbcustody, where the ledger of all migrations lies"]),
    ],
)  # fmt: skip
def test_what_cannot_be_run(text: str, what: list[str]) -> None:
    """Each is refused before anything is run."""
    assert faults(text) == what


def test_other_schemas_are_nobody_s_business() -> None:
    """A schema or a literal that only resembles ours."""
    assert faults("create schema shop; create table shop.dbcustody (a text default 'dbcustody.x')") == []
    assert faults("select shop.dbcustody.a, dbcustody from shop.dbcustody; drop role dbcustody") == []


def test_how_to_split_is_said() -> None:
    """Whoever is refused knows what to do next."""
    (fault,) = read("select 1;\n  vacuum t;").faults
    assert str(fault) == (
        f"{FILE}: line 2, column 3: VACUUM runs outside of a transaction, and must stand alone; "
        "move it to a migration of its own, and what stands before and behind it to one earlier and one later"
    )


def test_all_faults_of_a_file_are_told() -> None:
    """Form, head, and what is refused, together."""
    assert faults("-- dbcustody: frob\n\\i x\ncommit; vacuum (t; select pg_advisory_unlock_all()") == [
        r"\i is a command of psql", "a '(' that is not closed before the ';' of line 3", "there is no directive 'frob'",
        "COMMIT is not a migration's to say", "pg_advisory_unlock_all is not a migration's to call",
        "VACUUM runs outside of a transaction, and must stand alone",
    ]  # fmt: skip


def test_the_first_hundred_faults_are_told() -> None:
    """More would say no more."""
    assert len(faults("commit;" * 101)) == 100


def test_what_is_no_text_has_no_body() -> None:
    """There is one fault, with the file's name."""
    found = read_body(FILE, b"\xff", is_down=False)
    assert found.body is None
    assert [fault.file for fault in found.faults] == [FILE]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("-- nothing", ["holds no statement"]),
        ("-- dbcustody: revision a\nselect 1", ["revision is said on the way back"]),
        ("-- dbcustody: down-revision a\nselect 1", ["down-revision is said on the way back"]),
        ("-- dbcustody: phase data\nselect 1", ["phase is said on the way back"]),
        ("-- dbcustody: requires a\nselect 1", ["requires is said on the way back"]),
        ("-- dbcustody: budget 1h\n-- dbcustody: allow a because b\nselect 1", []),
    ],
)
def test_the_way_back(text: str, what: list[str]) -> None:
    """It has no place of its own, and does not only pretend to lead back."""
    assert faults(text, is_down=True) == what


def test_an_empty_way_back_is_explained() -> None:
    """It would succeed and undo nothing."""
    (fault,) = read("", is_down=True).faults
    assert "shown as irreversible" in fault.helps

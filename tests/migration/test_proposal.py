"""What is to run has a name that changes with everything that it depends on."""

from __future__ import annotations

import pytest

from dbcustody.migration.digest import file_digest, is_migration, source_digest
from dbcustody.migration.forecast import Risk
from dbcustody.migration.history import History, compare
from dbcustody.migration.ledger import Attempt, State
from dbcustody.migration.patience import Limits
from dbcustody.migration.proposal import propose
from dbcustody.migration.script import SourceFile, read_scripts

A, B = "20260101_000000_a", "20260102_000000_b"
FILES = {
    f"{A}.sql": "create table a (id int)",
    f"{A}.down.sql": "drop table a",
    f"{B}.sql": "drop table b",
    f"{B}.down.sql": "create table b ()",
}


def history(files: dict[str, str] = FILES, *attempts: Attempt) -> History:
    """Return how a database with *attempts* stands to *files*."""
    source = read_scripts(SourceFile(name=name, content=text.encode()) for name, text in files.items())
    assert source.faults == ()
    return compare(source.scripts, attempts)


def hash_of(found: History, *, allows_out_of_order: bool = False, limits: Limits | None = None) -> str:
    """Return the hash of the plan."""
    return propose(found, limits or Limits(), allows_out_of_order=allows_out_of_order).hash


def test_each_script_is_told_with_its_risk() -> None:
    """What destroys is irreversible though it has a way back, and what has none is, too."""
    found = propose(history(), Limits(), allows_out_of_order=False)
    assert [(one.name, one.risk, one.is_irreversible) for one in found.scripts] == [
        (A, Risk.SAFE, False),
        (B, Risk.DESTRUCTIVE, True),
    ]
    assert found.risk is Risk.DESTRUCTIVE
    alone = propose(history({f"{A}.sql": FILES[f"{A}.sql"]}), Limits(), allows_out_of_order=False)
    assert [one.is_irreversible for one in alone.scripts] == [True]


def test_nothing_to_do_has_no_risk() -> None:
    """An empty plan has a hash all the same."""
    found = propose(history({}), Limits(), allows_out_of_order=False)
    assert (found.scripts, found.risk, len(found.hash)) == ((), None, 16)


def test_the_hash_is_of_all_that_matters() -> None:
    """Text, order, what is in, what is allowed, how patiently."""
    edited = FILES | {f"{B}.sql": "drop table c"}
    applied = Attempt(ordinal=1, revision="20260101_000000", name=A, state=State.APPLIED, checksum=None)
    hashes = {
        hash_of(history()),
        hash_of(history(edited)),
        hash_of(history(FILES, applied)),
        hash_of(history(), allows_out_of_order=True),
        hash_of(history(), limits=Limits(lock_attempts=1)),
    }
    assert len(hashes) == 5
    assert hash_of(history()) == hash_of(history())


def test_what_was_undone_is_another_plan_and_what_failed_is_the_same() -> None:
    """Nobody agreed to have it once more; a second try needs no second word."""
    states = (State.APPLIED, State.ROLLED_BACK, State.FAILED, State.STARTED)
    rows = {
        state: Attempt(ordinal=number, revision="20260101_000000", name=A, state=state, checksum=None)
        for number, state in enumerate(states, 1)
    }
    before = hash_of(history())
    undone = history(FILES, rows[State.APPLIED], rows[State.ROLLED_BACK])
    failed = history(FILES, rows[State.FAILED])
    assert [one.name for one in undone.pending] == [one.name for one in failed.pending] == [A, B]
    assert hash_of(undone) != before
    assert hash_of(failed) == before
    assert [history(FILES, rows[state]).changes for state in states] == [1, 1, 0, 0]


def test_the_digest_of_a_source_is_of_names_and_bytes() -> None:
    """In whatever order, and a name that comes twice is not once."""
    one, two = ("a.sql", file_digest(b"1")), ("b.sql", file_digest(b"2"))
    assert source_digest([one, two]) == source_digest([two, one])
    others = [[one], [one, one], [("b.sql", one[1]), two], []]
    assert len({source_digest(files) for files in (*others, [one, two])}) == 5


@pytest.mark.parametrize(("name", "expected"), [("a.sql", True), ("README.md", False), (".hidden.sql", False)])
def test_what_is_for_others_is_no_migration(name: str, *, expected: bool) -> None:
    """A source may explain itself."""
    assert is_migration(name) is expected

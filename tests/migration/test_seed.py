"""Which seeds are to run, by what is written down of those that ran."""

from __future__ import annotations

from dbcustody.migration.script import SourceFile
from dbcustody.migration.seed import SeedSource, choose, read_seeds


def source_of(**texts: str) -> SeedSource:
    """Return the seeds of these names and texts."""
    return read_seeds(SourceFile(name=f"{name}.sql", content=text.encode()) for name, text in texts.items())


def test_seeds_come_in_the_order_of_their_names() -> None:
    """Whatever they are called, and in whatever order they are given."""
    found = source_of(people="insert into people values (1);", PLACES="select 1")
    assert ([seed.file for seed in found.seeds], found.faults) == (["PLACES.sql", "people.sql"], ())


def test_every_fault_of_every_seed_is_told() -> None:
    """Those that a migration would have, what runs outside of a transaction, and what is empty."""
    found = source_of(a="begin; select 1; commit;", b="vacuum;", c="-- dbcustody: transaction off\n", d="\\i other.sql")
    assert {fault.file for fault in found.faults} == {"a.sql", "b.sql", "c.sql", "d.sql"}
    assert "cannot run in a transaction" in " ".join(map(str, found.faults))


def test_a_name_stands_for_one_seed() -> None:
    """Two files of one name, from two folders, would take each other's place in the ledger."""
    twice = [SourceFile(name="a.sql", content=b"select 1"), SourceFile(name="a.sql", content=b"select 2")]
    assert [fault.what for fault in read_seeds(twice).faults] == [
        "is given 2 times, and its name is what it is known by"
    ]


def test_binary_is_no_seed() -> None:
    """And is told, not run."""
    found = read_seeds([SourceFile(name="a.sql", content=b"\xff")])
    assert (found.seeds, len(found.faults)) == ((), 1)


def test_a_seed_runs_once_and_a_changed_one_when_somebody_says_so() -> None:
    """By name and checksum together."""
    old, new = source_of(a="select 1", b="select 2"), source_of(a="select 1", b="select 3", c="select 4")
    ran = {seed.file: seed.checksum for seed in old.seeds}
    held, again = choose(new.seeds, ran, again=False), choose(new.seeds, ran, again=True)

    assert [[seed.file for seed in one] for one in (held.to_run, held.done, held.changed)] == [
        ["c.sql"],
        ["a.sql"],
        ["b.sql"],
    ]
    assert [[seed.file for seed in one] for one in (again.to_run, again.done, again.changed)] == [
        ["b.sql", "c.sql"],
        ["a.sql"],
        [],
    ]

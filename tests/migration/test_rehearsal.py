"""How an index is built on a copy of its table is read from the statement."""

from __future__ import annotations

import pytest

from dbcustody.migration.rehearsal import rehearsal
from dbcustody.migration.statement import cut


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            "create index concurrently if not exists by_age on shop.people (age) where age > 1",
            "create index by_age on pg_temp.people (age) where age > 1",
        ),
        (
            'select 1; create unique index if not exists "By" on only "People" using btree (lower(a))',
            'create unique index "By" on pg_temp."People" using btree (lower(a))',
        ),
        ("create index if not exists a on only (b)", "create index a on pg_temp.only (b)"),
        ("create index concurrently by_age on people (age)", ""),
        ("create index if not exists on people (age)", ""),
        ("vacuum people", ""),
    ],
)
def test_it_is_read_from_the_text(words: str, expected: str) -> None:
    """Where it would take what is there, and nowhere else."""
    assert rehearsal(cut(words).statements[-1]) == expected

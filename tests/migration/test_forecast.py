"""What is foretold of each kind of statement: locks, work, what is lost, and how dangerous it is.

Where a server can be asked, tests/adapters/postgres/test_migration_effect.py asks it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbcustody.migration.forecast import Risk, forecast, risk_of

if TYPE_CHECKING:
    from collections.abc import Callable

TABLE = (Path(__file__).parent / "foretold.txt").read_text()
FORETOLD = [tuple(line.split(" | ")) for line in TABLE.splitlines()[1:]]
"""Statement, locks, work, risk and loss."""


@pytest.mark.parametrize("row", FORETOLD, ids=[row[0] for row in FORETOLD])
def test_foretold(row: tuple[str, ...], terms_of: Callable[[str], tuple[str, ...]]) -> None:
    """Each kind of statement, by the words that tell it."""
    terms = terms_of(row[0])
    effect = forecast(terms)
    locks = ", ".join(f"{lock.relation} {lock.mode.name}" for lock in effect.locks)
    lost = ", ".join(effect.destroys)
    assert (row[0], locks or "-", effect.work.name, risk_of(terms, effect).name, lost or "-") == row


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("create table if not exists S.C (a int)", ["s.c"]),
        ("create temp table c (a int)", ["c"]),
        ("create index c on only s.t (a)", ["s.c"]),
        ("create index on t (a)", []),
        ("create materialized view c as select 1", ["c"]),
        ("create view s.c as select 1", ["s.c"]),
        ("create or replace view c as select 1", []),
        ("create sequence c", ["c"]),
        ("create foreign table c (a int) server s", ["c"]),
        ("create schema c", []),
    ],
)
def test_what_is_made(text: str, names: list[str], terms_of: Callable[[str], tuple[str, ...]]) -> None:
    """Relations that were not there before; an index is in the schema of its table, and what is replaced may have been there."""
    assert [str(relation) for relation in forecast(terms_of(text)).creates] == names


@pytest.mark.parametrize(
    ("text", "is_known", "is_irreversible"),
    [
        ("alter type mood add value if not exists 'calm' before 'sad'", True, True),
        ("alter type mood rename value 'sad' to 'calm'", True, False),
        ("do $$ begin null; end $$", False, False),
        ("call p()", False, False),
        ("alter table all in tablespace a set tablespace b", False, False),
        ("grant select on t to r", True, False),
    ],
)
def test_what_is_known(
    text: str, *, is_known: bool, is_irreversible: bool, terms_of: Callable[[str], tuple[str, ...]]
) -> None:
    """Code of somebody's may do anything; a value of an enum never goes away again."""
    effect = forecast(terms_of(text))
    assert (effect.is_known, effect.is_irreversible) == (is_known, is_irreversible)


def test_risks_have_names() -> None:
    """As they stand in a plan."""
    assert [risk.label for risk in Risk] == ["Safe", "Caution", "Destructive"]


VOCABULARY = sorted({term for text, *_ in FORETOLD for term in text.replace("(", " ( ").replace(",", " , ").split()})


@settings(max_examples=400)
@given(terms=st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=9).map(tuple))
def test_no_statement_is_too_strange(terms: tuple[str, ...]) -> None:
    """Words in any order are foretold something, since the server will say what is wrong with them."""
    assert risk_of(terms, forecast(terms)) in Risk

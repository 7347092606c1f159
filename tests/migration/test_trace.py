"""What a statement outside of a transaction leaves in the catalogue is read from its text."""

from __future__ import annotations

import pytest

from dbcustody.migration.relation import Relation
from dbcustody.migration.statement import cut
from dbcustody.migration.trace import Scope, Sought, Trace, trace_of

INDEX, PARTS, PEOPLE = Relation("shop", "by_age"), Relation("shop", "parts"), Relation("shop", "people")


@pytest.mark.parametrize(
    ("words", "trace"),
    [
        (
            "create index concurrently by_age on shop.people (age)",
            Trace(sought=Sought.INDEX, relation=INDEX, parent=PEOPLE),
        ),
        (
            'create unique index concurrently if not exists "by age" on only people using btree (age) where age > 1',
            Trace(sought=Sought.INDEX, relation=Relation("", "by age"), parent=Relation("", "people")),
        ),
        ("create index concurrently on people (age)", Trace(sought=Sought.UNKNOWN)),
        ("create index concurrently by_age", Trace(sought=Sought.UNKNOWN)),
        ("create index concurrently by_age on (age)", Trace(sought=Sought.UNKNOWN)),
        ("drop index concurrently if exists shop.by_age", Trace(sought=Sought.NO_INDEX, relation=INDEX)),
        ("drop index", Trace(sought=Sought.UNKNOWN)),
        (
            "alter table only shop.parts detach partition shop.by_age concurrently",
            Trace(sought=Sought.DETACHED, relation=INDEX, parent=PARTS),
        ),
        ("alter table shop.parts detach partition", Trace(sought=Sought.UNKNOWN)),
        ("alter table shop.parts add column born date", Trace(sought=Sought.UNKNOWN)),
        ("alter table", Trace(sought=Sought.UNKNOWN)),
        ("vacuum analyze people", Trace(sought=Sought.REPEATABLE)),
        ("reindex table people", Trace(sought=Sought.REPEATABLE)),
        ("reindex schema shop", Trace(sought=Sought.REPEATABLE)),
        (
            "reindex table concurrently shop.people",
            Trace(sought=Sought.NO_TWIN, relation=PEOPLE, scope=Scope.TABLE),
        ),
        (
            "reindex (verbose, concurrently) index shop.by_age",
            Trace(sought=Sought.NO_TWIN, relation=INDEX, scope=Scope.INDEX),
        ),
        (
            "reindex schema concurrently shop",
            Trace(sought=Sought.NO_TWIN, relation=Relation("", "shop"), scope=Scope.SCHEMA),
        ),
        ("reindex database concurrently shop", Trace(sought=Sought.NO_TWIN, scope=Scope.DATABASE)),
        ("reindex (concurrently) table", Trace(sought=Sought.REPEATABLE)),
        ("reindex system concurrently shop", Trace(sought=Sought.REPEATABLE)),
        ("reindex (concurrently) database", Trace(sought=Sought.NO_TWIN, scope=Scope.DATABASE)),
        ("call nightly()", Trace(sought=Sought.UNKNOWN)),
    ],
)
def test_it_is_read_from_the_text(words: str, trace: Trace) -> None:
    """Where the text does not tell, nothing is guessed."""
    (statement,) = cut(words).statements
    assert trace_of(statement.terms) == trace

"""Natures: which statements PostgreSQL runs outside of a transaction only, and which may end one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dbcustody.migration.nature import Nature, classify, commits_in_steps
from dbcustody.migration.statement import cut

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("create index concurrently a on t (b)", "CREATE INDEX CONCURRENTLY"),
        ("create unique index concurrently if not exists a on t (b)", "CREATE INDEX CONCURRENTLY"),
        ("drop index concurrently if exists a", "DROP INDEX CONCURRENTLY"),
        ("reindex index concurrently a", "REINDEX"),
        ("reindex (verbose) table concurrently a", "REINDEX"),
        ("reindex (concurrently, verbose) table a", "REINDEX"),
        ("reindex (concurrently = true) table a", "REINDEX"),
        ("reindex schema public", "REINDEX"),
        ("reindex (tablespace x) database a", "REINDEX"),
        ("reindex system a", "REINDEX"),
        ("vacuum", "VACUUM"),
        ("vacuum (analyze) t", "VACUUM"),
        ("cluster", "CLUSTER of all tables"),
        ("cluster verbose", "CLUSTER of all tables"),
        ("cluster (verbose)", "CLUSTER of all tables"),
        ("alter table p detach partition a concurrently", "ALTER TABLE ... DETACH PARTITION, CONCURRENTLY or FINALIZE"),
        (
            "alter table if exists p detach partition s.a finalize",
            "ALTER TABLE ... DETACH PARTITION, CONCURRENTLY or FINALIZE",
        ),
        ("create tablespace a location '/srv'", "CREATE TABLESPACE"),
        ("drop tablespace a", "DROP TABLESPACE"),
        ("alter database a set tablespace b", "ALTER DATABASE ... SET TABLESPACE"),
        ("create subscription a connection 'x' publication b", "CREATE SUBSCRIPTION"),
        ("create subscription a connection 'x' publication b with (create_slot)", "CREATE SUBSCRIPTION"),
        ("create subscription a connection 'x' publication b with (connect = true)", "CREATE SUBSCRIPTION"),
        ("drop subscription if exists a", "DROP SUBSCRIPTION"),
        ("alter subscription a refresh publication", "ALTER SUBSCRIPTION with a refresh"),
        ("alter subscription a add publication b", "ALTER SUBSCRIPTION with a refresh"),
        ("alter subscription a set publication b with (refresh = true)", "ALTER SUBSCRIPTION with a refresh"),
        ("alter subscription a set (failover = true)", "ALTER SUBSCRIPTION of the slot"),
        ("alter subscription a set (two_phase = off)", "ALTER SUBSCRIPTION of the slot"),
    ],
)
def test_outside_of_transactions(text: str, name: str, terms_of: Callable[[str], tuple[str, ...]]) -> None:
    """PostgreSQL refuses these in a transaction (tests/adapters/postgres asks it)."""
    found = classify(terms_of(text))
    assert (found.nature, found.name) == (Nature.NON_TRANSACTIONAL, name)


@pytest.mark.parametrize(
    "text",
    [
        "create index a on t (b)", 'create index "concurrently" on t (b)', "drop index a", "reindex table a",
        "reindex (concurrently off) table a",
        "reindex (concurrently false, verbose) index a", "analyze t", "cluster t", "cluster verbose t using a", "cluster (verbose) t",
        "alter table p detach partition a", "alter table t alter column a set default 'concurrently'",
        "alter table t rename to concurrently",
        "alter type mood add value 'calm'", "alter database a set work_mem = '1MB'",
        "create subscription a connection 'x' publication b with (connect = false)",
        "create subscription a connection 'x' publication b with (enabled = true, create_slot = 'off')",
        "alter subscription a set publication b with (refresh = false)", "alter subscription a disable",
        "alter subscription a set (two_phase = on)", "refresh materialized view concurrently m", "do $$ begin perform 1; end $$",
        "do language plpgsql $$ begin raise notice 'committed'; end $$",
    ],
)  # fmt: skip
def test_within_transactions(text: str, terms_of: Callable[[str], tuple[str, ...]]) -> None:
    """Everything else runs in one, what only looks like the others too."""
    assert classify(terms_of(text)).nature is Nature.TRANSACTIONAL


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("call p(1)", "CALL"),
        ("do $$ begin update t set a = 1; commit; end $$", "DO"),
        ("do 'begin Rollback; end' language plpgsql", "DO"),
        ("do $$ begin call p(); end $$", "DO"),
    ],
)
def test_what_may_commit(text: str, name: str, terms_of: Callable[[str], tuple[str, ...]]) -> None:
    """A procedure may; a block may when it says so or calls one."""
    found = classify(terms_of(text))
    assert (found.nature, found.name) == (Nature.MAY_COMMIT, name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("call nightly()", True),
        ("do $$ begin null; end $$", True),
        ("create index concurrently on people (age)", True),
        ("alter table parts detach partition part concurrently", True),
        ("create tablespace fast location '/fast'", False),
        ("drop subscription news", False),
        ("select nightly()", False),
    ],
)
def test_what_may_be_in_although_it_was_refused(text: str, expected: bool) -> None:  # noqa: FBT001 - what is expected
    """Code, and what PostgreSQL does in several transactions."""
    assert commits_in_steps(cut(text).statements[0].terms) is expected

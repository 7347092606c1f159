"""The pod of a run is killed within each kind of long statement; the next Job ends it right, and nothing is done twice or left over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from scene.migrating import BEGIN, FILES, applied, attempts, source, spec

if TYPE_CHECKING:
    from ground.kubernetes import Cluster
    from scene.tenant import Tenant

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400), pytest.mark.usefixtures("operator")]
BEFORE: Final = "20260301_120000_before"
LONG: Final = "20260302_120000_long"
SLOW: Final = """create function public.slow(bigint) returns bigint immutable language plpgsql as $$ begin
    while exists (select from pg_catalog.pg_locks where locktype = 'advisory' and objid = 8) loop
        perform pg_catalog.pg_sleep(0.02);
    end loop;
    return $1; end $$;
insert into newsletter (email) values ('a'), ('b');
"""
"""What it is asked for takes as long as somebody has lock number 8, without waiting for a lock."""
STATEMENTS: Final = {
    "create-index": (
        "",
        "create index concurrently newsletter_slow on newsletter (slow(id));",
        "select count(*) filter (where indisvalid), count(*) from pg_index where indrelid = 'newsletter'::regclass",
        (2, 2),
    ),
    "reindex": (
        "create index newsletter_slow on newsletter (slow(id));",
        "reindex index concurrently newsletter_slow;",
        "select count(*) filter (where indisvalid), count(*) from pg_index where indrelid = 'newsletter'::regclass",
        (2, 2),
    ),
    "validate": (
        "alter table newsletter add constraint known check (slow(id) > 0) not valid;",
        "alter table newsletter validate constraint known;",
        "select convalidated, count(*) over () from pg_constraint where conname = 'known'",
        (True, 1),
    ),
    "update": (
        "alter table newsletter add column seen bigint not null default 0;",
        "update newsletter set seen = seen + slow(id);",
        "select min(seen - id), max(seen - id) from newsletter",
        (0, 0),
    ),
}
"""What there is before, what is broken off, and what must hold in the end."""


@pytest.mark.parametrize("kind", STATEMENTS)
def test_killed_within(migrated: Tenant, cluster: Cluster, kind: str) -> None:
    """The statement is at work until the server has noticed that nobody waits for it."""
    before, statement, query, expected = STATEMENTS[kind]
    files = FILES | {f"{BEFORE}.sql": SLOW + before}
    source(migrated, files)
    migrated.make("DatabaseMigration", "shop", spec())
    applied(migrated, BEFORE)
    runners = "select query from pg_stat_activity where application_name like 'dbcustody migrate%'"
    with migrated.shop.connect() as holder:
        holder.execute("select pg_advisory_lock(8)")
        source(migrated, files | {f"{LONG}.sql": statement})
        migrated.until(lambda: statement.rstrip(";") in str(migrated.shop.execute(runners)), "it is at work")
        (pod,) = (one for one in migrated.pods("migrate") if one["status"]["phase"] == "Running")
        cluster.kubectl("delete", "pod", pod["metadata"]["name"], "-n", migrated.name, "--grace-period=0", "--force")
        migrated.until(lambda: statement.rstrip(";") not in str(migrated.shop.execute(runners)), "the server lets go")

    body = applied(migrated, LONG)
    assert (body["status"]["pending"], body["status"]["plan"].get("obstacles") or []) == (0, [])
    assert attempts(migrated) == [(BEGIN, "Applied"), (BEFORE, "Applied"), (LONG, "Failed"), (LONG, "Applied")]
    assert migrated.shop.execute(query) == [expected]

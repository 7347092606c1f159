"""How large the relations are that a migration names, and what is proven of their columns, asked of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg import sql

from dbcustody.adapters.postgres.failure import translated
from dbcustody.migration.tablefacts import Facts, TableFacts
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.migration.relation import Relation

LOCK_TIMEOUT_MILLISECONDS: Final = 2000
"""To measure a table waits for whoever has it for himself alone."""
_FACTS: Final = """
with asked as (
    select ordinal, pg_catalog.to_regclass(name)::oid as oid
    from pg_catalog.unnest(%s::text[]) with ordinality as one (name, ordinal)
), part as (
    select a.ordinal, coalesce(t.relid::oid, a.oid) as oid from asked a left join lateral pg_catalog.pg_partition_tree(a.oid) t on true
    where a.oid is not null
), measured as (
    select p.ordinal, coalesce(pg_catalog.sum(pg_catalog.pg_table_size(p.oid)), 0)::bigint as bytes,
           case when pg_catalog.min(c.reltuples) filter (where c.relkind <> 'p') >= 0
                then pg_catalog.sum(c.reltuples) filter (where c.relkind <> 'p') end::bigint as rows
    from part p join pg_catalog.pg_class c on c.oid = p.oid group by p.ordinal
)
select m.ordinal, m.bytes, m.rows,
       (select pg_catalog.jsonb_object_agg(attname, pg_catalog.format_type(atttypid, atttypmod))
        from pg_catalog.pg_attribute where attrelid = a.oid and attnum > 0 and not attisdropped),
       array(select attname::text from pg_catalog.pg_attribute t
             where attrelid = a.oid and attnum > 0 and not attisdropped and (attnotnull or exists (
                 select from pg_catalog.pg_constraint k
                 where k.conrelid = a.oid and k.contype = 'c' and k.convalidated and k.conkey = array[t.attnum]
                   and pg_catalog.pg_get_constraintdef(k.oid) = pg_catalog.format('CHECK ((%%I IS NOT NULL))', t.attname))))
from measured m join asked a using (ordinal)
"""

_COUNT: Final = """
select count(*) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'dbcustody')
    and not exists (select from pg_catalog.pg_depend d
                    where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
"""


def read_facts(session: Session, relations: Sequence[Relation]) -> Facts:
    """Return what the server of *session* says of *relations*, found by the search path of the role, as a migration finds them.

    Raises UnavailableError: LockNotObtained when somebody has one of them for himself alone, ConnectionLost.
    """
    names = [_name(relation) for relation in relations]
    doing = "look how large the tables are"
    with translated(doing, otherwise=Reason.MIGRATION_FAILED), session.transaction(force_rollback=True):
        session.execute("set transaction read only")
        session.execute("reset search_path")
        session.execute(f"set local lock_timeout = {LOCK_TIMEOUT_MILLISECONDS}")
        rows = session.execute(_FACTS.encode(), (names,)).fetchall()
    facts: dict[Relation, TableFacts | None] = dict.fromkeys(relations)
    for ordinal, size_bytes, count, columns, proven in rows:
        facts[relations[ordinal - 1]] = TableFacts(
            size_bytes=size_bytes, rows=count, columns=columns or {}, proven=frozenset(proven)
        )
    return facts


def _name(relation: Relation) -> str:
    parts = (relation.schema, relation.name) if relation.schema else (relation.name,)
    return sql.Identifier(*parts).as_string(None)


def count_tables(session: Session) -> int:
    """Return how many tables there are that neither the server, an extension nor dbcustody made; one with its partitions counts once."""
    with translated("count the tables", otherwise=Reason.MIGRATION_FAILED):
        row = session.execute(_COUNT).fetchone()
    return 0 if row is None else int(row[0])

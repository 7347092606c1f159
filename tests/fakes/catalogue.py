"""What a database looks like to whoever uses it: two that look alike were brought there in ways that come to the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ground.postgres import PostgresServer

_OURS = "n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'dbcustody')"
_QUERIES = (
    """select n.nspname, c.relname, c.relkind::text, c.relpersistence::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
           pg_get_expr(d.adbin, d.adrelid)
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and c.relkind <> 'i'
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where {ours} order by 1, 2, 5""",
    """select k.conrelid::regclass::text, k.conname, pg_get_constraintdef(k.oid), k.convalidated
    from pg_constraint k join pg_namespace n on n.oid = k.connamespace where {ours} order by 1, 2""",
    """select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready
    from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace where {ours} order by 1""",
    """select t.tgrelid::regclass::text, t.tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid
    join pg_namespace n on n.oid = c.relnamespace where not t.tgisinternal and {ours} order by 1, 2""",
    "select p.proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace where {ours} order by 1",
    "select inhrelid::regclass::text, inhparent::regclass::text, inhdetachpending from pg_inherits order by 1",
    ("select objid::regclass::text, refobjid::regclass::text from pg_depend where deptype = 'a' and classid = 'pg_class'::regclass"
    " and refobjsubid > 0 and refclassid = 'pg_class'::regclass and objid in (select oid from pg_class where relkind = 'S') order by 1"),
    "select extname::text from pg_extension order by 1",
)  # fmt: skip


def look_of(server: PostgresServer, database: str) -> list[list[tuple[Any, ...]]]:
    """Return columns, constraints, indexes, triggers, functions, partitions, sequences and extensions of *database*, but for the ledger."""
    return [server.execute(query.replace("{ours}", _OURS), database=database) for query in _QUERIES]

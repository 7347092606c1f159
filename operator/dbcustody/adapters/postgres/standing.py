"""How the constraints, triggers, rules and indexes of a database stand, and which sequences are behind the columns that they number.

What belongs to an extension stands as the extension made it: no archive says anything of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from psycopg import sql

from dbcustody.adapters.postgres.failure import translated
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.adapters.postgres.session import Session

_AT_ONCE: Final = 200
_STATES: Final = """
with enabled (sign, word) as (values ('D', 'DISABLE'), ('R', 'ENABLE REPLICA'), ('A', 'ENABLE ALWAYS')),
member as (select classid, objid from pg_depend where deptype = 'e'),
space as (select oid, nspname::text as schema from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'),
relation as (
    select c.oid, s.schema, c.relname::text as name, c.relkind, c.relispartition, m.objid is null as is_ours
    from pg_class c join space s on s.oid = c.relnamespace
    left join member m on m.classid = 'pg_class'::regclass and m.objid = c.oid
),
owner as (
    select oid, 0 as type, schema, name, is_ours from relation
    union all
    select 0, t.oid, s.schema, t.typname, m.objid is null from pg_type t join space s on s.oid = t.typnamespace
    left join member m on m.classid = 'pg_type'::regclass and m.objid = t.oid where t.typtype = 'd'
),
bound as (
    select o.schema, o.name || ' ' || c.conname as name, o.is_ours and c.conparentid = 0 and (c.contypid <> 0 or c.conislocal) as is_own,
           concat_ws(', ', case when c.condeferrable then 'DEFERRABLE' end, case when c.condeferred then 'INITIALLY DEFERRED' end,
               case when to_jsonb(c) ->> 'conenforced' = 'false' then 'NOT ENFORCED' when not c.convalidated then 'NOT VALID' end) as state
    from pg_constraint c join owner o on o.oid = c.conrelid and o.type = c.contypid
    where c.contype <> 't' and (c.contype <> 'n' or not c.convalidated)
),
fired as (
    select t.oid, t.tgparentid, t.tgconstraint, t.tgisinternal, r.schema, r.name || ' ' || t.tgname as name, r.is_ours,
           concat_ws(', ', case when t.tgdeferrable then 'DEFERRABLE' end, case when t.tginitdeferred then 'INITIALLY DEFERRED' end,
               e.word) as state
    from pg_trigger t join relation r on r.oid = t.tgrelid left join enabled e on e.sign = t.tgenabled::text
),
thing as (
    select 'constraint' as kind, schema, name, state, is_own, '' as usual from bound
    union all
    select 'trigger', t.schema, t.name, t.state, t.is_ours, coalesce(p.state, '')
    from fired t left join fired p on p.oid = t.tgparentid left join pg_constraint c on c.oid = t.tgconstraint
    where not t.tgisinternal or (p.oid is not null and coalesce(c.contype, 't') = 't')
    union all
    select 'event trigger', '', t.evtname, coalesce(e.word, ''), m.objid is null, ''
    from pg_event_trigger t left join enabled e on e.sign = t.evtenabled::text
    left join member m on m.classid = 'pg_event_trigger'::regclass and m.objid = t.oid
    union all
    select 'rule', r.schema, r.name || ' ' || w.rulename, coalesce(e.word, ''), r.is_ours, ''
    from pg_rewrite w join relation r on r.oid = w.ev_class left join enabled e on e.sign = w.ev_enabled::text
    where w.rulename <> '_RETURN'
    union all
    select 'index', r.schema, r.name, case when i.indisvalid or r.relkind = 'I' then '' else 'not valid' end, r.is_ours, ''
    from pg_index i join relation r on r.oid = i.indexrelid
    union all
    select 'attached index', schema, name, '', is_ours, '' from relation where relkind in ('i', 'I') and relispartition
)
select kind, schema, name, state, case when is_own then usual else state end from thing
"""
"""What a partition or an heir has from above stands as it does there, a trigger unless the archive says otherwise; before PostgreSQL 15
such a trigger counts as internal. Only PostgreSQL 18 and newer know constraints that are not enforced. The index of a partitioned table is
valid when one is attached to it for every partition: what is attached is compared instead."""
_OWNED: Final = """
select sn.nspname::text, s.relname::text, n.nspname::text, c.relname::text, a.attname::text, q.seqincrement < 0
from pg_depend d
join pg_class s on s.oid = d.objid and s.relkind = 'S' join pg_namespace sn on sn.oid = s.relnamespace
join pg_sequence q on q.seqrelid = s.oid
join pg_class c on c.oid = d.refobjid and c.relkind in ('r', 'p') join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum = d.refobjsubid
join pg_type t on t.oid = a.atttypid
where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
  and n.nspname !~ '^pg_' and coalesce(nullif(t.typbasetype, 0), t.oid)
      in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
  and has_table_privilege(s.oid, 'select') and has_column_privilege(c.oid, a.attnum, 'select')
order by 1, 2
"""
_IS_BEHIND: Final = (
    "select coalesce(m > s.last_value or (not s.is_called and m = s.last_value), false)"
    " from {sequence} s, (select max({column}) from {table}) v (m)"
)
_IS_AHEAD: Final = _IS_BEHIND.replace(" > ", " < ").replace("max(", "min(")
"""The same for a sequence that counts down."""


class Owned(NamedTuple):
    """A sequence that numbers a column of whole numbers."""

    schema: str
    name: str
    table_schema: str
    table: str
    column: str
    is_descending: bool


def read_states(session: Session) -> list[tuple[str, str, str, str, str]]:
    """Return kind, schema, name and state of whatever has one, and the state that it has when nobody says otherwise.

    The words are those of `plan.object_state`; names are as pg_dump lists them.
    """
    with translated("look at constraints, triggers, rules and indexes", otherwise=Reason.RESTORE_FAILED):
        return session.execute(_STATES.encode()).fetchall()


def find_behind(session: Session) -> list[Owned]:
    """Return the sequences whose next number, or an earlier one, a row has in the column that they number.

    Values are compared by the server and never read. What the role of *session* may not read is not among them.
    """
    with translated("compare sequences with their columns", otherwise=Reason.RESTORE_FAILED):
        owned = [Owned(*row) for row in session.execute(_OWNED.encode())]
        behind = []
        for start in range(0, len(owned), _AT_ONCE):
            batch = owned[start : start + _AT_ONCE]
            results = session.execute(sql.SQL("; ").join(map(_question, batch))).results()
            behind += [one for one, result in zip(batch, results, strict=True) if _is_so(result)]
        return behind


def _question(one: Owned) -> sql.Composed:
    return sql.SQL(_IS_AHEAD if one.is_descending else _IS_BEHIND).format(
        sequence=sql.Identifier(one.schema, one.name),
        column=sql.Identifier(one.column),
        table=sql.Identifier(one.table_schema, one.table),
    )


def _is_so(result: Any) -> bool:
    row: Sequence[Any] | None = result.fetchone()
    return bool(row and row[0])

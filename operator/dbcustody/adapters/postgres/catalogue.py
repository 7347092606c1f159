"""The catalogue of a database, read in one statement: what `migration.catalogue` says is part of it, and nothing else.

Every name in a definition is qualified, because only pg_catalog is in the search path. No privilege is needed: whoever may connect may read
the system catalogues. To write a view down, the server locks what it is made of for reading; whoever has that for himself alone is
waited for a moment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg

from dbcustody.adapters.postgres.failure import explain
from dbcustody.errors import UnavailableError
from dbcustody.migration.catalogue import Catalogue, Kind, make_catalogue
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dbcustody.adapters.postgres.session import Session

LOCK_TIMEOUT_MILLISECONDS: Final = 2000
_TRIES: Final = 5
_VANISHED: Final = ("XX000", "42P01", "42704", "42883", "3F000")
"""SQLSTATE of the server's own functions when an object was dropped under their hands (internal_error: "cache lookup failed")."""
_SETTINGS: Final = f"""
select set_config('search_path', 'pg_catalog', true), set_config('statement_timeout', '0', true), set_config('jit', 'off', true),
       set_config('lock_timeout', case current_setting('lock_timeout') when '0' then '{LOCK_TIMEOUT_MILLISECONDS}'
                                  else current_setting('lock_timeout') end, true)
"""
_WITH: Final = """
with member as materialized (
    select classid, objid from pg_depend where deptype = 'e'
), space as materialized (
    select n.oid, n.nspname from pg_namespace n
    where n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'dbcustody')
), rel as materialized (
    select c.oid, s.nspname, c.relname, c.relkind, c.relpersistence, c.relrowsecurity, c.relforcerowsecurity, c.relreplident, c.reloftype,
           c.reloptions, c.relam
    from pg_class c join space s on s.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'f', 'v', 'm', 'c', 'S') and not c.relispartition and c.relpersistence <> 't'
      and not exists (select from member m where m.classid = 'pg_class'::regclass and m.objid = c.oid)
)
"""
_ENABLED: Final = (
    "case {} when 'O' then null when 'D' then 'disabled' when 'R' then 'on replicas' when 'A' then 'always' end"
)
_COLLATION: Final = """
(select format('%I.%I', n.nspname, l.collname) from pg_collation l join pg_namespace n on n.oid = l.collnamespace where l.oid = {})
"""
_QUERIES: Final = {
    "schema": """
select 'schema' as kind, json_build_array(s.nspname) as path, '{}'::json as properties from space s
where not exists (select from member m where m.classid = 'pg_namespace'::regclass and m.objid = s.oid)
""",
    "extension": """
select 'extension', json_build_array(e.extname), json_build_object('schema', n.nspname)
from pg_extension e join pg_namespace n on n.oid = e.extnamespace
""",
    "relation": """
select case r.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table'
                      when 'c' then 'composite type' else 'table' end,
       json_build_array(r.nspname, r.relname),
       json_build_object(
           'persistence', case r.relpersistence when 'u' then 'unlogged' end,
           'partitioned by', case r.relkind when 'p' then pg_get_partkeydef(r.oid) end,
           'inherits', (select json_agg(i.inhparent::regclass::text order by i.inhseqno)::text from pg_inherits i where i.inhrelid = r.oid),
           'of type', case when r.reloftype <> 0 then format_type(r.reloftype, null) end,
           'row security', case when r.relrowsecurity and r.relforcerowsecurity then 'enabled and forced'
                                when r.relrowsecurity then 'enabled' when r.relforcerowsecurity then 'forced' end,
           'replica identity', case r.relreplident when 'f' then 'full' when 'n' then case when r.relkind in ('r', 'p') then 'nothing' end
                when 'i' then (select x.relname::text from pg_index i join pg_class x on x.oid = i.indexrelid
                               where i.indrelid = r.oid and i.indisreplident) end,
           'access method', (select a.amname::text from pg_am a where a.oid = r.relam and a.amname <> 'heap'),
           'server', (select s.srvname::text from pg_foreign_table f join pg_foreign_server s on s.oid = f.ftserver
                      where f.ftrelid = r.oid),
           'options', case r.relkind when 'v' then nullif(array_to_json(array(select unnest(r.reloptions) order by 1))::text, '[]')
                when 'f' then (select array_to_json(array(select unnest(f.ftoptions) order by 1))::text
                               from pg_foreign_table f where f.ftrelid = r.oid) end,
           'definition', case when r.relkind in ('v', 'm') then pg_get_viewdef(r.oid) end,
           'column order', (select json_agg(a.attname order by a.attnum)::text from pg_attribute a
                            where a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped))
from rel r where r.relkind <> 'S'
""",
    "column": """
select 'column', json_build_array(r.nspname, r.relname, a.attname),
       json_build_object(
           'type', format_type(a.atttypid, a.atttypmod),
           'null', case when a.attnotnull then case when exists (
                select from pg_constraint k
                where k.conrelid = r.oid and k.contype = 'n' and k.conkey = array[a.attnum] and not k.convalidated
           ) then 'not null, not valid' else 'not null' end end,
           'default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
           'generated', case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid)
                             || case a.attgenerated when 's' then ' stored' else ' virtual' end end,
           'identity', case a.attidentity when 'a' then 'always' when 'd' then 'by default' end,
           'collation', case when a.attcollation not in (0, t.typcollation) then <collation> end,
           'storage', case when a.attstorage <> t.typstorage and r.relkind in ('r', 'p') then a.attstorage::text end,
           'compression', nullif(a.attcompression::text, ''),
           'inherited', case when a.attinhcount > 0 then case when a.attislocal then 'and own' else 'only' end end,
           'options', array_to_json(a.attfdwoptions)::text)
from rel r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where r.relkind <> 'S'
""".replace("<collation>", _COLLATION.format("a.attcollation")),
    "constraint": """
select 'constraint', json_build_array(r.nspname, r.relname, k.conname),
       json_build_object(
           'definition', regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', ''),
           'validated', case when not k.convalidated then 'no' end,
           'index', (select 'invalid' from pg_index i
                     where i.indexrelid = k.conindid and k.contype in ('p', 'u', 'x') and not i.indisvalid))
from rel r join pg_constraint k on k.conrelid = r.oid
where k.contype in ('c', 'f', 'p', 'u', 'x') and k.conparentid = 0
""",
    "domain constraint": """
select 'constraint', json_build_array(s.nspname, t.typname, k.conname),
       json_build_object('definition', regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', ''),
                         'validated', case when not k.convalidated then 'no' end)
from space s join pg_type t on t.typnamespace = s.oid join pg_constraint k on k.contypid = t.oid
where k.contype = 'c' and not exists (select from member m where m.classid = 'pg_type'::regclass and m.objid = t.oid)
""",
    "index": """
select 'index', json_build_array(r.nspname, r.relname, c.relname),
       json_build_object('definition', pg_get_indexdef(i.indexrelid), 'valid', case when not i.indisvalid then 'no' end)
from rel r join pg_index i on i.indrelid = r.oid join pg_class c on c.oid = i.indexrelid
where not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.conrelid = r.oid and k.contype in ('p', 'u', 'x'))
""",
    "sequence": """
select 'sequence', json_build_array(r.nspname, r.relname),
       json_build_object('type', format_type(q.seqtypid, null), 'start', q.seqstart::text, 'increment', q.seqincrement::text,
           'minimum', q.seqmin::text, 'maximum', q.seqmax::text, 'cache', q.seqcache::text, 'cycle', case when q.seqcycle then 'yes' end,
           'persistence', case r.relpersistence when 'u' then 'unlogged' end,
           'owned by', case when d.refobjid is not null then d.refobjid::regclass::text || '.' || a.attname end)
from rel r join pg_sequence q on q.seqrelid = r.oid
left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
                     and d.deptype in ('a', 'i') and d.refobjsubid > 0
left join pg_class o on o.oid = d.refobjid
left join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
where o.oid is null or not o.relispartition
""",
    "trigger": """
select 'trigger', json_build_array(r.nspname, r.relname, t.tgname),
       json_build_object('definition', pg_get_triggerdef(t.oid), 'enabled', <enabled>)
from rel r join pg_trigger t on t.tgrelid = r.oid and not t.tgisinternal
""".replace("<enabled>", _ENABLED.format("t.tgenabled")),
    "policy": """
select 'policy', json_build_array(r.nspname, r.relname, p.polname),
       json_build_object(
           'command', case p.polcmd when '*' then 'all' when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
                      else 'delete' end,
           'permissive', case when not p.polpermissive then 'no' end,
           'roles', (select json_agg(case o when 0 then 'public' else pg_get_userbyid(o)::text end order by pg_get_userbyid(o))::text
                     from unnest(p.polroles) o),
           'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid))
from rel r join pg_policy p on p.polrelid = r.oid
""",
    "rule": """
select 'rule', json_build_array(r.nspname, r.relname, w.rulename),
       json_build_object('definition', pg_get_ruledef(w.oid), 'enabled', <enabled>)
from rel r join pg_rewrite w on w.ev_class = r.oid and w.rulename <> '_RETURN'
""".replace("<enabled>", _ENABLED.format("w.ev_enabled")),
    "statistics": """
select 'statistics', json_build_array(s.nspname, x.stxname), json_build_object('definition', pg_get_statisticsobjdef(x.oid))
from space s join pg_statistic_ext x on x.stxnamespace = s.oid
where not exists (select from pg_class c where c.oid = x.stxrelid and c.relispartition)
  and not exists (select from member m where m.classid = 'pg_statistic_ext'::regclass and m.objid = x.oid)
""",
    "type": """
select case t.typtype when 'e' then 'enum' when 'd' then 'domain' when 'r' then 'range' else 'base type' end,
       json_build_array(s.nspname, t.typname),
       json_build_object(
           'labels', case t.typtype when 'e' then coalesce(
                (select json_agg(e.enumlabel order by e.enumsortorder)::text from pg_enum e where e.enumtypid = t.oid), '[]') end,
           'type', case t.typtype when 'd' then format_type(t.typbasetype, t.typtypmod) end,
           'null', case when t.typtype = 'd' and t.typnotnull then 'not null' end,
           'default', case t.typtype when 'd' then t.typdefault end,
           'collation', case when t.typtype = 'd' and t.typcollation <> (select b.typcollation from pg_type b where b.oid = t.typbasetype)
                             then <collation> end,
           'subtype', case t.typtype when 'r' then (
                select concat_ws(' ', format_type(g.rngsubtype, null),
                    case when g.rngcollation not in (0, b.typcollation) then 'collate ' || <range collation> end,
                    (select format('%I.%I', n.nspname, o.opcname) from pg_opclass o join pg_namespace n on n.oid = o.opcnamespace
                     where o.oid = g.rngsubopc and not o.opcdefault),
                    case when g.rngcanonical <> 0 then 'canonical ' || g.rngcanonical::regproc::text end,
                    case when g.rngsubdiff <> 0 then 'difference ' || g.rngsubdiff::regproc::text end)
                from pg_range g join pg_type b on b.oid = g.rngsubtype where g.rngtypid = t.oid) end)
from space s join pg_type t on t.typnamespace = s.oid
where (t.typtype in ('e', 'd', 'r') or t.typtype = 'b' and not exists (select from pg_type a where a.typarray = t.oid))
  and not exists (select from member m where m.classid = 'pg_type'::regclass and m.objid = t.oid)
""".replace("<collation>", _COLLATION.format("t.typcollation")).replace(
        "<range collation>", _COLLATION.format("g.rngcollation")
    ),
    "collation": """
select 'collation', json_build_array(s.nspname, l.collname),
       json_build_object('provider', l.collprovider::text, 'deterministic', case when not l.collisdeterministic then 'no' end,
                         'locale', coalesce(<locale>, l.collcollate::text),
                         'ctype', case when l.collprovider = 'c' and l.collctype <> l.collcollate then l.collctype::text end)
from space s join pg_collation l on l.collnamespace = s.oid
where not exists (select from member m where m.classid = 'pg_collation'::regclass and m.objid = l.oid)
""",
    "function": """
select 'function', json_build_array(s.nspname, p.proname || '(' || oidvectortypes(p.proargtypes) || ')'),
       json_build_object(
           'kind', case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' when 'w' then 'window' end,
           'arguments', nullif(pg_get_function_arguments(p.oid), ''), 'returns', pg_get_function_result(p.oid), 'language', l.lanname,
           'body', case when p.prokind <> 'a' and pg_get_function_sqlbody(p.oid) is null then p.prosrc end,
           'parsed body', pg_get_function_sqlbody(p.oid), 'library', p.probin,
           'volatility', case p.provolatile when 'i' then 'immutable' when 's' then 'stable' end,
           'strict', case when p.proisstrict then 'yes' end, 'security definer', case when p.prosecdef then 'yes' end,
           'leakproof', case when p.proleakproof then 'yes' end,
           'parallel', case p.proparallel when 's' then 'safe' when 'r' then 'restricted' end,
           'cost', p.procost::text, 'rows', nullif(p.prorows, 0)::text,
           'settings', nullif(array_to_json(array(select unnest(p.proconfig) order by 1))::text, '[]'),
           'support', case when p.prosupport <> 0 then p.prosupport::regproc::text end,
           'aggregate', (select json_build_object('transition', a.aggtransfn::regproc::text, 'state', format_type(a.aggtranstype, null),
                'final', a.aggfinalfn::regproc::text, 'initial', a.agginitval, 'combine', a.aggcombinefn::regproc::text,
                'sort', a.aggsortop::regoperator::text, 'kind', a.aggkind::text)::text from pg_aggregate a where a.aggfnoid = p.oid))
from space s join pg_proc p on p.pronamespace = s.oid join pg_language l on l.oid = p.prolang
where not exists (select from member m where m.classid = 'pg_proc'::regclass and m.objid = p.oid)
  and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'i')
""",
    "event trigger": """
select 'event trigger', json_build_array(e.evtname),
       json_build_object('event', e.evtevent::text, 'function', e.evtfoid::regprocedure::text, 'tags', array_to_json(e.evttags)::text,
                         'enabled', <enabled>)
from pg_event_trigger e
where not exists (select from member m where m.classid = 'pg_event_trigger'::regclass and m.objid = e.oid)
""".replace("<enabled>", _ENABLED.format("e.evtenabled")),
}
_DEFINED: Final = frozenset(
    {Kind.VIEW, Kind.MATERIALIZED_VIEW, Kind.INDEX, Kind.CONSTRAINT, Kind.TRIGGER, Kind.RULE, Kind.STATISTICS}
)
"""What has a definition, unless it was dropped while it was looked at: then the server says nothing instead of failing."""
_LOCALES: Final = {15: "l.colliculocale", 16: "l.colliculocale", 17: "l.colllocale"}
_FIRST_WITH_LOCALE: Final = 15
_LAST_RENAMED: Final = 17


class _VanishedError(Exception):
    """Something was dropped while it was looked at."""


def read_catalogue(session: Session, exclude: Sequence[str] = ()) -> Catalogue:
    """Return the catalogue of the session's database without what matches *exclude*; nothing is written, and no setting stays.

    In a transaction it is what that transaction sees, else what was committed. Raises UnavailableError: LockNotObtained when somebody
    keeps having something for himself alone, SchemaChanged when it changed each time it was read, ConnectionLost; and psycopg's own
    errors in a transaction, whose owner must know that it failed.
    """
    is_nested = session.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
    for _ in range(_TRIES):
        try:
            return make_catalogue(_read(session), exclude)
        except _VanishedError:
            continue
        except psycopg.Error as error:
            if error.sqlstate in _VANISHED:
                continue
            if is_nested:
                raise
            raise explain(error, "read the catalogue", otherwise=Reason.MIGRATION_FAILED) from error
    raise UnavailableError(
        f"read the catalogue: objects were dropped while it was read, {_TRIES} times", reason=Reason.SCHEMA_CHANGED
    )


def _read(session: Session) -> list[tuple[str, list[str], dict[str, str]]]:
    words = _statement(session.info.server_version // 10_000)
    with session.transaction(force_rollback=True):
        session.execute(_SETTINGS.encode())
        answer = session.execute(words.encode()).fetchone()
    rows = [] if answer is None else list(_flattened(answer))
    if any(_is_gone(Kind(kind), properties) for kind, _, properties in rows):
        raise _VanishedError
    return rows


def _statement(major: int) -> str:
    """Return one statement that gives one row, with a list of objects in each column."""
    locale = "null" if major < _FIRST_WITH_LOCALE else _LOCALES[min(major, _LAST_RENAMED)]
    parts = (
        f"(select json_agg(json_build_array(q.kind, q.path, json_strip_nulls(q.properties))) from ({query}) q (kind, path, properties))"  # noqa: S608 - words of our own
        for query in _QUERIES.values()
    )
    return f"{_WITH} select {', '.join(parts)}".replace("<locale>", locale)


def _flattened(answer: Iterable[Any]) -> Iterable[tuple[str, list[str], dict[str, str]]]:
    for rows in answer:
        yield from ((kind, path, properties) for kind, path, properties in rows or ())


def _is_gone(kind: Kind, properties: dict[str, str]) -> bool:
    is_nameless = kind is Kind.COLUMN and properties.get("type", "???").startswith("???")
    return is_nameless or (kind in _DEFINED and "definition" not in properties)

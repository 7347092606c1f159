"""What the catalogs of a database say, kind by kind, in words that do not depend on the server's major version."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ground.postgres import PostgresServer

_OURS: Final = """
with space as (select oid, nspname from pg_namespace where nspname !~ '^(pg_|information_schema)'),
member as (select classid, objid from pg_depend where deptype = 'e'),
relation as (
    select c.*, n.nspname from pg_class c join space n on n.oid = c.relnamespace
    where (c.tableoid, c.oid) not in (select classid, objid from member)
),
routine as (
    select p.*, n.nspname from pg_proc p join space n on n.oid = p.pronamespace
    where (p.tableoid, p.oid) not in (select classid, objid from member)
)
"""
_QUERIES: Final = {
    "relation": """
        select r.nspname, r.relname, r.relkind, r.relpersistence, r.reloptions, r.relrowsecurity, r.relforcerowsecurity, r.relreplident,
               a.amname, r.relispartition, pg_get_expr(r.relpartbound, r.oid), pg_get_partkeydef(r.oid), pg_get_userbyid(r.relowner),
               r.relacl::text, r.relispopulated, obj_description(r.oid, 'pg_class'), nullif(r.reloftype, 0)::regtype::text
        from relation r left join pg_am a on a.oid = r.relam
    """,
    "column": """
        select r.nspname, r.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
               a.attstorage, a.attcompression, nullif(a.attstattarget::int, -1), a.attoptions, a.attacl::text, a.attfdwoptions,
               nullif(a.attcollation, 0)::regcollation::text, pg_get_expr(d.adbin, d.adrelid), col_description(r.oid, a.attnum)
        from relation r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
        left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
    """,
    "heritage": "select inhrelid::regclass::text, inhparent::regclass::text, inhseqno from pg_inherits",
    "constraint": """
        select o.conrelid::regclass::text, o.contypid::regtype::text, case when o.conparentid = 0 then o.conname end,
        pg_get_constraintdef(o.oid), o.convalidated, o.condeferrable,
               o.condeferred, o.conislocal, o.coninhcount, obj_description(o.oid, 'pg_constraint')
        from pg_constraint o where o.contype <> 'n' and o.connamespace::regnamespace::text !~ '^(pg_|information_schema)'
    """,
    "index": """
        select r.nspname, r.relname, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered, i.indisreplident, i.indisprimary
        from pg_index i join relation r on r.oid = i.indexrelid
    """,
    "trigger": """
        select tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), tgenabled from pg_trigger where not tgisinternal and
        tgparentid = 0
    """,
    "event trigger": """
        select evtname, evtevent, evtenabled, evttags, evtfoid::regproc::text, pg_get_userbyid(evtowner) from pg_event_trigger
    """,
    "rule": r"""
        select r.nspname, r.relname, w.rulename, w.ev_enabled,
               regexp_replace(pg_get_ruledef(w.oid), '\m(o|s|numbers)\.(?=\w)', '', 'g')
        from pg_rewrite w join relation r on r.oid = w.ev_class
    """,
    "policy": """
        select polrelid::regclass::text, polname, polcmd, polpermissive, polroles::regrole[]::text, pg_get_expr(polqual, polrelid),
               pg_get_expr(polwithcheck, polrelid) from pg_policy
    """,
    "routine": """
        select p.nspname, p.oid::regprocedure::text, p.prokind, case when p.prokind <> 'a' then pg_get_functiondef(p.oid) end,
        p.proacl::text,
               pg_get_userbyid(p.proowner), obj_description(p.oid, 'pg_proc') from routine p
    """,
    "aggregate": """
        select aggfnoid::regprocedure::text, aggtransfn::text, agginitval from pg_aggregate join routine p on p.oid = aggfnoid
    """,
    "type": """
        select n.nspname, t.typname, t.typtype, t.typnotnull, t.typdefault, t.typbasetype::regtype::text, t.typacl::text,
               pg_get_userbyid(t.typowner),
               (select array_agg(e.enumlabel order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid),
               (select rngsubtype::regtype::text from pg_range where rngtypid = t.oid)
        from pg_type t join space n on n.oid = t.typnamespace
        where t.typcategory <> 'A' and (t.tableoid, t.oid) not in (select classid, objid from member)
    """,
    "collation": """
        select n.nspname, c.collname, c.collprovider, c.collisdeterministic, coalesce(c.collcollate, to_jsonb(c) ->>
        'colllocale', to_jsonb(c) ->> 'colliculocale')
        from pg_collation c join space n on n.oid = c.collnamespace
    """,
    "operator": """
        select oid::regoperator::text, oprcode::text, nullif(oprcom, 0)::regoperator::text from pg_operator where (tableoid,
        oid) not in (select classid, objid from member) and oid >= 16384
    """,
    "operator class": """
        select opcname, opcnamespace::regnamespace::text, opcintype::regtype::text, opcdefault from pg_opclass where (tableoid,
        oid) not in (select classid, objid from member) and oid >= 16384
    """,
    "cast": """
        select castsource::regtype::text, casttarget::regtype::text, castcontext, castfunc::regprocedure::text from pg_cast
        where (tableoid, oid) not in (select classid, objid from member) and oid >= 16384
    """,
    "statistics": "select stxname, pg_get_statisticsobjdef(oid), nullif(stxstattarget::int, -1) from pg_statistic_ext",
    "dictionary": "select dictname, dictinitoption from pg_ts_dict where oid >= 16384",
    "configuration": """
        select c.cfgname, m.maptokentype, m.mapseqno, m.mapdict::regdictionary::text
        from pg_ts_config c join pg_ts_config_map m on m.mapcfg = c.oid where c.oid >= 16384
    """,
    "publication": "select pubname, puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot from pg_publication",
    "published": """
        select p.pubname, r.prrelid::regclass::text from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
    """,
    "server": """
        select srvname, srvtype, srvversion, (select array_agg(o order by o) from unnest(srvoptions) o),
        pg_get_userbyid(srvowner) from pg_foreign_server
    """,
    "user mapping": "select srvname, usename, umoptions from pg_user_mappings",
    "foreign table": "select ftrelid::regclass::text, ftoptions from pg_foreign_table",
    "extension": "select extname, extnamespace::regnamespace::text from pg_extension",
    "access method": "select amname, amtype, amhandler::text from pg_am",
    "default rights": """
        select pg_get_userbyid(defaclrole), defaclnamespace::regnamespace::text, defaclobjtype, defaclacl::text from pg_default_acl
    """,
    "schema": """
        select n.nspname, pg_get_userbyid(s.nspowner), s.nspacl::text, obj_description(s.oid, 'pg_namespace')
        from space n join pg_namespace s on s.oid = n.oid
    """,
    "sequence": """
        select seqrelid::regclass::text, seqtypid::regtype::text, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle,
               (select refobjid::regclass::text || '.' || refobjsubid from pg_depend where objid = seqrelid and deptype in ('a', 'i')
                and refclassid = 'pg_class'::regclass) from pg_sequence
    """,
}


def listing(server: PostgresServer, database: str) -> dict[str, list[str]]:
    """Return by kind what there is, each in its own order."""
    with server.connect(database) as session:
        return {
            kind: sorted(map(repr, session.execute((_OURS + query).encode()).fetchall()))
            for kind, query in _QUERIES.items()
        }


def unlike(one: dict[str, list[str]], other: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return by kind what only one of two listings has, or has more often."""
    found = {
        kind: list(
            ((Counter(one[kind]) - Counter(other[kind])) + (Counter(other[kind]) - Counter(one[kind]))).elements()
        )
        for kind in one
    }
    return {kind: rows for kind, rows in found.items() if rows}

"""What belongs to a database and is in no archive of pg_dump: the database itself, the roles it needs, where its sequences stand.

Each query gives JSON in the shape of the catalogue that is stored, so that nothing is copied field by field. Passwords are never asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dbcustody.adapters.postgres.failure import translated
from dbcustody.reason import Reason
from dbcustody.repository.catalogue import FOREIGN_ROWS

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.session import Session

Json = dict[str, Any]

_SETTINGS: Final = """
(select json_agg(json_strip_nulls(json_build_object('role', r.rolname, 'settings', s.setconfig)) order by r.rolname nulls first)
 from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole where s.setdatabase = d.oid)
"""
_LOCALE_15: Final = (
    "'localeProvider', case d.datlocprovider when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end"
)
_VERSION_14: Final = """
(select max(pg_collation_actual_version(c.oid)) from pg_collation c where c.collprovider = 'c' and c.collcollate = d.datcollate)
"""
"""Of the locale: before PostgreSQL 15 a database does not remember by which version it was made."""
_LOCALES: Final = {
    14: f"'localeProvider', 'libc', 'collationVersion', {_VERSION_14}",
    15: f"{_LOCALE_15}, 'icuLocale', d.daticulocale, 'collationVersion', d.datcollversion",
    16: f"{_LOCALE_15}, 'icuLocale', d.daticulocale, 'icuRules', d.daticurules, 'collationVersion', d.datcollversion",
    17: f"{_LOCALE_15}, 'icuLocale', d.datlocale, 'icuRules', d.daticurules, 'collationVersion', d.datcollversion",
}
_DATABASE: Final = """
select json_strip_nulls(json_build_object(
    'name', d.datname, 'owner', pg_get_userbyid(d.datdba), 'encoding', pg_encoding_to_char(d.encoding),
    'collation', d.datcollate, 'ctype', d.datctype, {locale},
    'connectionLimit', d.datconnlimit, 'acl', d.datacl::text[],
    'comment', shobj_description(d.oid, 'pg_database'), 'settings', {settings}))
from pg_database d where d.datname = coalesce(%s, current_database())
"""
_ROLES: Final = """
with recursive here as (
    select oid, datdba, datacl from pg_database where datname = current_database()
), named as (
    select s.refobjid as oid from pg_shdepend s cross join here h
    where s.refclassid = 'pg_authid'::regclass
      and (s.dbid = h.oid or (s.classid = 'pg_database'::regclass and s.objid = h.oid))
    union select datdba from here
    union select s.setrole from pg_db_role_setting s join here h on h.oid = s.setdatabase
    union select a.grantee from here h cross join aclexplode(h.datacl) a
), needed as (
    select oid from named
    union select m.roleid from needed n join pg_auth_members m on m.member = n.oid
)
select json_agg(json_strip_nulls(json_build_object(
    'name', r.rolname, 'connectionLimit', r.rolconnlimit,
    'attributes', array_remove(array[
        case when r.rolsuper then 'SUPERUSER' end, case when r.rolcreatedb then 'CREATEDB' end,
        case when r.rolcreaterole then 'CREATEROLE' end, case when r.rolinherit then 'INHERIT' else 'NOINHERIT' end,
        case when r.rolcanlogin then 'LOGIN' else 'NOLOGIN' end, case when r.rolreplication then 'REPLICATION' end,
        case when r.rolbypassrls then 'BYPASSRLS' end], null),
    'memberOf', (select array_agg(distinct g.rolname order by g.rolname) from pg_auth_members m
                 join pg_roles g on g.oid = m.roleid where m.member = r.oid))) order by r.rolname)
from needed n join pg_roles r on r.oid = n.oid where r.rolname !~ '^pg_'
"""
_EXTENSIONS: Final = """
select json_agg(json_build_object('name', e.extname, 'version', e.extversion, 'schema', n.nspname) order by e.extname)
from pg_extension e join pg_namespace n on n.oid = e.extnamespace
"""
_SEQUENCES: Final = """
select json_agg(json_strip_nulls(json_build_object(
    'schema', s.schemaname, 'name', s.sequencename, 'lastValue', s.last_value, 'isCalled', s.last_value is not null))
    order by s.schemaname, s.sequencename)
from pg_sequences s where s.schemaname !~ '^pg_'
"""
_LARGE_OBJECTS: Final = "select count(*) from pg_largeobject_metadata"
_ELSEWHERE: Final = """
select (select count(*) from pg_foreign_table),
       (select count(*) from pg_class where relkind = 'r' and relpersistence = 'u' and pg_is_in_recovery()),
       (select count(*) from pg_subscription s join pg_database d on d.oid = s.subdbid
        where d.datname = current_database() and not (select rolsuper from pg_roles where rolname = current_user))
"""


def read_database(session: Session, name: str | None = None) -> Json:
    """Return the database as such: owner, ACL, locale, settings; *name* may be any of the server (None: the session's), also a shut one."""
    major = session.info.server_version // 10_000
    locale = _LOCALES[max(known for known in _LOCALES if known <= major)]
    return dict(_json(session, _DATABASE.format(locale=locale, settings=_SETTINGS), (name,)))


def read_roles(session: Session) -> list[Json]:
    """Return the roles that anything in the database, or the database itself, depends on, and those they are members of."""
    return list(_json(session, _ROLES) or ())


def read_extensions(session: Session) -> list[Json]:
    """Return the installed extensions."""
    return list(_json(session, _EXTENSIONS) or ())


def read_sequences(session: Session) -> list[Json]:
    """Return where each sequence stands; one that was never used, or that the role may not read, has no value."""
    return list(_json(session, _SEQUENCES) or ())


def count_large_objects(session: Session) -> int:
    """Return how many large objects the database has."""
    return int(_row(session, _LARGE_OBJECTS)[0])


def describe_elsewhere(session: Session) -> tuple[str, ...]:
    """Return in words what the database refers to and no dump of this role holds."""
    foreign, unlogged, subscriptions = _row(session, _ELSEWHERE)
    counted = (
        (foreign, FOREIGN_ROWS),
        (unlogged, "rows of {} unlogged tables, which a standby does not have"),
        (subscriptions, "{} subscriptions, which only a superuser can read"),
    )
    return tuple(text.format(count) for count, text in counted if count)


def _json(session: Session, query: str, values: tuple[Any, ...] = ()) -> Any:
    return _row(session, query, values)[0]


def _row(session: Session, query: str, values: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    with translated("read what belongs to the database", otherwise=Reason.CONNECTION_LOST):
        row = session.execute(query.encode(), values or None).fetchone()
    return (None,) if row is None else row

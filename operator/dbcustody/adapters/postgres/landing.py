"""The server where a database is to be made: what it has, and the statements that make a database, keep it shut, and hand it over.

A new database comes from template0 and lets nobody in before everything is in it: connections are allowed only once CONNECT is taken from
PUBLIC, and rights, settings and owner come in the last transaction (superusers enter whatever they like).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
import psycopg.errors
from psycopg import sql

from dbcustody.adapters.postgres.failure import translated
from dbcustody.adapters.postgres.grant import read_grants
from dbcustody.adapters.postgres.setting import read_setting
from dbcustody.errors import RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dbcustody.adapters.postgres.grant import Grant
    from dbcustody.adapters.postgres.session import Session
    from dbcustody.repository.catalogue import DatabaseFacts, RoleFacts, RoleSetting

Known = TypeVar("Known")
_LANDING: Final = """
select current_setting('server_version_num')::int / 10000, r.rolname, r.rolsuper, r.rolcreatedb, r.rolcreaterole,
       (select array_agg(rolname::text) from pg_roles), (select array_agg(datname::text) from pg_database)
from pg_roles r where r.rolname = current_user
"""
_EXTENSIONS: Final = """
select name::text, array_agg(version), bool_and(superuser and not trusted) from pg_available_extension_versions group by name
"""
_ROLES: Final = """
select coalesce(array_agg(rolname::text) filter (where rolsuper), '{{}}'),
       coalesce(array_agg(rolname::text) filter (where pg_has_role(oid, '{give}')), '{{}}'),
       coalesce(array_agg(rolname::text) filter (where rolname = current_user
           or {alter} and not rolsuper and (select rolcreaterole from pg_roles where rolname = current_user)), '{{}}')
from pg_roles
"""
_RIGHTS: Final = {
    14: {"give": "member", "alter": "true"},
    16: {"give": "set", "alter": "pg_has_role(oid, 'member with admin option')"},
}
"""How a role becomes another's successor, and whose settings it may change; since PostgreSQL 16 a member need not be allowed to either."""
_GUARDED: Final = """
select lower(name) from (
    select name from pg_settings where context in ('superuser', 'superuser-backend')
    union select unnest(array['dynamic_library_path', 'session_preload_libraries'])
) guarded
"""
"""The two that are named are hidden from roles that may not read them."""
_SETTINGS: Final = {14: _GUARDED, 15: f"{_GUARDED} where not has_parameter_privilege(name, 'set')"}
_SIZE: Final = "select sum(pg_database_size(oid))::bigint from pg_database where has_database_privilege(oid, 'connect')"
_COLLATIONS: Final = """
select 'libc', collcollate, pg_collation_actual_version(oid) from pg_collation where collprovider = 'c'
union select 'icu', {locale}, pg_collation_actual_version(oid) from pg_collation where collprovider = 'i'
"""
_OF_DATABASES: Final = """
union select case datlocprovider when 'i' then 'icu' when 'b' then 'builtin' else 'libc' end,
    case datlocprovider when 'c' then datcollate else {database_locale} end, pg_database_collation_actual_version(oid)
from pg_database
"""
_LOCALES: Final = {
    14: {"locale": "collcollate", "database_locale": ""},
    15: {"locale": "colliculocale", "database_locale": "daticulocale"},
    17: {"locale": "colllocale", "database_locale": "datlocale"},
}
_KNOWN_OF_DATABASES_SINCE: Final = 15
_ATTRIBUTES: Final = frozenset(
    {"SUPERUSER", "CREATEDB", "CREATEROLE", "INHERIT", "NOINHERIT", "LOGIN", "NOLOGIN", "REPLICATION", "BYPASSRLS"}
)
_NEWBORN: Final = """
select oid::bigint from pg_database
where datname = %s and datconnlimit = %s and not datallowconn and shobj_description(oid, 'pg_database') is null
"""
_LOCALE_ERRORS: Final = (
    psycopg.errors.WrongObjectType,
    psycopg.errors.InvalidParameterValue,
    psycopg.errors.FeatureNotSupported,
)
"""What CREATE DATABASE raises for a locale that it does not have, a provider that it was built without, an encoding that does not fit."""
_PROVIDERS: Final = {"icu": "icu icu_locale", "builtin": "builtin builtin_locale"}


def read_landing(session: Session) -> dict[str, Any]:
    """Return what the server of *session* has, and what the role may do there, as `plan.restoration.Landing` names it."""
    with translated("look at the server", otherwise=Reason.CONNECTION_LOST):
        row: Any = session.execute(_LANDING.encode()).fetchone()
        major, role, is_superuser, creates_databases, creates_roles, roles, databases = row
        extensions = list(session.execute(_EXTENSIONS.encode()))
        superusers, memberships, alterable = _one(session, _ROLES.format_map(_since(_RIGHTS, major)))
        guarded = [name for (name,) in session.execute(_since(_SETTINGS, major).encode())]
        (size_bytes,) = _one(session, _SIZE)
        versions = _read_collations(session, major)
    return {
        "major_version": major,
        "role": role,
        "is_superuser": is_superuser,
        "may_create_databases": creates_databases,
        "may_create_roles": creates_roles,
        "roles": frozenset(roles),
        "memberships": frozenset(memberships),
        "databases": frozenset(databases),
        "extensions": {name: tuple(versions) for name, versions, _ in extensions},
        "superusers": frozenset(superusers),
        "untrusted": frozenset(name for name, _, needs_superuser in extensions if needs_superuser),
        "guarded_settings": frozenset(guarded),
        "alterable_roles": frozenset(alterable),
        "collation_versions": versions,
        "size_bytes": size_bytes,
    }


def _since(known: Mapping[int, Known], major: int) -> Known:
    """Return what of *known* is for the newest major version that is not newer than *major*."""
    return known[max(one for one in known if one <= major)]


def _one(session: Session, query: str) -> Any:
    return session.execute(query.encode()).fetchone()


def _read_collations(session: Session, major: int) -> dict[tuple[str, str], str]:
    """Return of which version collations are on the server, by provider and locale, as far as it knows."""
    query = _COLLATIONS + (_OF_DATABASES if major >= _KNOWN_OF_DATABASES_SINCE else "")
    rows = session.execute(query.format_map(_since(_LOCALES, major)).encode())
    return {(provider, locale): version for provider, locale, version in rows if version is not None}


def read_database(session: Session, name: str) -> tuple[int, str | None] | None:
    """Return the OID and the comment (None: it has none) of the database *name*, or None when there is none."""
    with translated(f"look for the database {name}", otherwise=Reason.CONNECTION_LOST):
        query = "select oid::bigint, shobj_description(oid, 'pg_database') from pg_database where datname = %s"
        row: Any = session.execute(query, (name,)).fetchone()
    return None if row is None else (int(row[0]), row[1])


def find_newborn(session: Session, name: str, limit: int) -> int | None:
    """Return the OID of the database *name* that was created with *limit*, and got no further: shut, without comment; or None."""
    with translated(f"look for the database {name}", otherwise=Reason.CONNECTION_LOST):
        row: Any = session.execute(_NEWBORN.encode(), (name, limit)).fetchone()
    return None if row is None else int(row[0])


def create_roles(session: Session, roles: Iterable[RoleFacts]) -> None:
    """Create *roles* without passwords, all or none, with the memberships that they had; words that are no attribute are left out."""
    wanted = list(roles)
    with translated("create the roles", otherwise=Reason.RESTORE_FAILED), session.transaction():
        for role in wanted:
            words = " ".join(word for word in role.attributes if word in _ATTRIBUTES)
            session.execute(
                sql.SQL("create role {} {} connection limit {}").format(
                    sql.Identifier(role.name), sql.SQL(words), sql.Literal(role.connection_limit)
                )
            )
        for role in wanted:
            for group in role.member_of:
                session.execute(sql.SQL("grant {} to {}").format(sql.Identifier(group), sql.Identifier(role.name)))


def create_database(session: Session, name: str, facts: DatabaseFacts, *, remark: str, limit: int = -1) -> int:
    """Create the database *name*, shut, with the encoding and locale of *facts*; return its OID.

    *remark* stands as its comment until it is handed over, for whoever finds it half-done; before there is a comment, the connection limit
    *limit* tells (-1: nothing), by which `find_newborn` finds it.
    """
    words = {"encoding": facts.encoding, "lc_collate": facts.collation, "lc_ctype": facts.ctype}
    options = [sql.SQL(f"{word} {{}}").format(sql.Literal(value)) for word, value in words.items()]
    if facts.locale_provider in _PROVIDERS:
        provider = _PROVIDERS[facts.locale_provider]
        options.append(sql.SQL(f"locale_provider {provider} {{}}").format(sql.Literal(facts.icu_locale or "")))
    if facts.icu_rules:
        options.append(sql.SQL("icu_rules {}").format(sql.Literal(facts.icu_rules)))
    database = sql.Identifier(name)
    with translated(f"create the database {name}", otherwise=Reason.RESTORE_FAILED):
        statement = sql.SQL("create database {} template template0 {} allow_connections false connection limit {}")
        with _locale_wanted(facts):
            session.execute(statement.format(database, sql.SQL(" ").join(options), sql.Literal(limit)))
        session.execute(sql.SQL("revoke all on database {} from public").format(database))
        session.execute(sql.SQL("comment on database {} is {}").format(database, sql.Literal(remark)))
        session.execute(sql.SQL("alter database {} allow_connections true").format(database))
        row: Any = session.execute("select oid::bigint from pg_database where datname = %s", (name,)).fetchone()
    return int(row[0])


@contextmanager
def _locale_wanted(facts: DatabaseFacts) -> Iterator[None]:
    """Say of a database that could not be made for its locale what it wanted; the server's own words differ from major to major."""
    try:
        yield
    except _LOCALE_ERRORS as error:
        named = facts.icu_locale or facts.collation
        raise RefusedError(
            f"the server cannot make a database of encoding {facts.encoding} with the locale {named} ({facts.locale_provider})",
            reason=Reason.LOCALE_MISSING,
        ) from error


def hand_over(session: Session, name: str, facts: DatabaseFacts, *, with_ownership: bool, comment: str | None) -> None:
    """Give the database *name* its settings, *comment*, its rights and its owner, all in one transaction: from then on others may enter.

    Without ownership there are no owner and no rights of roles; PUBLIC gets what it had.
    """
    with translated(f"hand over the database {name}", otherwise=Reason.RESTORE_FAILED), session.transaction():
        session.execute(sql.SQL("comment on database {} is {}").format(sql.Identifier(name), sql.Literal(comment)))
        role = session.info.user
        for statement in handing_over(sql.Identifier(name), facts, with_ownership=with_ownership, role=role):
            session.execute(statement)


def comment_on(session: Session, name: str, comment: str) -> None:
    """Let *comment* be what the database *name* says of itself."""
    with translated(f"comment on the database {name}", otherwise=Reason.RESTORE_FAILED):
        session.execute(sql.SQL("comment on database {} is {}").format(sql.Identifier(name), sql.Literal(comment)))


def drop_database(session: Session, oid: int) -> None:
    """Drop the database with *oid*, whoever is in it; nothing happens when it is gone."""
    with translated("drop the half-restored database", otherwise=Reason.CONNECTION_LOST):
        row = session.execute("select datname from pg_database where oid = %s", (oid,)).fetchone()
        if row is not None:
            session.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(row[0])))


def drop_roles(session: Session, names: Iterable[str]) -> tuple[str, ...]:
    """Drop the roles *names*; return those that could not be dropped."""
    left = []
    for name in names:
        try:
            session.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
        except psycopg.Error:
            left.append(name)
    return tuple(left)


def handing_over(
    database: sql.Identifier, facts: DatabaseFacts, *, with_ownership: bool, role: str
) -> Iterator[sql.Composed]:
    """Yield what gives *database*, which *role* owns, the limit, the settings, the rights and the owner of *facts*."""
    limit = sql.Literal(facts.connection_limit)
    yield sql.SQL("alter database {} connection limit {}").format(database, limit)
    for item in facts.settings:
        if item.role is None or with_ownership:
            yield from _settings(database, item)
    grants = read_grants(facts.acl)
    for grant in grants:
        if grant.grantee is None or with_ownership:
            yield _granting(database, grant)
    if with_ownership:
        yield sql.SQL("alter database {} owner to {}").format(database, sql.Identifier(facts.owner))
        own = [grant for grant in grants if grant.grantee == role != facts.owner]
        yield from _in_the_name_of(facts.owner, [_granting(database, grant) for grant in own])


def _granting(database: sql.Identifier, grant: Grant) -> sql.Composed:
    grantee = sql.SQL("public") if grant.grantee is None else sql.Identifier(grant.grantee)
    passes = sql.SQL(" with grant option" if grant.may_pass_on else "")
    return sql.SQL("grant {} on database {} to {}{}").format(sql.SQL(grant.right), database, grantee, passes)


def _in_the_name_of(owner: str, statements: Sequence[sql.Composed]) -> Iterator[sql.Composed]:
    """Yield *statements* as *owner* says them: rights of whoever gave the database away went to the new owner, its own ones too."""
    if statements:
        yield sql.SQL("set local role {}").format(sql.Identifier(owner))
        yield from statements
        yield sql.SQL("reset role").format()


def _settings(database: sql.Identifier, item: RoleSetting) -> Iterator[sql.Composed]:
    whose = sql.SQL("database {}").format(database)
    if item.role is not None:
        whose = sql.SQL("role {} in database {}").format(sql.Identifier(item.role), database)
    for setting in item.settings:
        name, values = read_setting(setting)
        words = sql.SQL(", ").join(map(sql.Literal, values))
        yield sql.SQL("alter {} set {} to {}").format(whose, sql.Identifier(name), words)

"""Throw-away databases that stand for another, as like it as their server can make them.

Each is named by a session that lives as long as its maker: one that no session names was left by a process that was killed.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import sql

from dbcustody.adapters.postgres.failure import translated
from dbcustody.adapters.postgres.session import connect
from dbcustody.errors import DbcustodyError, RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.adapters.postgres.target import PostgresTarget

PREFIX: Final = "dbcustody_dev_"
_TRAITS: Final = """
select current_setting('server_version_num')::int / 10000, pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text,
       (select system_identifier::text from pg_control_system()),
       array(select rolname::text from pg_roles where rolname !~ '^pg_' order by 1),
       array(select extname::text from pg_extension order by oid)
from pg_database where datname = current_database()
"""
_NO_SUCH_LOCALE: Final = (
    psycopg.errors.WrongObjectType,
    psycopg.errors.InvalidParameterValue,
    psycopg.errors.UndefinedObject,
)
"""What CREATE DATABASE raises for a locale or an encoding that it does not have."""
_LEFT: Final = """
select datname::text from pg_database d
where starts_with(datname::text, %s) and pg_get_userbyid(datdba) = current_user
  and not exists (select from pg_stat_activity where application_name = d.datname)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a database has that a stand-in must have, too; for none at all there is `PLAIN`."""

    major: int | None
    """None: any."""
    encoding: str = "UTF8"
    collation: str = "C"
    ctype: str = "C"
    server: str | None = None
    """The identifier of its server; None: not known."""
    roles: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()


PLAIN: Final = Traits(major=None)


def read_traits(session: Session) -> Traits:
    """Return what a stand-in for the database of *session* must have."""
    with translated("look what the database is like", otherwise=Reason.CONNECTION_LOST):
        row: Any = session.execute(_TRAITS).fetchone()
    return Traits(
        major=row[0],
        encoding=row[1],
        collation=row[2],
        ctype=row[3],
        server=row[4],
        roles=tuple(row[5]),
        extensions=tuple(row[6]),
    )


def add_roles(session: Session, names: Iterable[str]) -> None:
    """Make roles of *names* that nobody can log in as, where they are not there: migrations grant rights to them."""
    with translated("make the roles", otherwise=Reason.MIGRATION_FAILED):
        there = {row[0] for row in session.execute("select rolname::text from pg_roles").fetchall()}
        for name in names:
            if name not in there:
                session.execute(sql.SQL("create role {}").format(sql.Identifier(name)))


@contextmanager
def scratch_database(target: PostgresTarget, traits: Traits) -> Iterator[tuple[PostgresTarget, bool]]:
    """Yield a new, empty database at the server of *target*, with *traits*, and whether it has their locale; it is gone afterwards.

    One that a killed process left is dropped first. Raises RefusedError (PrivilegesMissing) when the role may make none.
    """
    name = f"{PREFIX}{secrets.token_hex(6)}"
    with connect(replace(target, application=name)) as keeper:
        sweep(keeper)
        with translated("make a throw-away database", otherwise=Reason.MIGRATION_FAILED):
            is_alike = _create(keeper, name, traits)
        try:
            yield target.at(name), is_alike
        finally:
            _drop(keeper, target, name)


def sweep(session: Session) -> None:
    """Drop the throw-away databases of the role of *session* whose makers are gone; two who do that at once do not mind each other."""
    with translated("look for throw-away databases that were left", otherwise=Reason.CONNECTION_LOST):
        left = session.execute(_LEFT, (PREFIX,)).fetchall()
    for (name,) in left:
        with suppress(psycopg.Error):
            _force(session, name)


def add_extensions(session: Session, names: Sequence[str]) -> None:
    """Make the extensions *names*; raises RefusedError (ExtensionsMissing) with the name of one that this server does not have."""
    for name in names:
        try:
            session.execute(sql.SQL("create extension if not exists {} cascade").format(sql.Identifier(name)))
        except psycopg.Error as error:
            raise RefusedError(
                f"extension {name}: the throw-away server cannot make it, so nothing could be compared truly; install it there, "
                "or name a server that has it in DBCUSTODY_DEV_DATABASE_URL",
                reason=Reason.EXTENSIONS_MISSING,
            ) from error


def _create(session: Session, name: str, traits: Traits) -> bool:
    """Create the database *name*; return whether it has the locale of *traits*, and not that which every server has."""
    statement = sql.SQL("create database {} template template0 encoding {} lc_collate {} lc_ctype {}")
    for collation, ctype in ((traits.collation, traits.ctype), ("C", "C")):
        with suppress(*_NO_SUCH_LOCALE):
            words = (sql.Literal(traits.encoding), sql.Literal(collation), sql.Literal(ctype))
            session.execute(statement.format(sql.Identifier(name), *words))
            return (collation, ctype) == (traits.collation, traits.ctype)
    raise RefusedError(f"the server cannot make a database of encoding {traits.encoding}", reason=Reason.LOCALE_MISSING)


def _drop(keeper: Session, target: PostgresTarget, name: str) -> None:
    """Drop the database *name*, by another session where the first is gone; what cannot be dropped now is dropped by the next run."""
    with suppress(psycopg.Error, DbcustodyError):
        if not keeper.closed:
            _force(keeper, name)
        else:
            with connect(target) as session:
                _force(session, name)


def _force(session: Session, name: str) -> None:
    session.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

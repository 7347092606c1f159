"""Two databases of a server change places: connections refused, sessions ended, and names, settings, rights and owner in one transaction.

Between the refusal and the end of the transaction nobody is served, so nothing else is done there. Everything is decided by OID: a name
says nothing in the middle of a swap. Whatever is renamed must have no session in it and no prepared transaction
(https://www.postgresql.org/docs/current/sql-alterdatabase.html), and while connections are allowed, others come back faster than they end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql

from dbcustody.adapters.postgres.failure import translated
from dbcustody.adapters.postgres.grant import read_grants
from dbcustody.adapters.postgres.landing import handing_over
from dbcustody.errors import InterruptedRunError, RefusedError
from dbcustody.reason import Reason
from dbcustody.repository.catalogue import DatabaseFacts

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from dbcustody.adapters.postgres.session import Session

POLL_SECONDS: Final = 0.02
_END_AGAIN_SECONDS: Final = 0.5
_SHOWN: Final = 5
_PLACES: Final = """
select d.oid::bigint, d.datname::text, d.datallowconn, pg_has_role(d.datdba, 'MEMBER'),
       shobj_description(d.oid, 'pg_database'), t.spcname::text, d.datistemplate
from pg_database d join pg_tablespace t on t.oid = d.dattablespace
"""
_OCCUPANTS: Final = """
select a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''),
       case when me.rolsuper then true when u.rolsuper then false
            else pg_has_role(a.usesysid, 'USAGE') or pg_has_role('pg_signal_backend', 'USAGE') end
from pg_stat_activity a join pg_roles u on u.oid = a.usesysid join pg_roles me on me.rolname = current_user
where a.datid = %s and a.pid <> pg_backend_pid() order by a.pid
"""
_SIZE: Final = """
select case when has_database_privilege(oid, 'CONNECT') or pg_has_role('pg_read_all_stats', 'USAGE') then pg_database_size(oid) end
from pg_database where oid = %s
"""
_END: Final = "select pg_terminate_backend(pid) from pg_stat_activity where datid = %s and pid <> pg_backend_pid() and usesysid is not null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A database as others see it."""

    oid: int
    name: str
    is_open: bool
    """Whether it allows connections at all."""
    is_ours: bool
    """Whether the role is a member of its owner, as renaming needs."""
    comment: str | None = None
    tablespace: str = "pg_default"
    is_template: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupant:
    """A session in a database."""

    pid: int
    user: str
    application: str
    may_be_ended: bool

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.user} ({self.application or 'no application name'}, pid {self.pid})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """Which databases change places, and what each is called and says of itself afterwards."""

    outgoing: Place
    """The live one."""
    incoming: Place
    kept_name: str
    """Of the outgoing one, from then on."""
    facts: DatabaseFacts
    """Settings, rights, owner of the live one: the incoming one takes them over."""
    comment: str
    kept_comment: str


def read_places(session: Session) -> tuple[Place, ...]:
    """Return every database of the server."""
    with translated("look at the databases", otherwise=Reason.CONNECTION_LOST):
        rows = session.execute(f"{_PLACES} order by d.oid".encode()).fetchall()
    return tuple(_place(row) for row in rows)


def find_place(session: Session, *, oid: int | None = None, name: str | None = None) -> Place | None:
    """Return the database with *oid*, or the one called *name*; None when there is none."""
    found = (one for one in read_places(session) if (one.oid == oid if oid is not None else one.name == name))
    return next(found, None)


def _place(row: tuple[Any, ...]) -> Place:
    oid, name, is_open, is_ours, comment, tablespace, is_template = row
    return Place(
        oid=oid,
        name=name,
        is_open=is_open,
        is_ours=is_ours,
        comment=comment,
        tablespace=tablespace,
        is_template=is_template,
    )


def read_size_bytes(session: Session, oid: int) -> int | None:
    """Return the size of the database with *oid* on the server's disk; None: it is not there, or the role may not know."""
    with translated("measure the database", otherwise=Reason.CONNECTION_LOST):
        row = session.execute(_SIZE.encode(), (oid,)).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def read_occupants(session: Session, oid: int) -> tuple[Occupant, ...]:
    """Return who is in the database with *oid*, but for ourselves and the server's own workers."""
    with translated("look who is in the database", otherwise=Reason.CONNECTION_LOST):
        rows = session.execute(_OCCUPANTS.encode(), (oid,)).fetchall()
    return tuple(
        Occupant(pid=pid, user=user, application=application, may_be_ended=may) for pid, user, application, may in rows
    )


def allow_connections(session: Session, place: Place, *, allowed: bool) -> None:
    """Let others connect to the database, or refuse them all, superusers too; who is in stays in."""
    words = sql.SQL("alter database {} allow_connections {}").format(sql.Identifier(place.name), sql.Literal(allowed))
    with translated(f"change who may connect to {place.name}", otherwise=Reason.SWAP_FAILED):
        session.execute(words)


def empty(session: Session, place: Place, *, patience_seconds: float, stop: threading.Event) -> None:
    """End every session in the database, which is shut already.

    Raises RefusedError (SessionsHeld) naming those that stay, InterruptedRunError as soon as *stop* is set: nobody is served meanwhile.
    """
    deadline, again = time.monotonic() + patience_seconds, 0.0
    while occupants := read_occupants(session, place.oid):
        now = time.monotonic()
        if now >= deadline:
            raise held(place, occupants)
        if now >= again:
            again = now + _END_AGAIN_SECONDS
            with translated(f"end the sessions in {place.name}", otherwise=Reason.SWAP_FAILED):
                session.execute(_END.encode(), (place.oid,))
        if stop.wait(POLL_SECONDS):
            raise InterruptedRunError(f"database {place.name}: stopped while its sessions were being ended")


def held(place: Place, occupants: tuple[Occupant, ...]) -> RefusedError:
    """Return the error for sessions that cannot be ended."""
    named = ", ".join(map(str, occupants[:_SHOWN]))
    more = f" and {len(occupants) - _SHOWN} more" if len(occupants) > _SHOWN else ""
    return RefusedError(
        f"database {place.name}: is held by {named}{more}; end them, or let the role: GRANT pg_signal_backend, and a superuser's sessions "
        "only a superuser ends",
        reason=Reason.SESSIONS_HELD,
    )


def exchange(session: Session, wanted: Exchange) -> None:
    """Let the two databases change places, or change nothing.

    Raises RefusedError (SwapFailed) with the server's word, also when a name means another database than was meant.
    """
    live, kept = sql.Identifier(wanted.outgoing.name), sql.Identifier(wanted.kept_name)
    incoming = sql.Identifier(wanted.incoming.name)
    with translated("swap the databases", otherwise=Reason.SWAP_FAILED), session.transaction():
        session.execute(sql.SQL("alter database {} rename to {}").format(live, kept))
        session.execute(sql.SQL("alter database {} rename to {}").format(incoming, live))
        session.execute(sql.SQL("comment on database {} is {}").format(kept, sql.Literal(wanted.kept_comment)))
        session.execute(sql.SQL("comment on database {} is {}").format(live, sql.Literal(wanted.comment)))
        for statement in handing_over(live, wanted.facts, with_ownership=True, role=session.info.user):
            session.execute(statement)
        session.execute(sql.SQL("alter database {} allow_connections true").format(live))
        _require_exchanged(session, wanted)


def _require_exchanged(session: Session, wanted: Exchange) -> None:
    """Raise RefusedError, which takes everything back, when the names do not mean now what they should."""
    query = "select datname::text, oid::bigint from pg_database where datname = any(%s)"
    rows: list[Any] = session.execute(query, ([wanted.outgoing.name, wanted.kept_name],)).fetchall()
    found = dict(rows)
    if found != {wanted.outgoing.name: wanted.incoming.oid, wanted.kept_name: wanted.outgoing.oid}:
        raise RefusedError(
            f"swap of {wanted.outgoing.name}: somebody renamed a database meanwhile; nothing was changed",
            reason=Reason.SWAP_FAILED,
        )


def shut(session: Session, place: Place, facts: DatabaseFacts, role: str) -> None:
    """Make a database that was put away enterable for *role* and superusers alone, and forget its settings and rights (*facts*)."""
    database = sql.Identifier(place.name)
    with translated(f"shut the database {place.name}", otherwise=Reason.SWAP_FAILED), session.transaction():
        for statement in _forgetting(database, facts):
            session.execute(statement)
        session.execute(sql.SQL("alter database {} owner to {}").format(database, sql.Identifier(role)))
        session.execute(sql.SQL("grant all on database {} to {}").format(database, sql.Identifier(role)))
        session.execute(sql.SQL("alter database {} allow_connections true").format(database))


def _forgetting(database: sql.Identifier, facts: DatabaseFacts) -> Iterator[sql.Composed]:
    for grantee in {grant.grantee for grant in read_grants(facts.acl)} | {None}:
        whom = sql.SQL("public") if grantee is None else sql.Identifier(grantee)
        yield sql.SQL("revoke all on database {} from {}").format(database, whom)
    for item in facts.settings:
        whose = sql.SQL("database {}").format(database)
        if item.role is not None:
            whose = sql.SQL("role {} in database {}").format(sql.Identifier(item.role), database)
        yield sql.SQL("alter {} reset all").format(whose)

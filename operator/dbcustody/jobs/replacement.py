"""The databases that a Replace is about, found by what their comments say and by OID, and what hangs on the live one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.entanglement import (
    count_prepared,
    read_cron_jobs,
    read_foreign_servers,
    read_slots,
    read_subscriptions,
)
from dbcustody.adapters.postgres.inspection import read_server
from dbcustody.adapters.postgres.landing import read_landing
from dbcustody.adapters.postgres.surroundings import read_database
from dbcustody.adapters.postgres.swapping import Place, find_place, read_occupants, read_places, read_size_bytes
from dbcustody.api.restore import OldDatabase
from dbcustody.codec import decode
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.jobs.chosen import terms_of
from dbcustody.jobs.tools import database_of
from dbcustody.plan.imprint import Imprint, Stage, read_imprints
from dbcustody.plan.invocation import kept_times
from dbcustody.plan.replacement import Live, Replacement, judge_replacement
from dbcustody.reason import Reason
from dbcustody.repository.catalogue import DatabaseFacts

if TYPE_CHECKING:
    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.adapters.postgres.session import Session
    from dbcustody.contract import JobRequest, ReplaceTerms
    from dbcustody.jobs.tools import Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """What the server remembers of one swap; None: there is no such database."""

    waiting: Place | None = None
    """Being filled, or complete and shut."""
    replaces_oid: int | None = None
    """Whose place that one is to take; None: it is not complete."""
    swapped: Place | None = None
    """The one that took the place."""
    kept: Place | None = None
    kept_as: Imprint | None = None
    """Since when, and until when."""
    undone: Place | None = None
    """The one that was put back when the swap was taken back."""


def find_marked(session: Session, mark: str) -> Marked:
    """Return what the databases of the server say of the swap for *mark*."""
    found = Marked()
    for place in read_places(session):
        for imprint in read_imprints(place.comment):
            found = _with(found, place, imprint, mark)
    return found


def _with(found: Marked, place: Place, imprint: Imprint, mark: str) -> Marked:
    if imprint.undoes == mark:
        return replace(found, undone=place)
    if imprint.mark != mark:
        return found
    match imprint.stage:
        case Stage.UNDER_WAY | Stage.READY:
            return replace(found, waiting=place, replaces_oid=imprint.replaces_oid)
        case Stage.HANDED_OVER:
            return replace(found, swapped=place)
        case Stage.KEPT:
            return replace(found, kept=place, kept_as=imprint)


def old_database(found: Marked) -> OldDatabase | None:
    """Return what was put away, as the server remembers it, whatever the request says by now; None when nothing is, or not any more."""
    times = kept_times(found.kept_as) if found.kept_as is not None else None
    if found.kept is None or times is None:
        return None
    since, until = times
    return OldDatabase(name=found.kept.name, kept_time=since, drop_after=until)


def replace_terms(request: JobRequest) -> ReplaceTerms:
    """Return what *request* says about taking another's place; raises InvalidSpecError when it does not say."""
    found = terms_of(request).replace
    if found is None:
        raise InvalidSpecError(f"request {request.verb.value}: restore.replace: is missing; must be given")
    return found


def look_at_live(session: Session, request: JobRequest, tools: Tools) -> Replacement:
    """Return whose place is to be taken, what stands in the way, and what hangs on it.

    *session* is in the maintenance database. Raises RefusedError (DatabaseMissing) when there is no such database.
    """
    target = tools.target(request.verb)
    maintenance = database_of(request).connection.maintenance_database
    place = find_live(session, target)
    name = request.database_name or ""
    return judge_replacement(
        _read_live(session, target, place), terms_of(request), database_name=name, maintenance=maintenance
    )


def find_live(session: Session, target: PostgresTarget) -> Place:
    """Return the database that the connection *target* names; raises RefusedError (DatabaseMissing)."""
    place = find_place(session, name=target.database)
    if place is None:
        raise RefusedError(f"database {target.database}: does not exist", reason=Reason.DATABASE_MISSING)
    return place


def read_facts(session: Session, name: str) -> DatabaseFacts:
    """Return settings, rights, owner and comment of the database *name*, which nobody has to enter for that."""
    return decode(DatabaseFacts, read_database(session, name))


def _read_live(session: Session, target: PostgresTarget, place: Place) -> Live:
    landing, server = read_landing(session), read_server(session)
    name = place.name
    servers, cron = _read_inside(target, place)
    return Live(
        name=name,
        oid=place.oid,
        owner=read_facts(session, name).owner,
        role=landing["role"],
        is_superuser=landing["is_superuser"],
        may_create_databases=landing["may_create_databases"],
        is_open=place.is_open,
        is_ours=place.is_ours,
        is_template=place.is_template,
        tablespace=place.tablespace,
        system_identifier=server.system_identifier,
        slots=read_slots(session, name),
        prepared=count_prepared(session, name),
        subscriptions=read_subscriptions(session, name),
        cron_jobs=read_cron_jobs(session, name) + cron,
        foreign_servers=servers,
        unendable=tuple(str(one) for one in read_occupants(session, place.oid) if not one.may_be_ended),
        convention=target.convention,
        size_bytes=read_size_bytes(session, place.oid),
    )


def _read_inside(target: PostgresTarget, place: Place) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the foreign servers and the cron jobs of a database; nothing of one that lets nobody in."""
    if not place.is_open:
        return (), ()
    with connect(target) as session:
        return read_foreign_servers(session), read_cron_jobs(session, place.name)

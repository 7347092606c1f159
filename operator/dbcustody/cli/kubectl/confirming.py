"""What a person confirms before a database takes another's place, and what can be taken back afterwards."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from dbcustody.api.meta import Kind
from dbcustody.cli.ending import asking
from dbcustody.cli.figures import time_text
from dbcustody.cli.kubectl.status import plain
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.plan.asking import live_oid
from dbcustody.plan.command import undo_command
from dbcustody.plan.replacement import confirmation, refusal_of
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.api.glance import Glance
    from dbcustody.cli.kubectl.session import Session
    from dbcustody.plan.asking import RestoreWish

DEFAULT_KEEP_SECONDS = 86_400
"""The CRD's."""


async def confirmed(session: Session, wish: RestoreWish) -> tuple[str, RestoreWish]:
    """Return the Database whose place is taken, and *wish* with the confirmation, asked of the person unless it was given.

    Raises InvalidSpecError where nobody can be asked, RefusedError for another text, and when there is nothing to undo.
    """
    undone = await _undoable(session, wish.undo) if wish.undo is not None else None
    name = wish.replace or _place_of(undone)
    database = await session.require(Kind.DATABASE, name)
    wanted = await _wanted(session, database)
    if wanted is None:
        if wish.confirm is not None:
            return name, wish
        raise RefusedError(
            f"Database {name}: does not show status.server.systemIdentifier and status.oid, which are confirmed; see its conditions",
            reason=Reason.NOT_CONFIRMED,
        )
    return name, _agreed(wish, wanted, list(_lines(wish, database, undone)))


async def _wanted(session: Session, database: Glance) -> str | None:
    """Return the text that confirms that what *database* is now is replaced; None: nobody knows what it is."""
    requests, _ = await session.all(Kind.RESTORE_REQUEST)
    server, oid = database.status.server, live_oid(database, requests)
    return None if server is None or oid is None else confirmation(database.name, server.system_identifier, oid)


def _agreed(wish: RestoreWish, wanted: str, lines: list[str]) -> RestoreWish:
    said = wish.confirm
    if said is None:
        if not sys.stdin.isatty():
            raise InvalidSpecError(f"--confirm: is missing, and nobody can be asked; {lines[0]}: --confirm {wanted}")
        click.echo("\n".join(map(plain, lines)), err=True)
        with asking():
            said = click.prompt(f"type {wanted} to go on", err=True)
    if said.strip() != wanted:
        raise RefusedError(refusal_of(said.strip(), wanted), reason=Reason.NOT_CONFIRMED)
    return replace(wish, confirm=wanted)


async def _undoable(session: Session, name: str) -> Glance:
    found = await session.require(Kind.RESTORE_REQUEST, name)
    old = found.status.old_database
    if old is None or old.dropped_time is not None:
        why = "put no database away" if old is None else f"had {old.name} put away, which is dropped since"
        raise RefusedError(f"restorerequest {name}: {why}; there is nothing to undo", reason=Reason.NOTHING_TO_UNDO)
    return found


def _place_of(request: Glance | None) -> str:
    target = request.spec.target if request is not None else None
    return target.database_ref.name if target is not None else ""


def _lines(wish: RestoreWish, database: Glance, undone: Glance | None) -> Iterator[str]:
    """Yield what is about to be asked for, a line each."""
    old = undone.status.old_database if undone is not None else None
    source = f"backup {wish.backup}" if wish.backup else f"a backup of {wish.policy or wish.storage}"
    what = source if old is None else old.name
    yield f"this replaces the database of Database {database.name} in {database.namespace} by {what}"
    hours = (DEFAULT_KEEP_SECONDS if wish.keep_old_seconds is None else wish.keep_old_seconds) / 3600
    yield "  no safety backup is taken" if wish.no_safety_backup else "  a safety backup is taken first"
    stopped = ", ".join(f"{one.kind} {one.name}" for one in database.spec.workloads)
    yield f"  stopped meanwhile: {stopped or 'nothing; sessions are ended, and clients have to connect anew'}"
    yield f"  what runs now is put aside, shut, for {hours:g} h, and then dropped"


async def tell_kept(session: Session, name: str) -> None:
    """Say on standard error what the swap of the request *name* put away, and what to type to put it back."""
    request = await session.find(Kind.RESTORE_REQUEST, name)
    old = request.status.old_database if request is not None else None
    if request is not None and old is not None and old.dropped_time is None:
        click.echo(
            f"{plain(old.name)} is kept until {time_text(old.drop_after)}; to put it back: {undo_command(request)}",
            err=True,
        )

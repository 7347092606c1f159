"""`backup now`, `restore`, `cancel` and `wait`: a wish becomes a resource, and is waited for when somebody wants that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dbcustody.adapters.kube import ours
from dbcustody.api.meta import Kind
from dbcustody.cli.ending import Exit, complain
from dbcustody.cli.kubectl.confirming import confirmed, tell_kept
from dbcustody.cli.kubectl.following import follow
from dbcustody.errors import ConflictError, InvalidSpecError
from dbcustody.plan.asking import (
    RestoreWish,
    backup_body,
    check_wish,
    choose_policy,
    database_of,
    names_from,
    read_place,
    restore_body,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbcustody.cli.kubectl.session import Session


async def backup_now(
    session: Session, database: str, *, policy: str | None, name: str | None, waits: bool, seconds: float | None
) -> int:
    """Have a backup of *database* taken, print its name, and wait for it when *waits*; returns the exit code."""
    await session.require(Kind.DATABASE, database)
    policies, _ = await session.all(Kind.BACKUP_POLICY)
    chosen = choose_policy(database, policies, policy)
    made = await create(
        session, Kind.BACKUP, database, lambda one: backup_body(one, database=database, policy=chosen), name=name
    )
    return await follow(session, Kind.BACKUP, made, seconds=seconds) if waits else Exit.DONE


async def restore(session: Session, wish: RestoreWish, *, name: str | None, waits: bool, seconds: float | None) -> int:
    """Have what *wish* names restored, print the request's name, and wait for it when *waits*; returns the exit code."""
    check_wish(wish)
    if wish.is_swap:
        database, wish = await confirmed(session, wish)
    else:
        database = wish.database or await _own_database(session, wish)
    made = await create(
        session, Kind.RESTORE_REQUEST, _front(wish), lambda one: restore_body(one, wish, database=database), name=name
    )
    if not waits:
        return Exit.DONE
    if wish.approval:
        click.echo(f"waits for somebody else: kubectl dbcustody approve {made} -n {session.home}", err=True)
    code = await follow(session, Kind.RESTORE_REQUEST, made, seconds=seconds)
    if wish.is_swap:
        await tell_kept(session, made)
    return code


def _front(wish: RestoreWish) -> str:
    if wish.into is not None:
        return f"restore-{wish.into}"
    return f"replace-{wish.replace}" if wish.undo is None else f"undo-{wish.undo}"


async def cancel(session: Session, name: str) -> int:
    """Have the restore *name* stopped, if it is not over; returns the exit code."""
    found = await session.require(Kind.RESTORE_REQUEST, name)
    if found.is_true("Finished"):
        complain(f"restorerequest {name}: was over already; nothing is stopped")
        return Exit.ERROR
    await session.kube.patch(ours(Kind.RESTORE_REQUEST.plural), session.home, name, {"spec": {"cancel": True}})
    click.echo(f"restorerequest {name}: is told to stop, and takes away what it had made", err=True)
    return Exit.DONE


async def wait(session: Session, place: str, *, seconds: float) -> int:
    """Wait until what stands at *place* (KIND/NAME) has come to an end; returns the exit code."""
    kind, name = read_place(place)
    return await follow(session, kind, name, seconds=seconds)


async def _own_database(session: Session, wish: RestoreWish) -> str:
    """Return the Database that the source of *wish* was taken of; raises InvalidSpecError when it does not say."""
    source = (
        await session.require(Kind.BACKUP, wish.backup)
        if wish.backup is not None
        else await session.require(Kind.BACKUP_POLICY, str(wish.policy))
    )
    policies, _ = await session.all(Kind.BACKUP_POLICY)
    database = database_of(source, policies)
    if database is None:
        raise InvalidSpecError(f"{source.place}: does not say of which Database it is; name one with --on")
    return database


async def create(
    session: Session, kind: Kind, front: str, body: Callable[[str], dict[str, Any]], *, name: str | None
) -> str:
    """Create the resource under the name that was wished for, or under a free one, and print it."""
    names = iter((name,)) if name is not None else names_from(front, session.now())
    taken: ConflictError | None = None
    for one in names:
        try:
            await session.kube.create(ours(kind.plural), session.home, body(one))
        except ConflictError as error:
            taken = error
        else:
            click.echo(one)
            return one
    raise ConflictError(f"{kind.value} {name or front}: the name is taken") from taken

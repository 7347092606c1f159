"""`plan` and `timeline`: what a DatabaseMigration would run, with its SQL, and what happened to it so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dbcustody.adapters.kube import CONFIG_MAPS, EVENTS, ours
from dbcustody.api.condition import ConditionType, find
from dbcustody.api.meta import Kind
from dbcustody.api.migration import DatabaseMigration
from dbcustody.cli.ending import Exit, complain
from dbcustody.cli.figures import table_text
from dbcustody.cli.folder import read_folder
from dbcustody.cli.kubectl.status import plain
from dbcustody.codec import format_time
from dbcustody.errors import InvalidSpecError, RefusedError
from dbcustody.migration.layout import LaidFile, digest_of
from dbcustody.migration.tree import form_of, read_files
from dbcustody.naming import LABEL_REQUEST, label_value
from dbcustody.plan.asking import read_place
from dbcustody.plan.migration_case import files_of
from dbcustody.plan.migration_text import error_line, plan_lines
from dbcustody.plan.timeline import timeline_of
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from pathlib import Path

    from dbcustody.cli.kubectl.session import Session
    from dbcustody.migration.script import Script


async def plan(session: Session, place: str, folder: Path | None = None) -> int:
    """Show what the DatabaseMigration at *place* has pending; returns 2, 0 where nothing is, 3 where something is in the way.

    Its SQL comes from *folder*; None: from where the source says.
    """
    body = await _read(session, place)
    migration = DatabaseMigration.from_body(body)
    status, stated = migration.status, migration.status.plan
    ready = find(status.conditions, ConditionType.READY)
    if stated is None:
        why = f": {ready.reason.value}: {ready.message}" if ready is not None else ""
        raise RefusedError(f"{place}: has told no plan yet{plain(why)}", reason=Reason.PENDING)
    scripts = await _scripts(session, migration, folder)
    lines = plan_lines(stated, scripts, pending=status.pending or 0)
    has_work = bool(stated.migrations or stated.resolutions)
    if stated.resolutions:
        click.echo(plain(f"declared first: {', '.join(stated.resolutions)}"))
    click.echo("\n".join(_plain_lines(*lines)) if stated.migrations or stated.obstacles else "nothing is pending")
    if has_work:
        click.echo(f"plan: {stated.hash}")
    if status.last_error is not None:
        click.echo(plain(f"refused last: {error_line(status.last_error)}"))
    if ready is not None:
        click.echo(plain(f"Ready={ready.status.value} {ready.reason.value}: {ready.message}"))
    standing = Exit.NEEDS_CONFIRMATION if stated.obstacles else Exit.PENDING
    return standing if has_work or stated.obstacles else Exit.DONE


def _plain_lines(*lines: str) -> list[str]:
    """Return *lines* without what a terminal would obey."""
    return ["".join(one if one.isprintable() else " " for one in line) for line in lines]


async def timeline(session: Session, place: str) -> int:
    """Show what happened to the DatabaseMigration at *place*, oldest first."""
    body = await _read(session, place)
    name, uid = body["metadata"]["name"], body["metadata"]["uid"]
    events = [one async for one in session.kube.list(EVENTS, session.home, fields=f"involvedObject.uid={uid}")]
    listed = [one async for one in session.kube.list(ours(Kind.APPROVAL.plural), session.home)]
    labels = f"{LABEL_REQUEST}={label_value(name)}"
    backups = [one async for one in session.kube.list(ours(Kind.BACKUP.plural), session.home, labels=labels)]
    about = {"kind": Kind.DATABASE_MIGRATION.value, "name": name}
    approvals = [one for one in listed if one["spec"].get("requestRef") == about]
    rows = [
        (format_time(one.time), one.what, plain(one.words))
        for one in timeline_of(body, events=events, approvals=approvals, backups=backups)
    ]
    click.echo(table_text(("TIME", "WHAT", "WORDS"), rows))
    return Exit.DONE


async def _read(session: Session, place: str) -> dict[str, Any]:
    """Return the DatabaseMigration at *place*; raises InvalidSpecError for another kind, RefusedError when it is not there."""
    kind, name = read_place(place) if "/" in place else (Kind.DATABASE_MIGRATION, place)
    if kind is not Kind.DATABASE_MIGRATION:
        raise InvalidSpecError(f"{place}: must be a DatabaseMigration, such as pgmig/shop")
    body = await session.kube.get(ours(kind.plural), session.home, name)
    if body is None:
        raise RefusedError(
            f"{kind.value} {name}: is not there in namespace {session.home}", reason=Reason.REQUEST_NOT_FOUND
        )
    return body


async def _scripts(session: Session, migration: DatabaseMigration, folder: Path | None) -> tuple[Script, ...] | None:
    """Return the migrations of the source; None: they lie where nobody can look from here, which is told.

    It is told, too, when they are not those that were planned.
    """
    source = migration.spec.source
    if folder is None and source.image is not None:
        where = f"the files lie in the image {source.image.reference}, below {source.image.path}"
        complain(f"{where}; `--dir` shows their SQL from a checkout", kind="note")
        return None
    form = form_of(source.format, in_image=source.image is not None)
    files = await _files(session, migration) if folder is None else _all_of(folder)
    tree = read_files(files, form) if folder is None else read_folder(folder, form)
    # of a ConfigMap every key counts, of an image its migrations alone
    counted = [tree.files] if source.image is not None else [files, tree.files]
    if migration.status.source_digest not in {digest_of(given) for given in counted}:
        complain("the files are others than those that were planned", kind="note")
    return tree.scripts


def _all_of(folder: Path) -> list[LaidFile]:
    """Return the files right in *folder*, as `kubectl create configmap --from-file` takes them."""
    return [LaidFile(path=one.name, content=one.read_bytes()) for one in sorted(folder.iterdir()) if one.is_file()]


async def _files(session: Session, migration: DatabaseMigration) -> list[LaidFile]:
    source = migration.spec.source
    found = [LaidFile(path=one.name, content=one.sql.encode()) for one in source.inline]
    for reference in source.config_map_refs:
        body = await session.kube.get(CONFIG_MAPS, session.home, reference.name)
        if body is None:
            complain(f"ConfigMap {reference.name}: is not there", kind="note")
        else:
            found += [LaidFile(path=name, content=content) for name, content in files_of(body)]
    return found

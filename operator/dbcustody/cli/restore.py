"""`dbcustody restore`: a backup into a new database, checked before anybody may enter. What exists is never written into."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from dbcustody.api.restore import MissingRoles, OwnerMapping, Patterns, SideEffect
from dbcustody.cli.backups import find_backup, look, state_of
from dbcustody.cli.ending import Exit, asking, complain, interruptible
from dbcustody.cli.environment import read_standalone, recognise_url
from dbcustody.cli.figures import count_text, table_text, time_text
from dbcustody.cli.progress import make_display
from dbcustody.cli.standalone import known_database, require_clients, set_up
from dbcustody.errors import InvalidSpecError
from dbcustody.jobs.restoration import RestoreOrder, restore
from dbcustody.jobs.source import open_source
from dbcustody.jobs.tools import application_name, make_target
from dbcustody.plan import selection
from dbcustody.plan.choice import choose_offered
from dbcustody.plan.restoration import Wish

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.cli.standalone import Bench
    from dbcustody.jobs.restoration import Restored
    from dbcustody.repository.inventory import ReadBackup

MAINTENANCE_DATABASE: Final = "postgres"
"""Where databases are made."""
_NAME: Final = r'("(?:[^"]|"")+"|[^="]+)'
_MAPPING: Final = re.compile(f"{_NAME}={_NAME}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was said on the command line; *to* is a URL whose database is the new one, *database* a name on the server of DATABASE_URL."""

    name: str | None
    to: str | None
    database: str | None
    jobs: int
    missing_roles: MissingRoles
    schemas: Patterns
    tables: Patterns
    owner_map: tuple[OwnerMapping, ...]
    acknowledged: frozenset[SideEffect]

    def wish(self, database: str) -> Wish:
        """Return what is asked for, into *database*."""
        return Wish(
            database=database,
            missing_roles=self.missing_roles,
            choice=selection.Choice(schemas=self.schemas, tables=self.tables),
            owner_map=self.owner_map,
            acknowledged=self.acknowledged,
        )


def read_mapping(text: str) -> OwnerMapping:
    """Return what *text*, `from=to`, says; a name with an equals sign stands in double quotes. Raises InvalidSpecError."""
    match = _MAPPING.fullmatch(text)
    if match is None:
        raise InvalidSpecError(
            f"--owner-map: {text!r} must be FROM=TO; a name with an equals sign stands in double quotes"
        )
    was, now = (name[1:-1].replace('""', '"') if name.startswith('"') else name for name in match.groups())
    return OwnerMapping(from_=was, to=now)


def restore_backup(environ: Mapping[str, str], choice: Choice) -> int:
    """Restore as *choice* says and tell what was checked; returns the exit code.

    Raises InvalidSpecError for wrong settings, and what `restoration.restore` raises.
    """
    if (choice.to is None) is (choice.database is None):
        raise InvalidSpecError("--to, --database: exactly one must be given")
    settings = read_standalone(environ, needs_database=choice.to is None)

    def work(stop: threading.Event) -> int:
        display = make_display()
        with set_up(settings, environ, stop=stop) as bench:
            require_clients(bench.tools)
            server, database = _destination(bench, choice)
            name = choice.name or ask_which(bench)
            storage, backup = find_backup(bench, name, read_only=True)
            if not backup.is_good:
                complain(f"backup {name}: was never verified; all that is read of it is checked now", kind="note")
            order = RestoreOrder(
                source=open_source(storage, backup),
                server=server,
                wish=choice.wish(database),
                parallelism=choice.jobs,
                report=display.report,
            )
            with display:
                restored = restore(order, bench.tools)
        _tell(backup, restored)
        return Exit.DONE

    return interruptible(work)


def _destination(bench: Bench, choice: Choice) -> tuple[PostgresTarget, str]:
    """Return the server's maintenance database, and the name of the database that is to be made there."""
    found = known_database(bench.settings.database) if choice.to is None else recognise_url("--to", choice.to)
    target = make_target(found, application=application_name("restore", bench.custody_id))
    return target.at(MAINTENANCE_DATABASE), choice.database or target.database


def ask_which(bench: Bench) -> str:
    """Return the name of the backup that the person at the terminal chooses; raises InvalidSpecError where nobody can be asked."""
    _, inventory = look(bench)
    backups = [one for one in inventory.live if not one.is_stranger]
    if not backups:
        raise InvalidSpecError("NAME: there is no backup to choose from")
    offered = choose_offered(backups)
    if not sys.stdin.isatty():
        which = (
            "the newest is"
            if offered is backups[-1]
            else "the newest good one, of the whole database if there is one, is"
        )
        raise InvalidSpecError(f"NAME: is missing; {which} {offered.manifest.name}")
    rows = [
        (str(number), one.manifest.name, time_text(one.manifest.snapshot), state_of(one))
        for number, one in enumerate(backups, start=1)
    ]
    click.echo(table_text(("", "NAME", "SNAPSHOT", "STATE"), rows), err=True)
    with asking():
        number = click.prompt(
            "which one", type=click.IntRange(1, len(backups)), default=backups.index(offered) + 1, err=True
        )
    return backups[number - 1].manifest.name


def _tell(backup: ReadBackup, restored: Restored) -> None:
    accepted = restored.accepted
    rows = "rows not compared" if accepted.rows is None else f"{count_text(accepted.rows)} rows"
    click.echo(
        f"restored {backup.manifest.name} into {restored.database}: {accepted.tables} tables, {rows}, compared and equal"
    )
    if restored.unknown_settings:
        complain(f"the server does not know {', '.join(restored.unknown_settings)}, which was left out", kind="note")
    for skipped in restored.skipped_objects:
        complain(f"left out, because the role may not make it: {skipped}", kind="note")
    for remark in restored.remarks:
        complain(remark, kind="note")

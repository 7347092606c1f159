"""`dbcustody migrate`, the part of the command tree. As in `main`, each command imports what it needs when it runs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from dbcustody.cli import migrate_options
from dbcustody.cli.adopt_command import adopt_command

if TYPE_CHECKING:
    from pathlib import Path


@click.group("migrate")
def migrate_group() -> None:
    """Migrations: files of SQL and Alembic's revisions, carried out once each, in their order, and written down in the database."""


migrate_group.add_command(adopt_command)


@migrate_group.command("status")
@migrate_options.folder
@migrate_options.drift
@migrate_options.exclude
@migrate_options.as_json
def migrate_status_command(folder: Path, *, as_json: bool, **more: Any) -> None:
    """Show what is applied and pending, every difference between files and database, and what somebody changed in the schema.

    Of what is pending and was tried in vain it tells why. Writes nothing.
    Exit codes: 0 nothing pending, 2 pending, 4 a person has to resolve something, 6 the schema has drifted, 7 files and database differ.
    """
    from dbcustody.cli.migrating import Wish  # noqa: PLC0415
    from dbcustody.cli.standing import status  # noqa: PLC0415

    sys.exit(status(os.environ, Wish(folder=folder, **more), as_json=as_json))


@migrate_group.command("new")
@click.argument("name")
@migrate_options.place
@click.option("--down", "kind", flag_value="SqlBothWays", help="Also a file for the way back.")
@click.option("--create-only", is_flag=True, expose_value=False, help="For habit's sake: it never applies anything.")
@click.option("--python", "kind", flag_value="Python", help="A revision for Alembic's operations instead of SQL.")
@migrate_options.as_json
def migrate_new_command(name: str, folder: Path, form: str, *, kind: str | None, as_json: bool) -> None:
    """Write an empty migration NAME, later than every other. Applies nothing, and overwrites nothing."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from dbcustody.cli.migrating import NewKind, new  # noqa: PLC0415

    sys.exit(new(folder, name, NewKind(kind or "Sql"), now=datetime.now(UTC), form=form, as_json=as_json))


@migrate_group.command("plan")
@migrate_options.folder
@migrate_options.out_of_order
@migrate_options.fail_on
@migrate_options.drift
@migrate_options.exclude
@migrate_options.as_json
def migrate_plan_command(folder: Path, *, as_json: bool, **more: Any) -> None:
    """Show what is pending: its SQL, the locks it takes and for how long in kind, what is risky, and the hash of the plan. Writes nothing.

    Exit codes: 0 nothing pending, 2 pending, 3 a finding refuses it, 4 a person has to resolve something, 6 the schema has drifted, so that
    `deploy` runs nothing, 7 files and database differ.
    """
    from dbcustody.cli.linting import plan  # noqa: PLC0415
    from dbcustody.cli.migrating import Wish  # noqa: PLC0415

    sys.exit(plan(os.environ, Wish(folder=folder, **more), as_json=as_json))


@migrate_group.command("lint")
@migrate_options.folder
@migrate_options.fail_on
@click.option("--since", metavar="MIGRATION", help="Only those after it; of a folder alone.")
@click.option("--offline", "is_offline", is_flag=True, help="Ask no database, although one is named.")
@migrate_options.as_json
def migrate_lint_command(since: str | None, *, is_offline: bool, as_json: bool, **more: Any) -> None:
    """Show what is risky about migrations, and SQL that does the same safely. Writes nothing, and needs no database.

    Where DATABASE_URL is set, what is pending there is judged by the size of its tables.
    Exit codes: 0 nothing is refused, 1 a file is wrong, 3 a finding is refused.
    """
    from dbcustody.cli.linting import lint  # noqa: PLC0415
    from dbcustody.cli.migrating import Wish  # noqa: PLC0415

    sys.exit(lint(os.environ, Wish(**more), since=since, is_offline=is_offline, as_json=as_json))


@migrate_group.command("deploy")
@migrate_options.folder
@migrate_options.out_of_order
@migrate_options.fail_on
@migrate_options.drift
@migrate_options.exclude
@migrate_options.wait
@migrate_options.beside
@migrate_options.as_json
def migrate_deploy_command(folder: Path, *, as_json: bool, **more: Any) -> None:
    """Carry out what is pending in the database of DATABASE_URL.

    Each migration is in as a whole or not at all, is written down, and waits for locks in short tries, so that nobody queues behind it.
    Nothing runs while `migrate plan` finds something that is refused, or the schema is not what the ledger says.
    """
    from dbcustody.cli.migrating import Wish, deploy  # noqa: PLC0415

    sys.exit(deploy(os.environ, Wish(folder=folder, **more), as_json=as_json))


@migrate_group.command("rollback")
@click.option(
    "--to",
    "target",
    required=True,
    metavar="MIGRATION",
    help="The last that stays, by its name or its revision; `base`: none does.",
)
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
@click.option("--dry-run", "is_trial", is_flag=True, help="Show it, and undo nothing.")
@migrate_options.folder
@migrate_options.drift
@migrate_options.exclude
@migrate_options.wait
@migrate_options.as_json
def migrate_rollback_command(
    target: str, folder: Path, *, is_agreed: bool, is_trial: bool, as_json: bool, **more: Any
) -> None:
    """Undo what came after MIGRATION, newest first, by the `.down.sql` files.

    The SQL of each way back is shown before, with its risk. Exit codes of --dry-run: 0 nothing is to be undone, 2 something is, and 4, 6
    and 7 as of `status`, where nothing would be.
    """
    from dbcustody.cli.migrating import Wish  # noqa: PLC0415
    from dbcustody.cli.undoing import rollback  # noqa: PLC0415

    wish = Wish(folder=folder, **more)
    sys.exit(rollback(os.environ, wish, target, is_agreed=is_agreed, is_trial=is_trial, as_json=as_json))


@migrate_group.command("resolve")
@click.option("--applied", metavar="MIGRATION", help="It was found to be in: by hand, or by another tool.")
@click.option("--rolled-back", metavar="MIGRATION", help="Nothing of it was found to be in.")
@click.option("--reason", required=True, help="Why; it is written down for whoever asks later.")
@click.option(
    "--force", "is_forced", is_flag=True, help="Although the ledger knows what the schema is like then, and it is not."
)
@migrate_options.folder
@migrate_options.exclude
@migrate_options.wait
@migrate_options.as_json
def migrate_resolve_command(
    applied: str | None, rolled_back: str | None, reason: str, *, is_forced: bool, as_json: bool, **more: Any
) -> None:
    """Declare where a migration stands. Runs nothing of it."""
    from dbcustody.cli.migrating import Wish, Word, resolve  # noqa: PLC0415
    from dbcustody.migration.ledger import State  # noqa: PLC0415

    if (applied is None) is (rolled_back is None):
        raise click.UsageError("exactly one of --applied and --rolled-back must be given")
    state = State.RESOLVED_APPLIED if applied is not None else State.RESOLVED_ROLLED_BACK
    word = Word(name=applied or rolled_back or "", state=state, reason=reason, is_forced=is_forced)
    sys.exit(resolve(os.environ, Wish(**more), word, as_json=as_json))


@migrate_group.command("accept-drift")
@click.argument("fingerprint")
@click.option("--reason", required=True, help="Why; it is written down for whoever asks later.")
@migrate_options.folder
@migrate_options.exclude
@migrate_options.wait
@migrate_options.as_json
def migrate_accept_drift_command(fingerprint: str, reason: str, folder: Path, *, as_json: bool, **more: Any) -> None:
    """Declare that the schema is meant as it is: from now on it is compared with what it is at FINGERPRINT, which `status` tells.

    Runs nothing. Is the schema another by now, nothing is accepted.
    """
    from dbcustody.cli.migrating import Wish, accept  # noqa: PLC0415

    sys.exit(accept(os.environ, Wish(folder=folder, **more), fingerprint=fingerprint, reason=reason, as_json=as_json))

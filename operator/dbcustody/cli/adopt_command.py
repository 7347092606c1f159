"""`dbcustody migrate adopt`, as it is typed."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from dbcustody.cli import migrate_options

if TYPE_CHECKING:
    from pathlib import Path


@click.command("adopt")
@click.option(
    "--from",
    "form",
    type=click.Choice([form for form in migrate_options.FORMS if form != "sql"]),
    default="auto",
    show_default=True,
    help="Whose history and folder it is; `auto`: as the files are named.",
)
@migrate_options.directory
@migrate_options.alembic
@click.option(
    "--history-table",
    "table",
    metavar="SCHEMA.TABLE",
    help="Where the tool keeps its history, if not where it does by itself.",
)
@click.option("--dry-run", "is_trial", is_flag=True, help="Verify and show it, and write nothing.")
@migrate_options.as_json
@migrate_options.out_of_order
@migrate_options.wait
def adopt_command(folder: Path, table: str | None, *, is_trial: bool, as_json: bool, **more: Any) -> None:
    """Take over what Alembic, Prisma, Flyway, golang-migrate or Atlas has carried out in the database of DATABASE_URL. Runs nothing.

    Each file is held against the checksum that the tool keeps, and all of it is written into our ledger, or nothing; the tool's own
    table is only read. What it runs later is taken over by saying this again.
    Exit codes: 0 done, or nothing new, 1 a file or a history is missing, 4 a migration failed there, 7 something contradicts.
    """
    from dbcustody.cli.adopting import adopt  # noqa: PLC0415 - a Job's start is not to wait for it
    from dbcustody.cli.migrating import Wish  # noqa: PLC0415

    sys.exit(adopt(os.environ, Wish(folder=folder, **more), table=table, is_trial=is_trial, as_json=as_json))

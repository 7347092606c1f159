"""The commands of a developer: the words they take. Each imports what it needs when it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from dbcustody.cli import migrate_options

_wait = click.option(
    "--wait",
    "lock_wait_seconds",
    type=click.IntRange(0, 86_400),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long a backup or a migration of the same database is waited for.",
)
_dev_url = click.option(
    "--dev-url",
    metavar="URL",
    help="A server for throw-away databases, instead of one that is started; with a password better as DBCUSTODY_DEV_DATABASE_URL.",
)
_folder_of_seeds = click.Path(file_okay=False, path_type=Path)


def add_developers_verbs(top: click.Group, migrate: click.Group) -> None:
    """Add the commands to *top*, and those of migrations to *migrate*."""
    top.add_command(seed_command)
    migrate.add_command(migrate_reset_command)
    migrate.add_command(migrate_diff_command)
    migrate.add_command(migrate_dev_command)


@click.command("reset")
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
@click.option("--disconnect", "disconnects", is_flag=True, help="End the sessions that are in it.")
@click.option("--seeds", type=_folder_of_seeds, default=Path("seeds"), show_default=True, help="Where the seeds lie.")
@click.option("--no-seed", is_flag=True, help="Run no seeds.")
@migrate_options.directory
@_wait
@migrate_options.as_json
def migrate_reset_command(
    folder: Path,
    lock_wait_seconds: int,
    seeds: Path,
    *,
    is_agreed: bool,
    disconnects: bool,
    no_seed: bool,
    as_json: bool,
) -> None:
    """Take away everything in the database of DATABASE_URL, run all migrations, and then the seeds.

    What will be lost is shown and asked. Refused where DBCUSTODY_ENVIRONMENT says Production.
    """
    from dbcustody.cli.migrating import Wish  # noqa: PLC0415 - see the module's docstring
    from dbcustody.cli.resetting import ResetWish, reset  # noqa: PLC0415
    from dbcustody.cli.seeding import SeedWish  # noqa: PLC0415

    seed = None if no_seed else SeedWish(folder=seeds)
    choice = ResetWish(seed=seed, is_agreed=is_agreed, disconnects=disconnects, as_json=as_json)
    sys.exit(reset(os.environ, Wish(folder=folder, lock_wait_seconds=lock_wait_seconds), choice))


@click.command("seed")
@click.option(
    "--dir", "folder", type=_folder_of_seeds, default=Path("seeds"), show_default=True, help="Where they lie."
)
@click.option(
    "--file", "files", type=click.Path(path_type=Path), multiple=True, help="This one instead; again for more."
)
@click.option("--again", is_flag=True, help="Also those that have changed since they ran.")
@click.option("--in-production", is_flag=True, help="Although the environment is Production.")
@_wait
@migrate_options.as_json
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def seed_command(lock_wait_seconds: int, *, as_json: bool, **words: Any) -> None:
    """Run each SQL file of a folder once in the database of DATABASE_URL, and then the command of DBCUSTODY_SEED_COMMAND.

    ARGUMENTS behind `--` are passed on to the command. Its exit status is ours.
    """
    from dbcustody.cli.seeding import SeedWish, seed  # noqa: PLC0415

    sys.exit(seed(os.environ, SeedWish(**words), lock_wait_seconds=lock_wait_seconds, as_json=as_json))


@click.command("diff")
@click.option("--from", "first", required=True, metavar="SIDE", help="What is to become like the other.")
@click.option("--to", "second", required=True, metavar="SIDE", help="What it is to be like.")
@migrate_options.directory
@_dev_url
@click.option("--script", "as_script", is_flag=True, help="As SQL.")
@click.option("--exit-code", "shows_by_exit_code", is_flag=True, help="Exit code 2 when there is a difference.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Into this new file.")
@migrate_options.as_json
def migrate_diff_command(**words: Any) -> None:
    """Show the SQL that makes the schema of one SIDE like that of the other. Runs none of it.

    A SIDE is `empty`, `migrations` (the folder, replayed in a throw-away database), `env:NAME` (the database whose URL that variable
    holds), or `models:package.module:Base.metadata` (SQLAlchemy; their code is run). A URL with a password is refused: everybody on the
    machine can read the words of a command.
    """
    from dbcustody.cli.comparing import DiffWish, diff  # noqa: PLC0415

    sys.exit(diff(os.environ, DiffWish(**words)))


@click.command("dev")
@click.option("--name", help="What a new migration is called after; else it is asked.")
@click.option("--models", metavar="MODULE:OBJECT", help="package.module:Base.metadata of SQLAlchemy; its code is run.")
@click.option("--create-only", "creates_only", is_flag=True, help="Write a file, and apply nothing at all.")
@click.option("--yes", "is_agreed", is_flag=True, help="Although data is lost; do not ask.")
@_dev_url
@migrate_options.directory
@_wait
@migrate_options.as_json
def migrate_dev_command(folder: Path, lock_wait_seconds: int, **words: Any) -> None:
    """Apply what is pending in the database of DATABASE_URL, and write what the models are ahead of the files as a new migration.

    All files are replayed from nothing in a throw-away database first. Refused where DBCUSTODY_ENVIRONMENT says Production.
    Exit codes: 0 done, 1 a file is wrong or cannot be applied, 6 the database is not what its history says, 130 it would have to begin
    anew, or somebody said no.
    """
    from dbcustody.cli.developing import DevWish, dev  # noqa: PLC0415
    from dbcustody.cli.migrating import Wish  # noqa: PLC0415

    sys.exit(dev(os.environ, Wish(folder=folder, lock_wait_seconds=lock_wait_seconds), DevWish(**words)))

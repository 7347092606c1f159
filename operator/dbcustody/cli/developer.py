"""The commands of a developer: the words they take. Each imports what it needs when it runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

_folder = click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("migrations"),
    show_default=True,
    help="Where the migrations lie.",
)
_wait = click.option(
    "--wait",
    "lock_wait_seconds",
    type=click.IntRange(0, 86_400),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long a backup or a migration of the same database is waited for.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
_folder_of_seeds = click.Path(file_okay=False, path_type=Path)


def add_developers_verbs(top: click.Group, migrate: click.Group) -> None:
    """Add the commands to *top*, and those of migrations to *migrate*."""
    top.add_command(seed_command)
    migrate.add_command(migrate_reset_command)


@click.command("reset")
@click.option("--yes", "is_agreed", is_flag=True, help="Do not ask.")
@click.option("--disconnect", "disconnects", is_flag=True, help="End the sessions that are in it.")
@click.option("--seeds", type=_folder_of_seeds, default=Path("seeds"), show_default=True, help="Where the seeds lie.")
@click.option("--no-seed", is_flag=True, help="Run no seeds.")
@_folder
@_wait
@_json
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
@_json
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def seed_command(lock_wait_seconds: int, *, as_json: bool, **words: Any) -> None:
    """Run each SQL file of a folder once in the database of DATABASE_URL, and then the command of DBCUSTODY_SEED_COMMAND.

    ARGUMENTS behind `--` are passed on to the command. Its exit status is ours.
    """
    from dbcustody.cli.seeding import SeedWish, seed  # noqa: PLC0415

    sys.exit(seed(os.environ, SeedWish(**words), lock_wait_seconds=lock_wait_seconds, as_json=as_json))

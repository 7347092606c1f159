"""What several verbs of `dbcustody migrate` are told in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

FORMS = ("auto", "sql", "prisma", "flyway", "golang-migrate", "atlas")
"""Those of `cli.foreign_folder`, written out so that nothing is loaded for them; a test holds the two together."""

directory = click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("migrations"),
    show_default=True,
    help="Where the migrations lie.",
)
_format = click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    default="auto",
    show_default=True,
    help="Whose folder it is; `auto`: as the files are named.",
)


def folder(command: Any) -> Any:
    """Let *command* be told where the migrations lie, and who laid them out."""
    return directory(_format(command))


out_of_order = click.option(
    "--out-of-order", "allows_out_of_order", is_flag=True, help="Also older ones that came late."
)
beside = click.option(
    "--beside-other-history",
    "accepts_heritage",
    is_flag=True,
    help="Although another tool has migrated this database, and these are other migrations than its.",
)
wait = click.option(
    "--wait",
    "lock_wait_seconds",
    type=click.IntRange(0, 86_400),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long a backup or another migration of the same database is waited for.",
)


def _read_fail_on(_context: click.Context, _parameter: click.Parameter, value: str) -> Any:
    from dbcustody.migration.planned import FailOn  # noqa: PLC0415

    return FailOn(value.capitalize())


fail_on = click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "never"]),
    default="error",
    show_default=True,
    callback=_read_fail_on,
    help="From which severity on a finding that is not waived is refused.",
)

"""What several verbs of `dbcustody migrate` are told in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

FORMS = ("auto", "sql", "alembic", "prisma", "flyway", "golang-migrate", "atlas")
"""Those of `migration.tree`, written out so that nothing is loaded for them; a test holds the two together."""

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


def place(command: Any) -> Any:
    """Let *command* be told where the migrations lie, and who laid them out."""
    return directory(_format(command))


def _read_table(_context: click.Context, _parameter: click.Parameter, value: str) -> Any:
    from dbcustody.adapters.postgres.alembic_version import VersionTable  # noqa: PLC0415

    schema, _, name = value.rpartition(".")
    if not name:
        raise click.BadParameter("must be NAME or SCHEMA.NAME")
    return VersionTable(name=name, schema=schema or None)


_version_table = click.option(
    "--version-table",
    default="alembic_version",
    show_default=True,
    metavar="[SCHEMA.]NAME",
    callback=_read_table,
    help="Where Alembic keeps its versions, which are kept in step.",
)
_metadata = click.option(
    "--metadata",
    metavar="MODULE:NAME",
    help="The MetaData by whose convention revisions in Python name constraints, as app.models:Base.metadata.",
)


def alembic(command: Any) -> Any:
    """Let *command* be told what concerns revisions in Python alone."""
    return _version_table(_metadata(command))


def folder(command: Any) -> Any:
    """Let *command* be told where the migrations lie, who laid them out, and what those in Python need."""
    return place(alembic(command))


as_json = click.option("--json", "as_json", is_flag=True, help="Machine-readable.")
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
    from dbcustody.api.migration import FailOn  # noqa: PLC0415

    return FailOn(value.capitalize())


fail_on = click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "never"]),
    default="error",
    show_default=True,
    callback=_read_fail_on,
    help="From which severity on a finding that is not waived is refused.",
)


def _read_drift(_context: click.Context, _parameter: click.Parameter, value: str) -> Any:
    from dbcustody.api.migration import OnDrift  # noqa: PLC0415

    return OnDrift(value.capitalize())


drift = click.option(
    "--drift",
    type=click.Choice(["fail", "warn", "ignore"]),
    default="fail",
    show_default=True,
    callback=_read_drift,
    help="What it means that the schema is not what the ledger says; warn and ignore let it pass.",
)
exclude = click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help="Leave objects out of the comparison: `schema.object`, as in 'audit.*'. May be given more than once.",
)

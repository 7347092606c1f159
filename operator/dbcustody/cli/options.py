"""Options that several commands of `migrate` share, each read into what it means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

_Command = TypeVar("_Command", bound="Callable[..., Any]")

folder_option: Final = click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("migrations"),
    show_default=True,
    help="Where the migrations lie.",
)


def _read_shape(_context: click.Context, _parameter: click.Parameter, value: str) -> Any:
    from dbcustody.migration.shape import Shape  # noqa: PLC0415 - see the docstring of cli.main

    return None if value == "auto" else Shape(value)


def _read_table(_context: click.Context, _parameter: click.Parameter, value: str) -> Any:
    from dbcustody.adapters.postgres.alembic_version import VersionTable  # noqa: PLC0415

    schema, _, name = value.rpartition(".")
    if not name:
        raise click.BadParameter("must be NAME or SCHEMA.NAME")
    return VersionTable(name=name, schema=schema or None)


_SHARED: Final = (
    folder_option,
    click.option(
        "--format",
        "shape",
        type=click.Choice(["auto", "sql", "alembic"]),
        default="auto",
        show_default=True,
        callback=_read_shape,
        help="What the folder is: ours, or Alembic's.",
    ),
    click.option(
        "--version-table",
        default="alembic_version",
        show_default=True,
        metavar="[SCHEMA.]NAME",
        callback=_read_table,
        help="Where Alembic keeps its versions, which are kept in step.",
    ),
    click.option(
        "--metadata",
        metavar="MODULE:NAME",
        help="The MetaData by whose convention revisions in Python name constraints, as app.models:Base.metadata.",
    ),
)


def source_options(command: _Command) -> _Command:
    """Return *command* with the options that say where the migrations are, and what they are."""
    for option in reversed(_SHARED):
        command = option(command)
    return command

"""What the commands of a developer have in common: they are refused where it matters, and ask a person before anything is lost."""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click

from dbcustody.api.database import Environment
from dbcustody.cli.ending import asking
from dbcustody.errors import InvalidSpecError

if TYPE_CHECKING:
    from pathlib import Path

    from dbcustody.cli.environment import Laptop

_SAY: Final = "set DBCUSTODY_ENVIRONMENT=Development where that is true"


def refuse_production(laptop: Laptop, verb: str, *, operator: str | None = None) -> None:
    """Raise InvalidSpecError when *verb* is not for this database: it is said to be Production, or a resource (*operator*) migrates it.

    A resource in a cluster that has migrated the database speaks against a laptop; only the word Development speaks for it: what is lost in
    a database for staging is lost to others.
    """
    if laptop.environment is Environment.PRODUCTION:
        raise InvalidSpecError(
            f"{verb}: is refused, because DBCUSTODY_ENVIRONMENT says Production; use `dbcustody migrate deploy` there"
        )
    if operator is not None and laptop.environment is not Environment.DEVELOPMENT:
        raise InvalidSpecError(f"{verb}: is refused, because {operator} has migrated this database; {_SAY}")


def agree(question: str, *, lost: str) -> None:
    """Ask a person; raises InvalidSpecError, which says what is *lost*, where none is there, and click's Abort (exit code 130) on a no."""
    if not sys.stdin.isatty():
        raise InvalidSpecError(f"--yes: is missing, and nobody can be asked; {lost}")
    with asking():
        click.confirm(question, abort=True, err=True)


def write_new(path: Path, text: str) -> None:
    """Write *text* into the new file *path*: it is there whole or not at all. Raises InvalidSpecError when there is such a file."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        draft.write_text(text)
        os.link(draft, path)
    except FileExistsError as error:
        raise InvalidSpecError(f"{path}: is there already, and nothing is overwritten") from error
    except OSError as error:
        raise InvalidSpecError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            draft.unlink()

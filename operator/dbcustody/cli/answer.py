"""What a verb of `dbcustody migrate` answers: words for people, or with `--json` one object on standard output, of a failure, too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from dbcustody.cli.ending import Exit
from dbcustody.errors import DbcustodyError
from dbcustody.logs import redact_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def answer(content: Mapping[str, Any], *lines: str, as_json: bool) -> Exit:
    """Write *content* for programs, or *lines* for people; returns that it is done."""
    click.echo(json.dumps(content, indent=2) if as_json else "\n".join(lines))
    return Exit.DONE


def answering(work: Callable[[], int], *, as_json: bool) -> int:
    """Return what *work* returns; what it raises is raised, and with *as_json* told on standard output before."""
    try:
        return work()
    except DbcustodyError as error:
        if as_json:
            tell_error(error.reason.value, error.message)
        raise


def tell_error(reason: str, message: str, **more: Any) -> None:
    """Write for programs why nothing came of it, without what looks like a secret, and *more* that they may need."""
    click.echo(json.dumps({"error": {"reason": reason, "message": redact_text(message)}, **more}, indent=2))

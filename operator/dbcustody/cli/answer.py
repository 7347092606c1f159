"""What a verb of `dbcustody migrate` answers: words for people, or with `--json` one object on standard output, of a failure, too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from dbcustody.cli.ending import INTERNAL_ERROR, Exit, unforeseen
from dbcustody.errors import DbcustodyError
from dbcustody.logs import redact_text
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def answer(content: Mapping[str, Any], *lines: str, as_json: bool) -> Exit:
    """Write *content* for programs, or *lines* for people; returns that it is done."""
    click.echo(json.dumps(content, indent=2) if as_json else "\n".join(lines))
    return Exit.DONE


def answering(work: Callable[[], int], *, as_json: bool) -> int:
    """Return what *work* returns; what it raises is raised, and with *as_json* told on standard output before.

    *work* answers last of all, so that there is one object and no more; a person's no, and what nobody foresaw, are told, too.
    """
    try:
        return work()
    except (Exception, KeyboardInterrupt) as error:
        if as_json:
            tell_error(*_why(error))
        raise


def _why(error: BaseException) -> tuple[str, str]:
    """Return the reason and the message that tell of *error*; of one that is no word of ours neither holds a value."""
    if isinstance(error, DbcustodyError):
        return error.reason.value, error.message
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return Reason.CANCELLED.value, "cancelled"
    return INTERNAL_ERROR, unforeseen(error)


def tell_error(reason: str, message: str, **more: Any) -> None:
    """Write for programs why nothing came of it, without what looks like a secret, and *more* that they may need."""
    click.echo(json.dumps({"error": {"reason": reason, "message": redact_text(message)}, **more}, indent=2))

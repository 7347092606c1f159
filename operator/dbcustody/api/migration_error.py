"""The last word of a server on a migration, as status tells it: beside the resource, because programs read it by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedError:
    """What the server said of the statement that was refused last: codes, places and names, and never a value.

    The ledger keeps code, migration and time of it; what else is None was told by no run that answered, or concerns nothing that has it.
    """

    sqlstate: str
    revision: str
    """The name of the migration."""
    statement_number: int | None = None
    """From 1; None: it was refused at the end of the transaction."""
    line: int | None = None
    file: str | None = None
    schema: str | None = None
    table: str | None = None
    column: str | None = None
    constraint: str | None = None
    message: str | None = None
    time: datetime | None = None

"""A source is carried out here only once it is in elsewhere: the same files, byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.api.condition import ConditionType, is_true

if TYPE_CHECKING:
    from dbcustody.api.migration import DatabaseMigration

_SHOWN = 16


def why_not_promoted(other: DatabaseMigration | None, name: str, digest: str) -> str | None:
    """Return why the source of *digest* is not known to be in by the DatabaseMigration *name*, seen as *other*; None: it is in.

    Only what was found for its spec as it stands counts: what is planned there at the moment proves nothing.
    """
    if other is None:
        return f"DatabaseMigration {name!r}: is not there"
    status = other.status
    if status.source_digest != digest:
        has = f"has the source {status.source_digest[:_SHOWN]}" if status.source_digest else "has no source yet"
        return f"DatabaseMigration {name!r}: {has}, and {digest[:_SHOWN]} is to be in there first"
    is_current = status.observed_generation == other.metadata.generation and not other.metadata.is_being_deleted
    is_in = is_true(status.conditions, ConditionType.APPLIED) and is_true(status.conditions, ConditionType.READY)
    if not (is_current and is_in and status.pending == 0):
        return f"DatabaseMigration {name!r}: the source {digest[:_SHOWN]} is not in there yet"
    return None

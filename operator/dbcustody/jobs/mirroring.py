"""Alembic's own table of versions is kept in step with the ledger, in the transaction of the row that says where a migration stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbcustody.adapters.postgres.alembic_version import VersionTable, current_heads, write_heads
from dbcustody.adapters.postgres.ledger import add_outcome, read_attempts, revision_of
from dbcustody.migration.alembic_history import moved
from dbcustody.migration.graph import ends
from dbcustody.migration.ledger import Standing, records, standing_by

if TYPE_CHECKING:
    from dbcustody.adapters.postgres.ledger import Ending
    from dbcustody.adapters.postgres.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """Which table it is, and what each revision follows."""

    table: VersionTable
    parents: Mapping[str, Sequence[str]]

    def note(self, session: Session, revision: str, standing: Standing) -> None:
        """Let the table say that *revision* stands so now; one that is in in part, and one that nobody knows, changes nothing."""
        if standing not in {Standing.IN, Standing.OUT}:
            return
        heads = current_heads(session, self.table)
        if heads is None:
            found = records(read_attempts(session)).items()
            wanted = ends([one for one, record in found if record.standing is Standing.IN], self.parents)
        else:
            wanted = moved(heads, revision, self.parents, is_in=standing is Standing.IN)
        if heads is None or set(wanted) != set(heads):
            write_heads(session, self.table, wanted)


def write_down(session: Session, attempt: int, ending: Ending, mirror: Mirror | None) -> None:
    """Write down what became of *attempt*, and let *mirror* say the same; raises what psycopg raises, for it is a part of the work.

    What failed left everything as it was, Alembic's table among it.
    """
    add_outcome(session, attempt, ending)
    standing = standing_by(ending.state)
    if mirror is not None and standing is not None:
        mirror.note(session, revision_of(session, attempt), standing)

"""The seeds that ran, as the ledger has them: read, and added in the transaction of the seed itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.failure import translated
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from uuid import UUID

    from dbcustody.adapters.postgres.ledger import Said
    from dbcustody.adapters.postgres.session import Session

_LAST: Final = "select distinct on (name) name, sha256 from dbcustody.seed order by name, id desc"
_ADD: Final = "insert into dbcustody.seed (run, name, sha256, body, tool, actor) values (%s, %s, %s, %s, %s, %s)"
_OPERATED: Final = "select actor from dbcustody.attempt where actor like 'DatabaseMigration %' order by id desc limit 1"


def read_seeds(session: Session) -> dict[str, str]:
    """Return with which checksum each seed ran last, by its name, of a database whose ledger is up to date."""
    with translated("read which seeds ran", otherwise=Reason.MIGRATION_FAILED):
        return dict(session.execute(_LAST).fetchall())


def seed_row(run: UUID, seed: tuple[str, str, str], by: tuple[str, str]) -> Said:
    """Return the statement that writes down that *seed* (name, checksum, text) is in, done *by* a tool and an actor.

    It is sent along with the commit of the seed's own transaction.
    """
    return _ADD.encode(), (run, *seed, *by)


def find_operator(session: Session) -> str | None:
    """Return the resource that migrated the database of *session* last, of a database that has a ledger; None: none ever did."""
    with translated("read the ledger of migrations", otherwise=Reason.MIGRATION_FAILED):
        row = session.execute(_OPERATED).fetchone()
    return None if row is None else str(row[0])

"""What is about to be written as a migration is tried in the database of a developer, in a transaction that is rolled back.

Whether a step is possible depends on rows: a required column where there are some, a key that they break. The server knows, and nobody
else needs to guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import psycopg

from dbcustody.adapters.postgres.cancellation import cancelled_by
from dbcustody.adapters.postgres.failure import explain
from dbcustody.adapters.postgres.migrating import open_runner
from dbcustody.errors import InterruptedRunError
from dbcustody.migration.draft import brief
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.jobs.migration import MigrationOrder

_LOCK_TIMEOUT: Final = "10s"


def impossible_step(order: MigrationOrder, statements: Sequence[str]) -> str | None:
    """Return which of *statements* the database of *order* refuses, and why, without a value; None: it would take them all.

    Nothing of them is in afterwards. Raises as `open_runner` does, and InterruptedRunError.
    """
    with open_runner(order.target, order.run) as session, cancelled_by(order.stop, session):
        at = ""
        try:
            with session.transaction(force_rollback=True):
                session.execute(f"set local lock_timeout = '{_LOCK_TIMEOUT}'".encode())
                for statement in statements:
                    at = statement
                    session.execute(statement.encode())
        except psycopg.Error as error:
            if order.stop.is_set():
                raise InterruptedRunError("was told to stop; nothing was written") from error
            return explain(error, brief(at), otherwise=Reason.MIGRATION_FAILED).message
    return None

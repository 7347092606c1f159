"""A database that is to begin anew is made beside itself, complete but for its name, before the old one goes.

So whatever cannot be made again is found out while nothing is lost yet, and whoever is killed on the way leaves the old database, or a new
one that takes the name as soon as somebody asks again. What lies beside it says in its comment what it is.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.demolition import Installed, drop, install, rename
from dbcustody.adapters.postgres.landing import create_database, find_newborn, hand_over, read_database
from dbcustody.errors import DbcustodyError, RefusedError
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.jobs.migration import MigrationOrder
    from dbcustody.repository.catalogue import DatabaseFacts

_UNFINISHED: Final = "dbcustody: is being made by a reset"
_COMPLETE: Final = "dbcustody: takes the place of a database that a reset drops, whose comment is "
_NO_LIMIT: Final = -1


def beside(name: str) -> str:
    """Return what the database is called that is to become *name*."""
    return f"dbcustody_reset_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def make_beside(order: MigrationOrder, facts: DatabaseFacts, extensions: Iterable[Installed]) -> None:
    """Make the new database of *order*, with everything of *facts* and with *extensions*; what cannot be made leaves nothing behind.

    Raises RefusedError (LocaleMissing, ExtensionsMissing, PrivilegesMissing among others) with the words of the server.
    """
    new = beside(facts.name)
    with connect(order.target.at(order.maintenance_database)) as session:
        _drop_left(session, new)
        create_database(session, new, facts, remark=_UNFINISHED)
        try:
            if wanted := tuple(extensions):
                with connect(order.target.at(new)) as inside:
                    install(inside, wanted)
            hand_over(session, new, facts, with_ownership=True, comment=f"{_COMPLETE}{json.dumps(facts.comment)}")
        except DbcustodyError:
            _drop_left(session, new)
            raise


def take_place(order: MigrationOrder, name: str, *, by_force: bool) -> None:
    """Drop the database *name*, *by_force* with whoever is in it, and let the new one have its name.

    Raises RefusedError (SessionsHeld) when somebody came in meanwhile: then nothing was dropped.
    """
    with connect(order.target.at(order.maintenance_database)) as session:
        try:
            drop(session, name, by_force=by_force)
        except DbcustodyError:
            # where it is gone, another reset has dropped it, and the new one is what that is about to rename
            if read_database(session, name) is not None:
                _drop_left(session, beside(name))
            raise
        try:
            has_taken = take_left(session, name)
        except DbcustodyError as error:
            message = f"database {name}: was dropped, and {beside(name)} does not get its name: {error.message}; say the same again"
            raise RefusedError(message, reason=error.reason) from error
        if not has_taken and read_database(session, name) is None:
            message = f"database {name}: was dropped, and somebody has taken {beside(name)} away; make it by hand"
            raise RefusedError(message, reason=Reason.DATABASE_MISSING)


def take_left(session: Session, name: str) -> bool:
    """Let the new database that a reset made and did not come to rename be *name*; return whether there is one."""
    found = read_database(session, beside(name))
    if found is None or not (found[1] or "").startswith(_COMPLETE):
        return False
    rename(session, beside(name), name, comment=json.loads((found[1] or "").removeprefix(_COMPLETE)))
    return True


def _drop_left(session: Session, new: str) -> None:
    """Drop the database *new* if a reset made it: nobody has ever used it."""
    found = read_database(session, new)
    if found is None:
        return
    is_ours = (found[1] or "").startswith((_UNFINISHED, _COMPLETE)) or find_newborn(session, new, _NO_LIMIT) is not None
    if is_ours:
        drop(session, new, by_force=True)

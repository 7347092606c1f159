"""The new database of a restore: made shut, with the roles that it needs, and handed over whole; or taken away again.

An order whose answer is lost may have been carried out all the same. Once the database is handed over others are in it: then it counts as
restored, and nobody takes it away.
"""

from __future__ import annotations

import uuid
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import structlog

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.landing import (
    comment_on,
    create_database,
    create_roles,
    drop_database,
    drop_roles,
    find_newborn,
    hand_over,
    read_database,
)
from dbcustody.errors import DbcustodyError, UnavailableError
from dbcustody.plan.imprint import Imprint, birthmark, handed_over, read_imprints, ready, under_way

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.jobs.restoration import RestoreOrder
    from dbcustody.plan.restoration import RestorePlan

_LOG = structlog.stdlib.get_logger("dbcustody.job")


def find_imprint(session: Session, database: str, mark: str | None) -> tuple[int, Imprint] | None:
    """Return the OID of *database* and how far it is for *mark*; None when it is not there, or does not say that it was made for that."""
    found = read_database(session, database)
    told = [one for one in read_imprints(found[1]) if one.mark == mark] if found is not None else []
    return (found[0], told[-1]) if found is not None and told else None


def find_begun(session: Session, database: str, mark: str | None) -> int | None:
    """Return the OID of what was begun for *mark* under the name *database*, and is not handed over; None when there is no such thing."""
    found = find_imprint(session, database, mark)
    if found is not None:
        return None if found[1].is_handed_over else found[0]
    return find_newborn(session, database, birthmark(mark)) if mark is not None else None


@contextmanager
def new_database(order: RestoreOrder, session: Session, plan: RestorePlan) -> Iterator[None]:
    """Make the roles and the database while the block runs; when it fails, or nobody is to have the database, both are taken away again."""
    create_roles(session, plan.roles_to_create)
    oid: int | None = None
    limit = birthmark(order.mark or str(uuid.uuid4()))
    remark = under_way(order.source.manifest.backup_id, order.mark)
    try:
        oid = create_database(session, order.wish.database, plan.part.catalogue.database, remark=remark, limit=limit)
        yield
    except BaseException:
        _take_away(order, oid, plan, limit=limit)
        raise
    if order.is_throw_away:
        _take_away(order, oid, plan, limit=limit)


def complete(order: RestoreOrder, session: Session, plan: RestorePlan) -> None:
    """Let others into the database, or, where it is to take another's place, have it say that it is whole.

    An answer that is lost is asked for. Raises RefusedError (RestoreFailed) with the server's word; UnavailableError (ConnectionLost) when
    it was not done, or the server cannot be asked.
    """
    try:
        _complete(order, session, plan)
    except UnavailableError as error:
        if not _is_complete(order, plan):
            raise
        _LOG.warning("handed over, though the answer was lost", database=order.wish.database, error=error.message)


def _complete(order: RestoreOrder, session: Session, plan: RestorePlan) -> None:
    name, facts, comment = order.wish.database, plan.part.catalogue.database, _last_comment(order, plan)
    if order.replacement is not None:
        comment_on(session, name, comment or "")
        return
    with session.transaction(force_rollback=True) if order.is_throw_away else nullcontext():
        hand_over(session, name, facts, with_ownership=plan.with_ownership, comment=comment)


def _last_comment(order: RestoreOrder, plan: RestorePlan) -> str | None:
    """Return what the database says of itself once it is complete; it is told in the same transaction."""
    if order.replacement is not None:
        return ready(order.replacement.live.oid, order.mark or "")
    return handed_over(plan.part.catalogue.database.comment, order.source.manifest.backup_id, order.mark)


def _is_complete(order: RestoreOrder, plan: RestorePlan) -> bool:
    if order.is_throw_away:
        return False
    with connect(order.server) as session:
        return _says(session, order, plan)


def _says(session: Session, order: RestoreOrder, plan: RestorePlan) -> bool:
    found = read_database(session, order.wish.database)
    return found is not None and found[1] == _last_comment(order, plan)


def _take_away(order: RestoreOrder, oid: int | None, plan: RestorePlan, *, limit: int) -> None:
    """Take away what was made, in a session of its own, for the other may be what failed; what cannot be taken away is told.

    Without *oid* it is not known how far the creation came: what was created with *limit* is ours.
    """
    try:
        with connect(order.server) as session:
            if oid is not None and order.replacement is None and _says(session, order, plan):
                _LOG.warning("handed over before the run broke off: it stays", database=order.wish.database)
                return
            if oid is None:
                oid = _find_created(session, order, limit)
            if oid is not None:
                drop_database(session, oid)
            left = drop_roles(session, (role.name for role in plan.roles_to_create))
    except DbcustodyError as error:
        _LOG.warning("half-restored database is left; drop it", database=order.wish.database, error=error.message)
        return
    if left:
        _LOG.warning("roles that were made are left; drop them", roles=left)


def _find_created(session: Session, order: RestoreOrder, limit: int) -> int | None:
    newborn = find_newborn(session, order.wish.database, limit)
    return newborn if newborn is not None else find_begun(session, order.wish.database, order.mark)

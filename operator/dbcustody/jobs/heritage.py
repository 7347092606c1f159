"""What another tool has carried out in a database is not run a second time: asked before the first of ours runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.bookkeeping import read_version, require_known
from dbcustody.adapters.postgres.foreign_history import find_predecessors
from dbcustody.adapters.postgres.ledger import read_attempts
from dbcustody.errors import RefusedError
from dbcustody.migration.ledger import records
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.migration.predecessor import Predecessor
    from dbcustody.migration.script import Script

_SHOWN: Final = 5
_HELP: Final = "say `dbcustody migrate adopt --from {tool}` with its folder, which runs nothing"
_BESIDE: Final = ", or --beside-other-history once when it is another application's"


def find_heritage(session: Session, pending: Sequence[Script]) -> tuple[str, ...]:
    """Return what stands against running *pending*, in words that say what helps; nothing is written.

    While our ledger says of no migration that it is in or ever was: each history of another tool. Later: each of *pending* that such a
    history has, and our ledger never heard of; and whatever else it ran after it was adopted.
    """
    if not pending:
        return ()
    predecessors = [one for one in find_predecessors(session) if one.is_used]
    if not predecessors:
        return ()
    version = read_version(session)
    require_known(version)
    known = {} if version is None else records(read_attempts(session))
    if not known:
        return tuple(map(_told, predecessors))
    waiting = [script for script in pending if script.revision not in known]
    return tuple(
        f"{', '.join(names[:_SHOWN])}: carried out or begun by {one}; {_HELP.format(tool=one.tool)}"
        for one in predecessors
        if (names := _pending_there(one, waiting) or one.unheard(known))
    )


def _pending_there(predecessor: Predecessor, waiting: Sequence[Script]) -> tuple[str, ...]:
    """Return the names of those of *waiting* that *predecessor* has run, or begun to."""
    return tuple(script.name for script in waiting if predecessor.has_touched(script.revision))


def require_none(session: Session, pending: Sequence[Script]) -> None:
    """Raise RefusedError (HistoryForeign) when another tool has migrated this database and nobody took its history over."""
    if found := find_heritage(session, pending):
        raise RefusedError("; ".join(found), reason=Reason.HISTORY_FOREIGN)


def _told(predecessor: Predecessor) -> str:
    if predecessor.rows is None:
        helps = f"GRANT SELECT ON {predecessor.table} to the role, and USAGE on its schema, then {_HELP.format(tool=predecessor.tool)}"
        return f"{predecessor}: is there, and may not be read; {helps}{_BESIDE}"
    count = len(predecessor.present)
    rows = f"{count} row{'' if count == 1 else 's'}"
    return f"{predecessor}: has {rows} of what is in; {_HELP.format(tool=predecessor.tool)}{_BESIDE}"

"""`dbcustody migrate adopt --from alembic`: what Alembic's table of versions says is in, taken over with a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.cli.answer import answer
from dbcustody.cli.ending import complain
from dbcustody.errors import RefusedError
from dbcustody.jobs.alembic_adoption import adopt_alembic, look_at_alembic
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbcustody.jobs.migration import MigrationOrder
    from dbcustody.migration.alembic_history import Adoption


def adopt_from_alembic(order: MigrationOrder, where: str, *, is_trial: bool, as_json: bool) -> int:
    """Take over what Alembic has carried out, or only say what would be (*is_trial*); *where* is what was typed to name the folder.

    Returns the exit code; raises RefusedError (HistoryBroken) with everything that contradicts.
    """
    found = look_at_alembic(order)
    for fault in found.faults:
        complain(str(fault))
    if found.faults:
        message = f"{len(found.faults)} differences; nothing was taken over"
        raise RefusedError(message, reason=Reason.HISTORY_BROKEN)
    if found.scripts and not is_trial:
        adopt_alembic(order)
    names = [script.name for script in found.scripts]
    told = {"tool": "alembic", "table": str(order.version_table), "dryRun": is_trial, "migrations": names}
    words = _as_text(found, order, where, is_trial=is_trial)
    return answer(told | {"adopted": 0 if is_trial else len(names)}, *words, as_json=as_json)


def _as_text(found: Adoption, order: MigrationOrder, where: str, *, is_trial: bool) -> Iterator[str]:
    yield from (f"{script.name}: Alembic keeps no checksum" for script in found.scripts)
    verb = "would be adopted" if is_trial else "adopted"
    yield f"Alembic ({order.version_table}): {len(found.scripts)} {verb}"
    yield f"next: dbcustody migrate {f'adopt {where}' if is_trial and found.scripts else f'status {where}'}"

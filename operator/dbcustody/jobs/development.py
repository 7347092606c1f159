"""A step of development: the database of a developer follows the files, and the files follow the models.

Before anything is changed, every reason is found for which the database would have to begin anew, and all files have been replayed from
nothing: a file that does not run is found there, and not in the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from dbcustody.adapters.postgres import connect
from dbcustody.adapters.postgres.modelling import read_model, steps_between
from dbcustody.errors import RefusedError
from dbcustody.jobs.migration import look
from dbcustody.jobs.workshop import replay
from dbcustody.migration.draft import brief
from dbcustody.migration.history import History, Kind
from dbcustody.migration.statedplan import obstacles_of
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from dbcustody.adapters.postgres import PostgresTarget
    from dbcustody.adapters.postgres.modelling import Steps
    from dbcustody.jobs.migration import MigrationOrder
    from dbcustody.jobs.workshop import Workshop

_OF_FILES: Final = frozenset({Kind.SEVERAL_HEADS})
"""What is wrong with the files alone, and stays so however often the database begins anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Why the database would have to begin anew; nothing of it: it need not."""

    history: History
    reasons: tuple[str, ...]
    """Of the history: what was edited, is gone, came late, is half in."""
    drift: tuple[str, ...]
    """Statements, in brief, that would make the database what its history says; looked for only where that is sound."""


def diagnose(shop: Workshop, order: MigrationOrder, stage: PostgresTarget) -> Diagnosis:
    """Return for which reasons the database of *order* would have to begin anew; it is only looked at.

    In *stage*, an empty throw-away database, what is applied is replayed, and then the rest. Raises as `replay` does when a file does not
    run, and RefusedError (HistoryBroken) when the files alone are wrong.
    """
    history = look(order)
    _require_one_end(history)
    reasons = tuple(str(one) for one in history.differences if one.kind is not Kind.UNSETTLED)
    drift: tuple[str, ...] = ()
    if history.applied and not reasons:
        replay(shop, order, stage, [script for script in order.scripts if script.name in history.applied])
        drift = _drift(order, stage)
    replay(shop, order, stage, order.scripts)
    return Diagnosis(history=history, reasons=reasons, drift=drift)


def draft_steps(stage: PostgresTarget, model: Any) -> Steps:
    """Return what makes *stage*, in which all files have been replayed, like *model*."""
    with connect(stage) as session:
        return steps_between(session, model, is_whole=False)


def rest_after(stage: PostgresTarget, steps: Steps, model: Any) -> tuple[str, ...]:
    """Return what is still different, in brief, once *steps* were carried out in *stage*: what the comparison says and cannot write."""
    with connect(stage) as session:
        session.execute("set search_path to public")
        for statement in steps.forth:
            session.execute(statement.encode())
    return tuple(map(brief, draft_steps(stage, model).forth))


def _drift(order: MigrationOrder, stage: PostgresTarget) -> tuple[str, ...]:
    with connect(stage) as session:
        model = read_model(session)
    with connect(order.target) as session:
        return tuple(map(brief, steps_between(session, model, is_whole=True).forth))


def _require_one_end(history: History) -> None:
    found = obstacles_of(history)
    if found is not None and any(one.kind in _OF_FILES for one in history.differences):
        raise RefusedError("; ".join(found[1]), reason=Reason.HISTORY_BROKEN)

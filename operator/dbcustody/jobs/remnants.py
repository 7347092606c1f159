"""What was broken off is cleared away, never under the hands of somebody who builds it: to the catalogue both look the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbcustody.adapters.postgres.obstruction import find_builders
from dbcustody.adapters.postgres.probing import clear, find_remnants
from dbcustody.jobs.desk import wait_until_none

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from dbcustody.adapters.postgres.probing import Remnant
    from dbcustody.jobs.desk import Desk
    from dbcustody.migration.trace import Trace


def wait_for_builders(desk: Desk, what: str, trace: Trace, *, but: Collection[int] = ()) -> None:
    """Wait until nobody builds what a statement with *trace* would leave; raises as `wait_until_none`."""
    wait_until_none(
        desk,
        what,
        lambda: find_builders(
            desk.session, [one.table for one in find_remnants(desk.session, trace) if one.index not in but]
        ),
    )


def clear_away(desk: Desk, what: str, trace: Trace, *, but: Collection[int] = ()) -> None:
    """Clear away what a statement with *trace* left, except the indexes *but* (OIDs), once nobody builds it.

    Raises as `wait_until_none`.
    """
    wait_for_builders(desk, what, trace, but=but)
    clear(desk.session, trace, but=but)


def told(remnants: Iterable[Remnant]) -> str:
    """Return for people which invalid indexes stand, and what helps."""
    names = ", ".join(str(one) for one in remnants)
    return f"invalid indexes stand since before it began, and stay: {names}; DROP INDEX takes them away"

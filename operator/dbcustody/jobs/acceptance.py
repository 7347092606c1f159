"""The checks that a restored database must pass before it is handed over: success is these, never an exit status alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dbcustody.adapters.postgres.assertion import ask
from dbcustody.adapters.postgres.settling import read_hash_roots, read_positions
from dbcustody.adapters.postgres.snapshot import count_rows, list_tables
from dbcustody.adapters.postgres.standing import find_behind, read_states
from dbcustody.adapters.postgres.surroundings import read_extensions
from dbcustody.errors import RefusedError
from dbcustody.plan.object_state import CONSTRAINT, Found, Thing, find_state_differences
from dbcustody.plan.position import Numbered, Position, behind_remarks, find_strays
from dbcustody.plan.row_count import find_row_differences
from dbcustody.reason import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dbcustody.adapters.postgres.session import Session
    from dbcustody.api.restore import Assertion
    from dbcustody.repository.catalogue import Catalogue

_SHOWN: Final = 5
_UNSTATED: Final = "how constraints, triggers, rules and indexes stand was not compared: the archive is of a newer pg_dump than we can read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What was found right: *rows* None means that the backup did not count them, so there was nothing to compare with."""

    tables: int
    rows: int | None
    sequences: int
    constraints: int | None = None
    """How many stand as they did, as triggers, rules and indexes do; None: they were not compared."""
    remarks: tuple[str, ...] = ()
    """What was not compared, or is as it was in the source and no good there either."""


def accept(
    session: Session, catalogue: Catalogue, states: Mapping[Thing, str] | None, *, is_partial: bool = False
) -> Accepted:
    """Return what was compared and found equal; raises RefusedError (ChecksFailed) with the first differences.

    *states* are those that the archive tells of; None: it cannot be read, and nothing is said of them. The catalogue of a partial backup
    names every sequence of the database: those that came are compared.
    """
    positions, found = read_sequence_positions(session), _read_found(session)
    sequences = [one for one in catalogue.sequences if not is_partial or (one.schema, one.name) in positions]
    strays = find_strays(sequences, positions)
    differences = [
        *_compare_rows(session, catalogue),
        *(f"the sequence {schema}.{name} is missing, or behind" for schema, name in strays),
        *_compare_extensions(session, catalogue),
        *(find_state_differences(states, found) if states is not None else ()),
    ]
    if differences:
        shown, more = "; ".join(differences[:_SHOWN]), len(differences) - _SHOWN
        raise RefusedError(
            f"what was restored is not what was backed up: {shown}" + (f"; and {more} more" if more > 0 else ""),
            reason=Reason.CHECKS_FAILED,
        )
    behind = behind_remarks(Numbered(*one) for one in find_behind(session))
    return Accepted(
        tables=len(catalogue.tables),
        rows=catalogue.row_count,
        sequences=len(sequences),
        constraints=sum(thing.kind == CONSTRAINT for thing in found) if states is not None else None,
        remarks=(*behind, *([_UNSTATED] if states is None else [])),
    )


def ask_all(session: Session, assertions: Iterable[Assertion], *, role: str | None) -> None:
    """Ask every question as *role* (None: the session's own); raises RefusedError (ChecksFailed) naming those answered otherwise.

    What was answered is not told: it may be a row's value.
    """
    wrong = [one.name for one in assertions if ask(session, one.name, one.query, role=role) != one.expect]
    if wrong:
        raise RefusedError(f"answered otherwise than expected: {', '.join(wrong)}", reason=Reason.CHECKS_FAILED)


def read_sequence_positions(session: Session) -> dict[tuple[str, str], Position]:
    """Return where each sequence of the database stands."""
    return {name: Position(value, step) for name, (value, step) in read_positions(session).items()}


def _read_found(session: Session) -> dict[Thing, Found]:
    return {Thing(kind, schema, name): Found(state, usual) for kind, schema, name, state, usual in read_states(session)}


def _compare_rows(session: Session, catalogue: Catalogue) -> list[str]:
    here = {(table.schema, table.name): table for table in list_tables(session) if table.has_rows}
    wanted = {(one.schema, one.name): one.rows for one in catalogue.tables}
    missing = [f"the table {schema}.{name} is missing" for schema, name in wanted if (schema, name) not in here]
    expected = {name: rows for name, rows in wanted.items() if rows is not None and name in here}
    counted = count_rows(session, [here[name] for name in expected])
    found = {name: counted[here[name].oid] for name in expected}
    return missing + list(find_row_differences(expected, found, read_hash_roots(session)))


def _compare_extensions(session: Session, catalogue: Catalogue) -> list[str]:
    here = {one["name"] for one in read_extensions(session)}
    return [f"the extension {one.name} is missing" for one in catalogue.extensions if one.name not in here]

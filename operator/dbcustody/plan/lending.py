"""Who must be allowed to create in whose schema while a restore lasts: a thing can be given only to a role that might have made it there.

A superuser gives what he likes. With another role, a table whose owner is not the schema's needs that owner to have CREATE on the schema
(https://www.postgresql.org/docs/current/sql-altertable.html, OWNER), and the backup's own rights come too late for that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from dbcustody.plan.ownership import OWNED
from dbcustody.plan.role_names import gives

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbcustody.plan.part import Part
    from dbcustody.repository.contents import Contents, Entry, Name

PUBLIC: Final = "public"
"""The schema that every new database has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """The right of *owner* to create in *schema*."""

    schema: str
    owner: str
    is_due_by_hand: bool
    """Whether the archive does not make the schema itself, so that the right is given by a statement of ours."""
    is_theirs: bool = False
    """Whether the backup's own rights have it too, so that it is not taken back."""


def loans(contents: Contents) -> tuple[Loan, ...]:
    """Return the rights that the owners of what *contents* make need beyond what their schemas' owners have."""
    made = {entry.name: entry for entry in contents.entries if entry.kind == "SCHEMA" and entry.name != PUBLIC}
    pairs = {
        (entry.schema, entry.owner)
        for entry in contents.entries
        if entry.schema and entry.owner and entry.kind in OWNED
    }
    rights = {
        entry.name: entry for entry in contents.entries if entry.kind == "ACL" and entry.name.startswith("SCHEMA ")
    }
    return tuple(
        Loan(
            schema=schema,
            owner=owner,
            is_due_by_hand=schema not in made,
            is_theirs=any(gives(one, "CREATE", owner) for one in _of(rights.values(), schema)),
        )
        for schema, owner in sorted(pairs)
        if schema not in made or made[schema].owner != owner
    )


def owners_rights(part: Part, *, with_database: bool) -> tuple[list[Name], list[Name]]:
    """Return what is to be given by hand before *part* is loaded, and what is to be taken back afterwards: schemas, each with a role.

    *with_database* the schema public is to belong to the database's owner, and does not yet.
    """
    owner = part.catalogue.database.owner
    ours = [loan for loan in part.loans if (loan.schema, loan.owner) != (PUBLIC, owner)]
    of_database = [(PUBLIC, owner)] if with_database else []
    given = [(loan.schema, loan.owner) for loan in ours if loan.is_due_by_hand]
    returned = [(loan.schema, loan.owner) for loan in ours if not loan.is_theirs]
    return of_database + given, of_database + returned


def lent(contents: Contents, owed: Iterable[Loan]) -> Contents:
    """Return *contents* in which each schema that they make lends at once what is *owed* in it."""
    grants: dict[str, list[str]] = {}
    for loan in owed:
        if not loan.is_due_by_hand:
            grants.setdefault(loan.schema, []).append(
                f"GRANT CREATE ON SCHEMA {_quoted(loan.schema)} TO {_quoted(loan.owner)};\n"
            )
    return contents.having(
        replace(entry, definition=(entry.definition or "") + "".join(grants[entry.name]))
        if entry.kind == "SCHEMA" and entry.name in grants
        else entry
        for entry in contents.entries
    )


def _of(rights: Iterable[Entry], schema: str) -> list[Entry]:
    """Return the *rights* on *schema*, whose name stands behind the word, quoted where it must be."""
    return [entry for entry in rights if entry.name.removeprefix("SCHEMA ") in {schema, _quoted(schema)}]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'

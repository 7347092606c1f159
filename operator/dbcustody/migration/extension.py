"""The extensions that migrations speak of: those they make, and those they say must be there before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dbcustody.migration.relation import name_of
from dbcustody.migration.statement import begins

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbcustody.migration.script import Script
    from dbcustody.migration.statement import Terms

_ONLY_IF_ABSENT: Final = ("if", "not", "exists")


def made_extensions(scripts: Iterable[Script]) -> frozenset[str]:
    """Return the names of the extensions that the ways forth of *scripts* create."""
    return frozenset(
        _name(statement.terms)
        for script in scripts
        for statement in script.up.statements
        if begins(statement.terms, "create", "extension", "?")
    )


def required_extensions(scripts: Iterable[Script]) -> frozenset[str]:
    """Return the names of the extensions that the heads of *scripts* require."""
    return frozenset(name for script in scripts for name in script.up.directives.requires)


def _name(terms: Terms) -> str:
    at = 2 + (len(_ONLY_IF_ABSENT) if terms[2:5] == _ONLY_IF_ABSENT else 0)
    return name_of(terms[at])
